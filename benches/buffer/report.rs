//! Lines with a figure, a target, and whether it was met.

use std::process::ExitCode;

/// What a figure is held against.
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Default)]
pub struct Report {
    missed: usize,
}

impl Report {
    /// Prints a figure beside its target.
    pub fn judge(&mut self, what: &str, figure: f64, target: &Target) {
        let (met, target) = match target {
            Target::AtLeast(least) => (figure >= *least, format!(">= {least}")),
            Target::AtMost(most) => (figure <= *most, format!("<= {most}")),
        };
        self.missed += usize::from(!met);
        println!("{} {what}: {figure:.2} (target {target})", if met { "PASS" } else { "MISS" });
    }

    /// Prints what has no target.
    #[allow(clippy::unused_self, reason = "whoever prints holds the report")]
    pub fn note(&self, text: &str) {
        println!("     {text}");
    }

    /// 1 when a target was missed and somebody minds.
    pub fn exit_code(&self) -> ExitCode {
        let strict = std::env::var("PULSEGATE_BENCH_STRICT").is_ok_and(|value| value == "1");
        println!("{} missed", self.missed);
        ExitCode::from(u8::from(strict && self.missed > 0))
    }
}

pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        f64::midpoint(figures[middle - 1], figures[middle])
    }
}
