//! Curves as SVG.

use std::fmt::Write as _;

/// One line of a chart.
pub(super) struct Series {
    pub(super) name: String,
    /// Step and value; values that are not finite leave gaps.
    pub(super) points: Vec<(f64, f64)>,
    /// Its place in the palette.
    pub(super) color: usize,
    /// Draws its points too.
    pub(super) has_dots: bool,
}

/// What is drawn into a chart besides its lines.
pub(super) struct Marks<'a> {
    /// Steps of the run.
    pub(super) steps: f64,
    /// Steps that have a checkpoint.
    pub(super) checkpoints: &'a [u64],
    /// The step of the best one.
    pub(super) best: Option<u64>,
}

/// A chart over the steps of the run; empty if there is nothing to draw.
pub(super) fn chart(title: &str, series: &[Series], marks: &Marks<'_>) -> String {
    let finite = |it: &&(f64, f64)| is_drawn(it.1);
    let values: Vec<f64> =
        series.iter().flat_map(|it| it.points.iter().filter(finite)).map(|it| it.1).collect();
    if values.is_empty() {
        return String::new();
    }
    let (low, high) = padded(
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    let x =
        |step: f64| LEFT + (step / marks.steps.max(1.0)).clamp(0.0, 1.0) * (WIDTH - LEFT - 10.0);
    let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<figure><figcaption>{title}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n"
    );
    for i in 0..=4 {
        let value = low + (high - low) * f64::from(i) / 4.0;
        let at = y(value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 10.0,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
        let step = (marks.steps * f64::from(i) / 4.0).round();
        let (at, anchor) = (x(step), if i == 4 { "end" } else { "middle" });
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{step}</text>",
            HEIGHT - 6.0
        );
    }
    for step in marks.checkpoints {
        let (at, is_best) = (x(*step as f64), marks.best == Some(*step));
        let (class, word) = if is_best { ("best", " (best)") } else { ("checkpoint", "") };
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\">\
             <title>checkpoint-{step}{word}</title></line>",
            HEIGHT - BOTTOM
        );
    }
    for series in series {
        let points = thinned(&series.points);
        let mut path = String::new();
        let mut is_down = false;
        for (step, value) in &points {
            is_down = match is_drawn(*value) {
                true => {
                    let command = if is_down { 'L' } else { 'M' };
                    let _ = write!(path, "{command}{:.1} {:.1}", x(*step), y(*value));
                    true
                }
                false => false,
            };
        }
        let color = series.color;
        let _ = writeln!(svg, "<path class=\"line c{color}\" d=\"{path}\"/>");
        if series.has_dots || points.len() == 1 {
            for (step, value) in points.iter().filter(finite) {
                let _ = writeln!(
                    svg,
                    "<circle class=\"dot c{color}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\">\
                     <title>{} {} at step {step}</title></circle>",
                    x(*step),
                    y(*value),
                    series.name,
                    number(*value)
                );
            }
        }
    }
    svg.push_str("</svg>");
    if series.len() > 1 {
        for series in series {
            let _ = write!(svg, "<span class=\"key c{}\">{}</span> ", series.color, series.name);
        }
    }
    svg.push_str("</figure>\n");
    svg
}

/// Whether a value is a number, of which differences are numbers too.
fn is_drawn(value: f64) -> bool {
    value.abs() <= f64::MAX / 4.0
}

/// A number in few characters.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e6).contains(&size) {
        let digits = if size >= 100.0 {
            0
        } else if size >= 1.0 {
            2
        } else {
            4
        };
        let text = format!("{value:.digits$}");
        if digits == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
    } else {
        format!("{value:.1e}")
    }
}

/// A range with a little room around it, even where all values are the same.
fn padded(low: f64, high: f64) -> (f64, f64) {
    let room = match high - low {
        range if range > 0.0 && range.is_finite() => 0.05 * range,
        _ => (0.05 * low.abs()).max(1e-9),
    };
    // What is never negative is not drawn as if it could be.
    let bottom = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
    (bottom, high + room)
}

/// At most a few points for each pixel: of more, the lowest and the highest of each stretch.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let mut res = Vec::with_capacity(MAX_POINTS);
    for stretch in points.chunks((2 * points.len()).div_ceil(MAX_POINTS)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [stretch.iter().min_by(by_value), stretch.iter().max_by(by_value)];
        let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        res.append(&mut ends);
    }
    res
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 24.0;
const MAX_POINTS: usize = 1400;
