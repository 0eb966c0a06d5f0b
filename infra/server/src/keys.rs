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

/// What the file at `path` holds; `fresh` from now on if there is none.
fn first_kept(path: &Path, fresh: String) -> anyhow::Result<String> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(mut file) => {
            file.write_all(fresh.as_bytes())?;
            file.sync_all()?;
            Ok(fresh)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .with_context(|| format!("{} cannot be read", path.display())),
        Err(error) => Err(error).with_context(|| format!("{} cannot be made", path.display())),
    }
}
