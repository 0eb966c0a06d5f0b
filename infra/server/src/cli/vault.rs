//! `wharf vault copy FROM TO`: moves the vault from its file to `PostgreSQL`, or back, sealed as it is.
//!
//! Both ends are named by URLs. No hub may run on either: what it wrote meanwhile would be missing.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use serde_json::json;
use wharf_domain::kernel::Secret;
use wharf_eventlog::WriteLock;
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_vault::SqlVault;

use super::{VaultCommand, print::Out};
use crate::{boot, config::Config, storage};

/// Where a vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A data folder with a `vault.db`.
    Sqlite(PathBuf),
    /// The data base that several nodes share.
    Postgres(String),
}

impl std::str::FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        // Without the URL itself: it may hold a password.
        let path = path
            .map(Path::new)
            .context("a vault is named sqlite:FOLDER or postgres://USER:PASSWORD@HOST/DATABASE")?;
        // The file is as good a name as its folder.
        let folder = match path.file_name() {
            Some(name) if name == storage::VAULT => path.parent().unwrap_or_else(|| Path::new(".")),
            Some(_) | None => path,
        };
        Ok(Self::Sqlite(folder.to_owned()))
    }
}

/// A vault that no hub uses.
struct Opened {
    vault: SqlVault,
    /// Held until the copy is done.
    _locks: Vec<WriteLock>,
}

pub(super) async fn run(
    config: &Config,
    command: VaultCommand,
    out: Out,
) -> anyhow::Result<ExitCode> {
    let VaultCommand::Copy { from, to } = command;
    let (from, to): (Place, Place) = (from.parse()?, to.parse()?);
    anyhow::ensure!(
        from != to,
        "a vault cannot be copied onto itself; name two places"
    );
    if let Place::Sqlite(folder) = &from {
        let file = folder.join(storage::VAULT);
        anyhow::ensure!(file.exists(), "there is no vault at {}", file.display());
    }
    let from = open(&from, config).await.context("the original")?;
    let to = open(&to, config).await.context("the copy")?;
    let copied = from.vault.copy_to(&to.vault).await?;
    from.vault.close().await;
    to.vault.close().await;
    let machine = json!({
        "data_keys": copied.data_keys, "secrets": copied.secrets, "answers": copied.answers,
    });
    out.say(&machine, || {
        format!(
            "both vaults are the same: {} keys, {} secrets, {} saved answers\n\
             The master key is the one of before; the original is left as it was.",
            copied.data_keys, copied.secrets, copied.answers
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the vault at `place` with the configured master key, unless a hub uses it.
async fn open(place: &Place, config: &Config) -> anyhow::Result<Opened> {
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let master = boot::master_key(config, &SystemIds)?;
    match place {
        Place::Sqlite(folder) => {
            boot::create_private(folder)?;
            // A hub locks the folder of its log, or of its mirror in there.
            let folders = [folder.clone(), folder.join(storage::MIRROR)];
            let locked = folders.iter().filter(|folder| folder.exists());
            let locks = locked.map(|folder| wharf_eventlog::lock(folder));
            let locks = locks.collect::<Result<_, _>>()?;
            let vault = SqlVault::open(&folder.join(storage::VAULT), master, clock, ids).await?;
            Ok(Opened {
                vault,
                _locks: locks,
            })
        }
        Place::Postgres(url) => {
            let vault = SqlVault::postgres(&Secret::new(url.clone()), master, clock, ids).await?;
            anyhow::ensure!(
                !vault.is_shared_now().await?,
                "a hub is connected to the data base; stop every node first"
            );
            Ok(Opened {
                vault,
                _locks: vec![],
            })
        }
    }
}
