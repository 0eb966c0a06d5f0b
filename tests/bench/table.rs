//! The table that `just bench` prints: a row a figure.

use std::io::Write as _;

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    figure: String,
    measured: String,
    wanted: String,
    ok: bool,
}

impl Row {
    /// A ratio that should be at least `wanted`.
    #[must_use]
    pub(crate) fn at_least(figure: &str, ratio: f64, wanted: f64, how: String) -> Self {
        Self {
            figure: figure.to_owned(),
            measured: format!("{ratio:.2}x  ({how})"),
            wanted: format!("at least {wanted}x"),
            ok: ratio >= wanted,
        }
    }

    /// A quantity that should be at least `wanted`.
    #[must_use]
    pub(crate) fn reaches(figure: &str, value: f64, wanted: f64, unit: &str, how: &str) -> Self {
        Self {
            figure: figure.to_owned(),
            measured: format!("{value:.0} {unit}  ({how})"),
            wanted: format!("at least {wanted} {unit}"),
            ok: value >= wanted,
        }
    }

    /// A quantity that should be at most `wanted`.
    #[must_use]
    pub(crate) fn at_most(figure: &str, value: f64, wanted: f64, unit: &str, how: &str) -> Self {
        let detail = if how.is_empty() {
            String::new()
        } else {
            format!("  ({how})")
        };
        Self {
            figure: figure.to_owned(),
            measured: format!("{value:.2} {unit}{detail}"),
            wanted: format!("at most {wanted} {unit}"),
            ok: value <= wanted,
        }
    }

    /// Prints the row.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        let verdict = if self.ok { "ok" } else { "short" };
        let Self {
            figure,
            measured,
            wanted,
            ..
        } = self;
        let mut out = std::io::stdout().lock();
        writeln!(out, "| {figure} | {measured} | {wanted} | {verdict}")?;
        out.flush()
    }
}

/// Prints the head of the table.
///
/// # Errors
/// Standard output is closed.
pub(crate) fn head() -> std::io::Result<()> {
    writeln!(
        std::io::stdout(),
        "| figure | measured | wanted | verdict\n|---|---|---|---"
    )
}
