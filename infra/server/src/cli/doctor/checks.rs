//! Checks of what was installed: settings, files, keys, room.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use wharf_domain::ports::{Clock, Ids};
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_vault::SqlVault;

use super::{Verdict, bad, good, warn};
use crate::{boot, config::Config, disk, storage};

/// With less than this the next hours are at risk.
const ROOM_TO_WARN: u64 = 2 << 30;
/// With less than this the log may refuse at any moment.
const ROOM_TO_FAIL: u64 = 256 << 20;

/// The file and the environment were read, or we would not be here; what is left is what they open.
pub(super) fn config(config: &Config) -> Verdict {
    let public = config
        .server
        .listen
        .iter()
        .any(|address| !address.ip().is_loopback());
    if public && config.sandbox.enabled {
        return warn(
            "the sandbox platform is served to everyone who reaches this hub",
            "set sandbox.enabled = false",
        );
    }
    if public && config.server.public_base_url.is_empty() {
        return warn(
            "server.public_base_url is empty, so links name an address that others may not reach",
            "set it to the URL that users and platforms call",
        );
    }
    let everywhere = |text: &String| text.ends_with("/0");
    if config.egress.allow.iter().any(everywhere) {
        return warn(
            "egress.allow lets webhooks reach every private address of this machine's network",
            "name only the networks whose receivers are yours",
        );
    }
    let listening: Vec<_> = config
        .server
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    good(format!("listens on {}", listening.join(", ")))
}

/// Only its owner may enter.
pub(super) fn folder(config: &Config) -> Verdict {
    let dir = &config.data.dir;
    match mode(dir) {
        Ok(mode) if mode & 0o077 == 0 => good(format!("{}, for its owner only", dir.display())),
        Ok(_) => bad(
            format!("others can enter {}", dir.display()),
            format!("chmod 700 {}", dir.display()),
        ),
        Err(error) => bad(error.to_string(), "check data.dir"),
    }
}

/// A full disk loses nothing, but takes nothing either.
pub(super) fn disk(config: &Config) -> Verdict {
    let space = match disk::space(&config.data.dir) {
        Ok(space) => space,
        Err(error) => return warn(error.to_string(), "check data.dir"),
    };
    let what = format!(
        "{} of {} free",
        indicatif::HumanBytes(space.free_bytes),
        indicatif::HumanBytes(space.total_bytes)
    );
    let remedy = "free some space or move the data folder: with a full disk every write is refused";
    match space.free_bytes {
        free if free < ROOM_TO_FAIL => bad(what, remedy),
        free if free < ROOM_TO_WARN => warn(what, remedy),
        _ => good(what),
    }
}

/// The key is there, is a key, and is its owner's alone.
pub(super) fn master_key(config: &Config) -> Verdict {
    let file = boot::key_file(config);
    let given = !config.vault.master_key.is_empty();
    if !given && !file.exists() {
        return bad(
            format!("{} is missing", file.display()),
            "restore the key file from its backup: without it no secret opens",
        );
    }
    match boot::master_key(config, &SystemIds) {
        Ok(key) if given => good(format!("key id {}, from the configuration", key.id())),
        Ok(key) => good(format!(
            "key id {}, in {} with mode {:o}",
            key.id(),
            file.display(),
            mode(&file).unwrap_or_default()
        )),
        Err(error) => bad(
            format!("{error:#}"),
            "give the key that this data folder was made with",
        ),
    }
}

/// The vault is whole and belongs to the key.
pub(super) async fn vault(config: &Config) -> Verdict {
    let path = config.data.dir.join("vault.db");
    let shared = storage::database(config);
    if shared.is_none() && !path.exists() {
        return bad("there is no vault yet", "start wharf serve once");
    }
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let master = match boot::master_key(config, &*ids) {
        Ok(master) => master,
        Err(error) => return bad(format!("{error:#}"), "see the master key above"),
    };
    let opened = match &shared {
        Some(url) => SqlVault::postgres(url, master, clock, ids).await,
        None => SqlVault::open(&path, master, clock, ids).await,
    };
    match opened {
        Ok(_) => good("opens with the master key"),
        Err(error) => bad(
            format!("{:#}", anyhow::Error::from(error)),
            "give the master key that it was made with",
        ),
    }
}

fn mode(path: &Path) -> std::io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}
