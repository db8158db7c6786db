"""Runs a command on a terminal of its own, which Rust's standard library has no means for."""

import fcntl
import os
import pty
import struct
import subprocess
import termios


def run(command, env, columns):
    """All that the command writes on a terminal so wide, stdout and stderr together."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    environment.update({"TERM": "xterm", **env})
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux says so when the other side is closed.
                part = b""
            if not part:
                break
            written += part
    os.close(ours)
    return {"text": written.decode().replace("\r\n", "\n"), "code": process.returncode}
