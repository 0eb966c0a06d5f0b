//! The key file: 64 hexadecimal characters and a line feed, readable by its owner alone.
//!
//! Called by [`MasterKey::load_or_create`](crate::MasterKey::load_or_create). It is written once and
//! never replaced: a key file that changed would lock everybody out of the vault.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use wharf_domain::ports::Ids;
use zeroize::Zeroizing;

use crate::{Error, master::MASTER_BYTES};

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;
/// The permission bits of group and others.
const OTHERS: u32 = 0o077;
/// A key, and room for white space. A longer file is none of ours.
const MAX_BYTES: usize = 256;

/// The key in the file, `None` if there is no file.
pub(crate) fn load(path: &Path) -> Result<Option<Zeroizing<[u8; MASTER_BYTES]>>, Error> {
    let failed = |source| Error::KeyFile {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Of the open file, not of the path: nobody can swap it in between.
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(Error::KeyFileOpen(path.to_owned()));
    }
    // The capacity is there from the beginning, so that no copy of the key is left behind by growth.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    file.take(MAX_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let mut key = Zeroizing::new([0; MASTER_BYTES]);
    hex::decode_to_slice(text.trim(), key.as_mut_slice())
        .map_err(|_| Error::KeyFileInvalid(path.to_owned()))?;
    Ok(Some(key))
}

/// Makes the file with a fresh key, durably, unless somebody else was faster.
pub(crate) fn create(path: &Path, ids: &dyn Ids) -> Result<(), Error> {
    let temporary = path.with_added_extension(ids.uuid().to_string());
    let made = write(&temporary, ids)
        // A link, not a rename: it fails where a rename would replace the key of a process that
        // started at the same time.
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = match fs::remove_file(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    made.and(removed)
        .and_then(|()| File::open(folder(path))?.sync_all())
        .map_err(|source| Error::KeyFile {
            path: path.to_owned(),
            source,
        })
}

fn write(path: &Path, ids: &dyn Ids) -> io::Result<()> {
    let mut key = Zeroizing::new([0; MASTER_BYTES]);
    ids.fill(key.as_mut_slice());
    let mut text = Zeroizing::new([0; 2 * MASTER_BYTES]);
    hex::encode_to_slice(key.as_slice(), text.as_mut_slice()).map_err(io::Error::other)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(path)?;
    file.write_all(text.as_slice())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
