/// One competitor's seconds, per round and case, and what memory it had at most, in MiB.
pub struct Measured {
    pub name: String,
    pub rounds: Vec<Vec<f64>>,
    pub memory: f64,
}

impl Measured {
    /// The median of each case over the rounds.
    pub fn medians(&self) -> Vec<f64> {
        let cases = self.rounds.first().map_or(0, Vec::len);
        (0..cases).map(|case| median(self.rounds.iter().map(|round| round[case]))).collect()
    }
}

/// Prints a row of one case; the first result is ours. Each case goes through so many bytes, if it is bytes that count.
pub fn print(title: &str, bytes: Option<u64>, results: &[Measured]) {
    println!("\n{title}");
    let ours = results.first().and_then(|it| it.medians().first().copied()).unwrap_or(f64::NAN);
    for result in results {
        let seconds: Vec<f64> = result.rounds.iter().flatten().copied().collect();
        let (least, most) =
            seconds.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &it| (a.min(it), b.max(it)));
        let middle = median(seconds.iter().copied());
        let speed = bytes.map(|it| format!("{:7.2} GB/s  ", it as f64 / middle / 1e9));
        println!(
            "  {:34} {:9.2} ms  ({:.2}–{:.2}, {} rounds)  {}{:6.0} MiB  {:6.2} × ours",
            result.name,
            middle * 1e3,
            least * 1e3,
            most * 1e3,
            seconds.len(),
            speed.unwrap_or_default(),
            result.memory,
            middle / ours,
        );
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
