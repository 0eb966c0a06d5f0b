//! `wharf doctor`: what is wrong, and what to do about it.
//!
//! Looks and changes nothing, beside a running hub or without one; what only the hub knows it is asked
//! through the admin socket. A check is a function of `checks` or `state`; this file is their list.

mod checks;
mod state;

use std::process::ExitCode;

use serde_json::json;

use super::print::Out;
use crate::{admin, boot, config::Config};

/// What a check found.
enum Verdict {
    /// As it should be.
    Good(String),
    /// It works, but somebody should know.
    Warn { what: String, remedy: String },
    /// It does not work, or will not for long.
    Bad { what: String, remedy: String },
}

fn good(what: impl Into<String>) -> Verdict {
    Verdict::Good(what.into())
}

fn warn(what: impl Into<String>, remedy: impl Into<String>) -> Verdict {
    Verdict::Warn {
        what: what.into(),
        remedy: remedy.into(),
    }
}

fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Verdict {
    Verdict::Bad {
        what: what.into(),
        remedy: remedy.into(),
    }
}

/// Checks everything; exits with 1 if anything does not work.
pub(super) async fn run(config: &Config, out: Out) -> anyhow::Result<ExitCode> {
    let served = admin::is_served(config);
    let mut healthy = true;
    let mut say = |name, verdict| {
        healthy &= !matches!(verdict, Verdict::Bad { .. });
        print(name, verdict, out)
    };
    let running = if served { "running" } else { "not running" };
    say("server", good(running))?;
    say("config", checks::config(config))?;
    if config.data.dir.exists() {
        say("data folder", checks::folder(config))?;
        say("disk", checks::disk(config))?;
        say("master key", checks::master_key(config))?;
        let log = boot::read_log(config);
        say("event log", state::log(&log).await)?;
        say("vault", checks::vault(config).await)?;
        let hub = if served {
            admin::status(config).await.ok()
        } else {
            None
        };
        say("views", state::views(config, &log, hub.as_ref()).await)?;
        say("webhooks", state::webhooks(&log, hub.as_ref()).await)?;
        say("clock", state::clock(&log).await)?;
    } else {
        let what = format!("{} does not exist", config.data.dir.display());
        say(
            "data folder",
            bad(what, "start wharf serve once, or set data.dir"),
        )?;
    }
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(name: &str, verdict: Verdict, out: Out) -> std::io::Result<()> {
    let (word, what, remedy) = match verdict {
        Verdict::Good(what) => ("ok", what, None),
        Verdict::Warn { what, remedy } => ("warn", what, Some(remedy)),
        Verdict::Bad { what, remedy } => ("fail", what, Some(remedy)),
    };
    let machine = json!({ "check": name, "verdict": word, "what": what, "remedy": remedy });
    out.say(&machine, || match remedy {
        None => format!("{word:<5} {name:<12} {what}"),
        Some(remedy) => format!("{word:<5} {name:<12} {what}\n      what to do: {remedy}"),
    })
}
