//! `wharf backup`: beside a running hub or without one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::json;
use wharf_domain::ports::Clock as _;
use wharf_eventlog::{SqliteLog, backup};
use wharf_runtime::clock::{SystemClock, SystemIds};

use super::{
    KEYS, LOG, UPLOAD_FILES, UPLOADS, VAULT, ensure_embedded, files,
    manifest::{Entry, Manifest},
};
use crate::{
    boot,
    cli::{
        BackupArgs,
        print::{Out, byte_bar},
    },
    config::Config,
};

/// Makes a backup of the data folder in `args.dir`.
pub(in crate::cli) async fn make(
    config: &Config,
    args: BackupArgs,
    out: Out,
) -> anyhow::Result<ExitCode> {
    ensure_embedded(config)?;
    // Says what is missing before anything is made.
    drop(boot::read_log(config)?);
    let key_file = boot::key_file(config);
    let master_key = (!config.vault.master_key.is_empty() || key_file.exists())
        .then(|| boot::master_key(config, &SystemIds).map(|key| key.id()))
        .transpose()?;
    let to = args.dir.clone();
    let bar = byte_bar(out, 0);
    let copying = Copying {
        from: config.data.dir.clone(),
        uploads: boot::uploads_dir(config),
        to: to.clone(),
        key_file,
        with_keys: args.with_keys,
        bar: bar.clone(),
    };
    let made_at = SystemClock.now();
    let files = tokio::task::spawn_blocking(move || copying.run()).await??;

    bar.set_message("verifying");
    let log = SqliteLog::open_read_only(
        &to,
        wharf_eventlog::Options::default(),
        Arc::new(SystemClock),
    )?;
    let report = log
        .verify(&mut |_| {})
        .await
        .context("the log that was copied is damaged; so is the original: see wharf log verify")?;
    drop(log);
    let mut manifest = Manifest::new(made_at, &report, master_key);
    manifest.files = files;
    manifest.save(&to)?;
    bar.finish_and_clear();

    let machine = json!({
        "backup": to, "tail": manifest.tail, "events": manifest.events, "chain": manifest.chain,
        "bytes": manifest.bytes(), "master_key": manifest.master_key, "with_keys": args.with_keys,
    });
    out.say(&machine, || {
        let keys = if args.with_keys {
            "The keys ARE in it: whoever has this folder reads everything. Encrypt it.".to_owned()
        } else {
            format!(
                "The master key{} is NOT in it. Keep a copy elsewhere: without it no backup opens.",
                manifest
                    .master_key
                    .as_ref()
                    .map(|id| format!(" ({id})"))
                    .unwrap_or_default()
            )
        };
        format!(
            "backed up to {}: {} events up to position {}, {} bytes, verified\n{keys}",
            to.display(),
            manifest.events,
            manifest.tail,
            manifest.bytes()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the copying thread needs.
struct Copying {
    from: PathBuf,
    /// Where uploaded files lie, which may be elsewhere.
    uploads: PathBuf,
    to: PathBuf,
    key_file: PathBuf,
    with_keys: bool,
    bar: ProgressBar,
}

impl Copying {
    fn run(&self) -> anyhow::Result<Vec<Entry>> {
        let empty = match fs::read_dir(&self.to) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        };
        anyhow::ensure!(
            empty,
            "{} is not empty; name a new folder, so that no backup is ever half of another",
            self.to.display()
        );
        boot::create_private(&self.to)?;
        let mut files = vec![];
        // Twice: what a run of the log may need was there either before the log's moment or after it.
        self.uploads(&mut files)?;
        self.database(LOG, &mut files)?;
        if self.from.join(VAULT).exists() {
            self.database(VAULT, &mut files)?;
        }
        self.uploads(&mut files)?;
        if self.with_keys {
            for (name, path) in [
                (KEYS[0], self.key_file.clone()),
                (KEYS[1], self.from.join(KEYS[1])),
            ] {
                if path.exists() {
                    files.push(files::copy(&path, &self.to.join(name), name, &mut |_| {})?);
                }
            }
        }
        Ok(files)
    }

    fn database(&self, name: &'static str, files: &mut Vec<Entry>) -> anyhow::Result<()> {
        self.bar.set_message(name);
        let copy = self.to.join(name);
        backup(&self.from.join(name), &copy, &mut |done, all| {
            self.bar.set_length(all);
            self.bar.set_position(done);
        })?;
        files.push(files::hash(&copy, name, &mut |_| {})?);
        Ok(())
    }

    /// Copies the uploads that are whole and not copied yet.
    fn uploads(&self, files: &mut Vec<Entry>) -> anyhow::Result<()> {
        let Ok(uploads) = fs::read_dir(&self.uploads) else {
            return Ok(());
        };
        self.bar.set_message(UPLOADS);
        for upload in uploads {
            let from = upload?.path();
            let Some(id) = from.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let [_, whole] = UPLOAD_FILES.map(|file| name(id, file));
            if files.iter().any(|entry| entry.name == whole) || !from.join("done").exists() {
                continue;
            }
            for file in UPLOAD_FILES {
                let (from, name) = (from.join(file), name(id, file));
                match self.upload(&from, &name) {
                    Ok(entry) => files.push(entry),
                    // Its run ended meanwhile, and it was removed.
                    Err(_) if !from.exists() => {
                        let _ = fs::remove_dir_all(self.to.join(UPLOADS).join(id));
                        files.retain(|entry| {
                            Path::new(&entry.name).parent() != Path::new(&name).parent()
                        });
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn upload(&self, from: &Path, name: &str) -> anyhow::Result<Entry> {
        self.bar.set_length(fs::metadata(from)?.len());
        self.bar.set_position(0);
        files::copy(from, &self.to.join(name), name, &mut |bytes| {
            self.bar.inc(bytes);
        })
    }
}

/// What a file of the upload `id` is called in the backup, wherever it lies.
fn name(id: &str, file: &str) -> String {
    format!("{UPLOADS}/{id}/{file}")
}
