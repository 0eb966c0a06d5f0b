//! `wharf restore`: a backup becomes a data folder, and everything is proven before anybody starts on it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::json;
use wharf_domain::ports::{Clock, EventLog, Ids, Vault};
use wharf_eventlog::SqliteLog;
use wharf_runtime::{
    clock::{SystemClock, SystemIds},
    dispatch::Dispatcher,
};
use wharf_vault::SqlVault;

use super::{KEYS, UPLOADS, VAULT, ensure_embedded, erasures, files, manifest::Manifest};
use crate::{
    boot,
    cli::{
        RestoreArgs,
        print::{Out, byte_bar},
    },
    config::Config,
};

/// Restores the backup in `args.dir` to the data folder.
pub(in crate::cli) async fn restore(
    config: &Config,
    args: RestoreArgs,
    out: Out,
) -> anyhow::Result<ExitCode> {
    ensure_embedded(config)?;
    let manifest = Manifest::load(&args.dir)?;
    let dir = config.data.dir.clone();
    ensure_empty(&dir)?;
    ensure_key(config, &args.dir, &manifest)?;
    let mut erasures = vec![];
    for from in &args.erasures {
        erasures.extend(erasures::read(from).await?);
    }

    let bar = byte_bar(out, 2 * manifest.bytes());
    boot::create_private(&dir)?;
    let placing = Placing {
        from: args.dir.clone(),
        to: dir.clone(),
        uploads: boot::uploads_dir(config),
        key_file: boot::key_file(config),
        bar: bar.clone(),
    };
    let manifest = tokio::task::spawn_blocking(move || placing.run(manifest)).await??;
    bar.set_message("verifying");
    prove_log(&dir, &manifest).await?;
    replay(config, &erasures).await?;
    bar.finish_and_clear();

    let machine = json!({
        "restored": dir, "tail": manifest.tail, "events": manifest.events, "chain": manifest.chain,
        "made_at": manifest.made_at, "erasures": erasures.len(),
    });
    out.say(&machine, || {
        format!(
            "restored {} to {}: {} events up to position {}, verified; {} later erasures replayed\n\
             Start wharf serve: it builds the views from the log. What happened after {} is not in it.",
            args.dir.display(),
            dir.display(),
            manifest.events,
            manifest.tail,
            erasures.len(),
            manifest.made_at
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A restore never mixes two hubs. Keys may lie there already.
fn ensure_empty(dir: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("{}", dir.display())),
    };
    for entry in entries {
        let name = entry?.file_name();
        anyhow::ensure!(
            KEYS.iter().any(|key| name == *key),
            "the data folder {} is not empty: it holds {}; move it away, or set data.dir to a new one",
            dir.display(),
            name.display()
        );
    }
    Ok(())
}

/// Without its key a vault is noise; better to know before everything is copied.
fn ensure_key(config: &Config, backup: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let sealed = manifest.files.iter().any(|entry| entry.name == VAULT);
    let in_backup = manifest.files.iter().any(|entry| entry.name == KEYS[0]);
    if !sealed || in_backup {
        return Ok(());
    }
    let file = boot::key_file(config);
    anyhow::ensure!(
        !config.vault.master_key.is_empty() || file.exists(),
        "the backup {} does not hold its master key{}; put the key file at {}, or give its key as \
         ENCRYPTION_KEY",
        backup.display(),
        manifest
            .master_key
            .as_ref()
            .map(|id| format!(" ({id})"))
            .unwrap_or_default(),
        file.display()
    );
    let given = boot::master_key(config, &SystemIds)?.id();
    if let Some(expected) = &manifest.master_key {
        anyhow::ensure!(
            given == *expected,
            "the backup belongs to master key {expected}, but the given key is {given}"
        );
    }
    Ok(())
}

/// What the placing thread needs.
struct Placing {
    from: PathBuf,
    to: PathBuf,
    /// Where uploaded files belong.
    uploads: PathBuf,
    /// Where the master key belongs, if it comes along.
    key_file: PathBuf,
    bar: ProgressBar,
}

impl Placing {
    /// Proves every file of the backup, then copies it.
    fn run(self, manifest: Manifest) -> anyhow::Result<Manifest> {
        for entry in &manifest.files {
            self.bar.set_message(entry.name.clone());
            let path = self.from.join(&entry.name);
            let found = files::hash(&path, &entry.name, &mut |bytes| self.bar.inc(bytes))?;
            anyhow::ensure!(
                found == *entry,
                "{} is not the file that was backed up; use another backup",
                path.display()
            );
        }
        for entry in &manifest.files {
            let upload = Path::new(&entry.name).strip_prefix(UPLOADS);
            let to = match upload {
                _ if entry.name == KEYS[0] => self.key_file.clone(),
                Ok(upload) => self.uploads.join(upload),
                Err(_) => self.to.join(&entry.name),
            };
            if KEYS.contains(&entry.name.as_str()) && to.exists() {
                continue;
            }
            self.bar.set_message(entry.name.clone());
            let from = self.from.join(&entry.name);
            let copied = files::copy(&from, &to, &entry.name, &mut |bytes| self.bar.inc(bytes))?;
            anyhow::ensure!(
                copied == *entry,
                "{} changed while it was copied; begin again with an empty data folder",
                from.display()
            );
        }
        Ok(manifest)
    }
}

async fn prove_log(dir: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let options = wharf_eventlog::Options::default();
    let log = SqliteLog::open_read_only(dir, options, Arc::new(SystemClock))?;
    let report = log.verify(&mut |_| {}).await?;
    anyhow::ensure!(
        report.tail.0 == manifest.tail && report.chain.to_string() == manifest.chain,
        "the restored log is not the one that was backed up; use another backup"
    );
    Ok(())
}

/// Opens the vault, which proves the key, and erases again, before any hub runs on the folder.
async fn replay(config: &Config, erasures: &[erasures::Erasure]) -> anyhow::Result<()> {
    let dir = &config.data.dir;
    if !dir.join(VAULT).exists() {
        anyhow::ensure!(
            erasures.is_empty(),
            "the backup holds no vault, so there is nothing to erase from; leave --erasures out"
        );
        return Ok(());
    }
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let master = boot::master_key(config, &*ids)?;
    let vault = SqlVault::open(&dir.join(VAULT), master, clock.clone(), ids.clone()).await?;
    let vault = Arc::new(vault);
    let options = wharf_eventlog::Options::default();
    let log = SqliteLog::open(dir, options, clock.clone())?;
    let port: Arc<dyn EventLog> = Arc::new(log.clone());
    let dispatch = Dispatcher::new(port, vault.clone() as Arc<dyn Vault>, clock, ids);
    for erasure in erasures {
        erasures::replay(erasure, &*vault, &dispatch).await?;
    }
    log.close().await;
    vault.close().await;
    Ok(())
}
