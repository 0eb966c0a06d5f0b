//! Copying files so that a power cut leaves them whole, for their owner only. Blocking.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::manifest::Entry;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Makes `path` and writes `bytes` to it, durably.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    sync_folder_of(path)
}

/// Copies `from` to `to`, durably, and answers what was copied under the name `name`.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    name: &str,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Entry> {
    let mut target = create(to).with_context(|| format!("{} cannot be made", to.display()))?;
    let entry = read(from, name, &mut |chunk| {
        progress(chunk.len() as u64);
        target.write_all(chunk)
    })?;
    target
        .sync_all()
        .with_context(|| format!("{} cannot be written", to.display()))?;
    sync_folder_of(to)?;
    Ok(entry)
}

/// Size and hash of the file at `path`.
pub(super) fn hash(
    path: &Path,
    name: &str,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Entry> {
    read(path, name, &mut |chunk| {
        progress(chunk.len() as u64);
        Ok(())
    })
}

fn read(
    path: &Path,
    name: &str,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<Entry> {
    let mut work = || {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = file.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            hash.update(chunk);
            bytes += chunk.len() as u64;
            take(chunk)?;
        }
        io::Result::Ok(Entry {
            name: name.to_owned(),
            bytes,
            sha256: hex::encode(hash.finalize()),
        })
    };
    work().with_context(|| format!("{} cannot be copied", path.display()))
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A file's name must survive a power cut as well as its contents.
fn sync_folder_of(path: &Path) -> anyhow::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("{} cannot be written", folder.display()))
}
