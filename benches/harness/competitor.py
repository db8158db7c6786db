"""The Python side of the harness: does work once per line of standard input, answers with the seconds of each case."""

import resource
import sys
import time


def serve(work):
    """`work` returns the seconds that each of its cases took."""
    for _ in sys.stdin:
        print(*work(), flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


def timed(run, after=lambda: None):
    """Work of one case. Only the making is timed: what was made is dropped afterwards."""

    def work():
        start = time.perf_counter()
        made = run()
        seconds = time.perf_counter() - start
        del made
        after()
        return [seconds]

    return work
