//! `wharf doctor`: what is wrong, and what to do about it.

use std::{os::unix::fs::PermissionsExt as _, process::ExitCode, sync::Arc};

use serde_json::json;
use wharf_domain::ports::{Clock, EventLog as _, Ids};
use wharf_projections::Views;
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_vault::SqliteVault;

use super::print::Out;
use crate::{admin, boot, config::Config};

/// More than this behind, the views are reported as lagging.
const LAG: u64 = 10_000;

enum Verdict {
    Good(String),
    Bad { what: String, remedy: String },
}

pub(super) async fn run(config: &Config, out: Out) -> anyhow::Result<ExitCode> {
    let dir = &config.data.dir;
    let served = admin::is_served(config);
    let mut checks = vec![(
        "server",
        Verdict::Good(if served { "running" } else { "not running" }.into()),
    )];
    if !dir.exists() {
        let what = format!("{} does not exist", dir.display());
        let remedy = "start wharf serve once, or set data.dir".to_owned();
        checks.push(("data folder", Verdict::Bad { what, remedy }));
    } else {
        checks.push(("data folder", folder(config)));
        checks.push(("master key", key(config)));
        checks.push(("event log", log(config).await));
        checks.push(("vault", vault(config).await));
        checks.push(("views", views(config).await));
        checks.push(("clock", clock(config).await));
    }
    let mut healthy = true;
    for (name, verdict) in &checks {
        match verdict {
            Verdict::Good(what) => out
                .say(&json!({ "check": name, "ok": true, "what": what }), || {
                    format!("ok    {name:<12} {what}")
                })?,
            Verdict::Bad { what, remedy } => {
                healthy = false;
                out.say(
                    &json!({ "check": name, "ok": false, "what": what, "remedy": remedy }),
                    || format!("BAD   {name:<12} {what}\n      what to do: {remedy}"),
                )?;
            }
        }
    }
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn folder(config: &Config) -> Verdict {
    let dir = &config.data.dir;
    match std::fs::metadata(dir) {
        Ok(meta) if meta.permissions().mode() & 0o077 == 0 => {
            Verdict::Good(format!("{}, for its owner only", dir.display()))
        }
        Ok(_) => Verdict::Bad {
            what: format!("others can enter {}", dir.display()),
            remedy: format!("chmod 700 {}", dir.display()),
        },
        Err(error) => Verdict::Bad {
            what: error.to_string(),
            remedy: "check data.dir".to_owned(),
        },
    }
}

fn key(config: &Config) -> Verdict {
    if config.vault.master_key.is_empty() && !boot::key_file(config).exists() {
        return Verdict::Bad {
            what: format!("{} is missing", boot::key_file(config).display()),
            remedy: "restore the key file from its backup: without it no secret opens".to_owned(),
        };
    }
    match boot::master_key(config, &SystemIds) {
        Ok(key) => Verdict::Good(format!("key id {}", key.id())),
        Err(error) => Verdict::Bad {
            what: format!("{error:#}"),
            remedy: "give the key that this data folder was made with".to_owned(),
        },
    }
}

async fn log(config: &Config) -> Verdict {
    let tail = match boot::read_log(config) {
        Ok(log) => log.tail().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match tail {
        Ok(tail) => Verdict::Good(format!(
            "position {tail}, no holes; wharf log verify checks every hash"
        )),
        Err(what) => Verdict::Bad {
            what,
            remedy: "restore log.db from a backup".to_owned(),
        },
    }
}

async fn vault(config: &Config) -> Verdict {
    if !config.data.dir.join("vault.db").exists() {
        return Verdict::Bad {
            what: "there is no vault yet".to_owned(),
            remedy: "start wharf serve once".to_owned(),
        };
    }
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let opened = match boot::master_key(config, &*ids) {
        Ok(master) => SqliteVault::open(&config.data.dir.join("vault.db"), master, clock, ids)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(format!("{error:#}")),
    };
    match opened {
        Ok(_) => Verdict::Good("opens with the master key".to_owned()),
        Err(what) => Verdict::Bad {
            what,
            remedy: "give the master key that it was made with".to_owned(),
        },
    }
}

async fn views(config: &Config) -> Verdict {
    let at = Views::peek(&config.data.dir.join("views")).await;
    let at = at
        .map(Option::unwrap_or_default)
        .map_err(|error| error.to_string());
    let tail = match boot::read_log(config) {
        Ok(log) => log.tail().await.unwrap_or_default(),
        Err(_) => Default::default(),
    };
    match at {
        Ok(at) if tail.0.saturating_sub(at.0) <= LAG => {
            Verdict::Good(format!("position {at} of {tail}"))
        }
        Ok(at) => Verdict::Bad {
            what: format!("position {at} of {tail}"),
            remedy: "start wharf serve and let it catch up".to_owned(),
        },
        Err(what) => Verdict::Bad {
            what,
            remedy: "wharf views rebuild".to_owned(),
        },
    }
}

/// The clock must not be behind the last event: it was set back, and timers would wait.
async fn clock(config: &Config) -> Verdict {
    let now = SystemClock.now();
    let last = async {
        let log = boot::read_log(config).ok()?;
        let tail = log.tail().await.ok()?;
        let commits = log
            .read_all(wharf_domain::kernel::Position(tail.0.checked_sub(1)?), 1)
            .await
            .ok()?;
        commits.first()?.meta().ok().map(|meta| meta.time)
    }
    .await;
    match last {
        Some(last) if last > now => Verdict::Bad {
            what: format!("the last event is of {last}, but it is {now}"),
            remedy: "set the machine's clock by NTP".to_owned(),
        },
        Some(_) | None => Verdict::Good(format!("{now}")),
    }
}
