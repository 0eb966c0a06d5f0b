//! Keys that the server makes for itself at the first start.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
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
    let fresh = hex::encode(bytes);
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    match made {
        Ok(mut file) => {
            file.write_all(fresh.as_bytes())?;
            file.sync_all()?;
            Ok(Secret::new(fresh.into_bytes()))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            let text = text.trim().to_owned();
            anyhow::ensure!(
                text.len() >= 32,
                "{} holds no secret of 32 bytes; delete it to have a new one made (tokens of the \
                 old one stop working)",
                path.display()
            );
            Ok(Secret::new(text.into_bytes()))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be made", path.display())),
    }
}
