//! Medians and ratios.

/// One competitor's seconds per round, and its memory in MiB.
pub struct Result {
    pub name: String,
    pub seconds: Vec<f64>,
    pub memory: f64,
}

impl Result {
    pub fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// Prints a row; the first result is ours. Ratios are of medians.
pub fn print(title: &str, bytes: u64, results: &[Result]) {
    println!("\n{title}");
    let ours = results.first().map_or(0.0, Result::median);
    for result in results {
        let (median, n) = (result.median(), result.seconds.len());
        let (least, most) = result
            .seconds
            .iter()
            .fold((f64::INFINITY, 0.0f64), |(a, b), &it| (a.min(it), b.max(it)));
        let speed = bytes as f64 / median / 1e9;
        println!(
            "  {:34} {:9.2} ms  ({:.2}–{:.2}, {n} rounds)  {speed:7.2} GB/s  {:6.0} MiB  {:6.2} × ours",
            result.name,
            median * 1e3,
            least * 1e3,
            most * 1e3,
            result.memory,
            median / ours,
        );
    }
}
