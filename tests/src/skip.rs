//! Tests that a machine cannot run: each says so, and is counted by `tests/run.sh`. Only for what needs more
//! rights than a test may ask for, or a program that neither the hub nor its tests need; any other program that is
//! missing fails the test.

use std::io::Write as _;

/// Says that the test `name` was skipped, and why. Passing tests are silent, so this does not go through
/// `eprintln!`.
#[expect(
    clippy::disallowed_methods,
    reason = "tests/run.sh says where it counts them"
)]
pub fn skipped(name: &str, why: &str) {
    let line = format!("skipped: {name}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("WHARF_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new().append(true).open(list);
        let written = list.and_then(|mut list| list.write_all(line.as_bytes()));
        written.expect("tests/run.sh made the list");
    }
}
