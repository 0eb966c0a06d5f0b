//! Keys, and the name of this node, that the server makes for itself at the first start.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use wharf_domain::{kernel::Secret, ports::Ids};

use crate::config::Config;

/// The secret of HS256 tokens: from the configuration, else from `jwt.key` in the data folder.
///
/// # Errors
/// The file cannot be read or made.
pub fn jwt_secret(config: &Config, ids: &dyn Ids) -> anyhow::Result<Secret<Vec<u8>>> {
    if !config.auth.jwt_secret.is_empty() {
        return Ok(Secret::new(config.auth.jwt_secret.clone().into_bytes()));
    }
    let path = config.data.dir.join("jwt.key");
    let mut bytes = [0; 32];
    ids.fill(&mut bytes);
    let secret = first_kept(&path, hex::encode(bytes))?;
    anyhow::ensure!(
        secret.len() >= 32,
        "{} holds no secret of 32 bytes; delete it to have a new one made (tokens of the old one stop \
         working)",
        path.display()
    );
    Ok(Secret::new(secret.into_bytes()))
}

/// What this node is called among those that share a data base: the same after each start, and another's for
/// no other data folder.
///
/// # Errors
/// The file cannot be read or made.
pub fn node_id(config: &Config, ids: &dyn Ids) -> anyhow::Result<String> {
    first_kept(&config.data.dir.join("node.id"), ids.uuid().to_string())
}

/// What the file at `path` holds; `fresh` from now on if there is none. The file is there whole or not at all, also
/// after a crash: half a name would be that of other nodes, too.
fn first_kept(path: &Path, fresh: String) -> anyhow::Result<String> {
    let kept = || match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    if let Some(kept) = kept()? {
        anyhow::ensure!(
            !kept.is_empty(),
            "{} is empty; delete it to have a new one made",
            path.display()
        );
        return Ok(kept);
    }
    keep(path, &fresh).with_context(|| format!("{} cannot be made", path.display()))?;
    // Another process may have been first.
    Ok(kept()?.unwrap_or(fresh))
}

/// Makes the file at `path`, unless there is one.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::remove_file(&unfinished)?;
    match path.parent() {
        Some(folder) if folder != Path::new("") => fs::File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.id");
        assert_eq!(first_kept(&path, "one".to_owned()).unwrap(), "one");
        assert_eq!(first_kept(&path, "two".to_owned()).unwrap(), "one");
        keep(&path, "three").unwrap();
        assert_eq!(first_kept(&path, "four".to_owned()).unwrap(), "one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else");
    }

    #[test]
    fn an_empty_file_is_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.id");
        fs::write(&path, "\n").unwrap();
        let refused = first_kept(&path, "one".to_owned()).unwrap_err();
        assert!(refused.to_string().contains("delete it"), "{refused}");
    }
}
