//! Standard output of the commands: lines for people, or JSON for machines.

use std::io::Write as _;

use serde_json::Value;

/// Where commands print to.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// JSON, one object a line.
    pub json: bool,
}

impl Out {
    /// Prints `value` for machines, or `text` for people.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn say(self, value: &Value, text: impl FnOnce() -> String) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{value}")?
        } else {
            writeln!(out, "{}", text())?
        }
        out.flush()
    }

    /// Prints `text` for people only.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn tell(self, text: &str) -> std::io::Result<()> {
        if self.json {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }
}

/// A progress bar on standard error; silent for machines and where standard error is no terminal.
#[must_use]
pub(super) fn bar(out: Out, total: u64, what: &'static str) -> indicatif::ProgressBar {
    if out.json {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(total);
    let style = indicatif::ProgressStyle::with_template(&format!(
        "{{wide_bar}} {{percent}} %  {{pos}}/{{len}} {what}  {{eta}} left  {{msg}}"
    ));
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// A progress bar that counts bytes.
#[must_use]
pub fn byte_bar(out: Out, total: u64) -> indicatif::ProgressBar {
    let bar = bar(out, total, "bytes");
    if let Ok(style) = indicatif::ProgressStyle::with_template(
        "{wide_bar} {percent} %  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
    ) {
        bar.set_style(style);
    }
    bar
}
