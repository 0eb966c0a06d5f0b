//! `wharf log tail`, `replay` and `stats`: read-only, beside a running server or without one.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};
use wharf_domain::{
    kernel::{Position, StoredCommit},
    ports::EventLog,
};
use wharf_eventlog::SqliteLog;

use super::{LogArgs, LogCommand, print::Out};
use crate::{boot, config::Config, stop::StopSignals};

/// Commits read at once.
const PAGE: usize = 1000;
/// How often a log that another process writes is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(
    config: &Config,
    command: LogCommand,
    out: Out,
) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Copy { from, to } => super::copy::copy(config, &from, &to, out).await,
        LogCommand::Tail(args) => {
            let log = open(config)?;
            let mut after = match args.after() {
                Some(after) => after,
                None => log.tail().await?,
            };
            let mut signals = StopSignals::listen()?;
            loop {
                after = replay(&log, after, &args, out).await?;
                tokio::select! {
                    () = signals.asked() => return Ok(ExitCode::SUCCESS),
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
        LogCommand::Replay(args) => {
            replay(&open(config)?, args.after().unwrap_or_default(), &args, out).await?;
            Ok(ExitCode::SUCCESS)
        }
        LogCommand::Verify => super::verify::verify(config, out).await,
        LogCommand::Repair { prefix, leave_out } => {
            super::repair::run(config, prefix, leave_out, out).await
        }
        LogCommand::Stats => {
            let stats = serde_json::to_value(open(config)?.stats().await?)?;
            out.say(&stats, || lines(&stats))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The log, or this node's mirror of it.
pub(super) fn open(config: &Config) -> anyhow::Result<SqliteLog> {
    boot::read_log(config).with_context(|| none(config))
}

/// What is said where there is no log.
pub(super) fn none(config: &Config) -> String {
    format!(
        "there is no log in {}; set data.dir, or start wharf serve",
        config.data.dir.display()
    )
}

/// Prints what `args` chooses after `after`; answers the last position read.
async fn replay(
    log: &SqliteLog,
    mut after: Position,
    args: &LogArgs,
    out: Out,
) -> anyhow::Result<Position> {
    loop {
        let commits = log.read_all(after, PAGE).await?;
        let Some(last) = commits.last() else {
            return Ok(after);
        };
        after = last.position;
        for commit in &commits {
            print(commit, args, out)?;
        }
    }
}

fn print(commit: &StoredCommit, args: &LogArgs, out: Out) -> anyhow::Result<()> {
    let stream = commit.stream.to_string();
    if args
        .project
        .as_ref()
        .is_some_and(|project| *project != commit.stream.project)
        || args.stream.as_ref().is_some_and(|wanted| *wanted != stream)
    {
        return Ok(());
    }
    let meta = commit.meta()?;
    for (index, event) in commit.raw_events()?.into_iter().enumerate() {
        let chosen = args
            .type_tag
            .as_deref()
            .is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => event.type_tag.starts_with(prefix),
                None => event.type_tag == wanted,
            });
        if !chosen {
            continue;
        }
        let mut data: Value = serde_json::from_str(event.data.get())?;
        shorten(&mut data);
        let id = format!("{}.{index}", commit.position);
        let machine = json!({
            "id": id, "stream": stream, "type": event.type_tag, "version": event.version,
            "time": meta.time, "actor": meta.actor, "correlation": meta.correlation,
            "causation": meta.causation, "data": data,
        });
        out.say(&machine, || {
            format!(
                "{id:>8}  {}  {:<28}  {stream}  {}  {data}",
                meta.time, event.type_tag, meta.actor
            )
        })?;
    }
    Ok(())
}

/// Sealed bytes say nothing to a reader: how many they are is enough.
fn shorten(data: &mut Value) {
    if let Some(sealed) = data.get_mut("sealed")
        && let Some(text) = sealed.as_str()
    {
        *sealed = Value::String(format!("({} sealed characters)", text.len()));
    }
}

/// A JSON object as lines for people.
pub(super) fn lines(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return value.to_string();
    };
    let rows: Vec<_> = object
        .iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("  {key:<12} {text}"),
            None => format!("  {key:<12} {value}"),
        })
        .collect();
    rows.join("\n")
}
