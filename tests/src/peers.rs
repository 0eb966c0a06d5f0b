//! The programs that tests call besides the hub: an independent library that verifies signatures, an
//! importer to compare with. `tests/peers.sh` installs them; `tests/run.sh` calls it first.

use std::path::{Path, PathBuf};

/// Path of an installed program, such as `python3`.
///
/// # Errors
/// It is not installed; the message says how to install it.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let program = folder().join("bin").join(name);
    anyhow::ensure!(
        program.exists(),
        "{} is missing: run `sh tests/peers.sh` (or `sh tests/peers.sh bench` for benchmarks)",
        program.display()
    );
    Ok(program)
}

/// The packages of the example in JavaScript; `None` where there is no Node.js.
#[must_use]
pub fn node_modules() -> Option<PathBuf> {
    let modules = folder().join("javascript/node_modules");
    modules.exists().then_some(modules)
}

/// Where they lie: `WHARF_TEST_PEERS`, or `tests/.peers`.
#[expect(
    clippy::disallowed_methods,
    reason = "tests/run.sh says where it installed them"
)]
fn folder() -> PathBuf {
    std::env::var_os("WHARF_TEST_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".peers"),
        PathBuf::from,
    )
}
