//! How much room there is where the data folder lies. Asked by `wharf doctor` and by the metrics.

use std::{io, path::Path};

/// Room of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes that this user may still write.
    pub(crate) free_bytes: u64,
    /// Bytes in all.
    pub(crate) total_bytes: u64,
}

/// The room of the file system that `path` lies on.
///
/// # Errors
/// There is no such path.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let system = rustix::fs::statvfs(path)?;
    Ok(Space {
        free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
        total_bytes: system.f_blocks.saturating_mul(system.f_frsize),
    })
}
