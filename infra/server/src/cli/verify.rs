//! `wharf log verify`: proves that the log is whole, in this node's file and on every server that keeps a
//! copy, and says what to do about what is not.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use serde_json::{Value, json};
use wharf_domain::ports::EventLog as _;
use wharf_eventlog::{Report, ServerCopy, ServersReport, SqliteLog, verify_servers};

use super::{
    log::lines,
    print::{Out, bar},
};
use crate::{boot, config::Config, storage};

pub(super) async fn verify(config: &Config, out: Out) -> anyhow::Result<ExitCode> {
    if config.log.nats_url.is_empty() {
        let log = super::log::open(config)?;
        return file(&log, out).await;
    }
    let mirror = match boot::read_log(config) {
        Ok(mirror) => Some(mirror),
        // A node that has none yet can look at the servers all the same.
        Err(wharf_eventlog::Error::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let own = match &mirror {
        Some(mirror) => Some(proven(mirror, out).await),
        None => None,
    };
    // A damaged mirror says nothing about the servers.
    let compared = mirror.as_ref().filter(|_| matches!(own, Some(Ok(_))));
    let options = storage::jetstream(&config.log.nats_url, config);
    let bar = bar(out, 0, "commits");
    let servers = verify_servers(&options, compared, &mut |server, progress| {
        bar.set_message(format!("on {server}"));
        bar.set_length(progress.tail.0);
        bar.set_position(progress.done.0);
    })
    .await;
    bar.finish_and_clear();
    let servers = servers.with_context(|| match &mirror {
        Some(_) => "the servers' stream cannot be read".to_owned(),
        None => super::log::none(config),
    })?;
    conclude(config, own, &servers, out)
}

/// Verifies the embedded log.
async fn file(log: &SqliteLog, out: Out) -> anyhow::Result<ExitCode> {
    match proven(log, out).await {
        Ok(report) => {
            let value = shown(&report);
            out.say(&value, || format!("the log is whole\n{}", lines(&value)))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            out.say(&json!({ "fault": fault }), || {
                format!("{fault}\nStop the hub, keep a copy of the data folder, restore a backup.")
            })?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What a file proves, or what is wrong with it.
async fn proven(log: &SqliteLog, out: Out) -> Result<Report, String> {
    let tail = log.tail().await.map_err(|error| error.to_string())?;
    let bar = bar(out, tail.0, "commits");
    let report = log
        .verify(&mut |progress| bar.set_position(progress.done.0))
        .await;
    bar.finish_and_clear();
    report.map_err(|error| error.to_string())
}

/// Says what was found, of the mirror and of each server, and what follows from it.
fn conclude(
    config: &Config,
    own: Option<Result<Report, String>>,
    servers: &ServersReport,
    out: Out,
) -> anyhow::Result<ExitCode> {
    let damaged: Vec<_> = servers
        .copies
        .iter()
        .filter(|copy| copy.faulty > 0)
        .collect();
    let remedy = remedy(config, own.as_ref(), servers, damaged.len());
    let mut value = json!({
        "servers": servers.copies.iter().map(copy_shown).collect::<Vec<_>>(),
        "unread": servers.unread,
        "fault": own.as_ref().and_then(|own| own.as_ref().err()),
        "remedy": remedy,
    });
    let mut text = String::new();
    match &own {
        Some(Ok(report)) => {
            if damaged.is_empty() {
                text.push_str("the log is whole\n");
            }
            let report = shown(report);
            let _ = writeln!(text, "this node's mirror:\n{}", lines(&report));
            if let (Value::Object(all), Value::Object(report)) = (&mut value, report) {
                all.extend(report);
            }
        }
        Some(Err(fault)) => {
            let _ = writeln!(text, "this node's mirror: {fault}");
        }
        None => text.push_str("this node has no mirror\n"),
    }
    for copy in &servers.copies {
        text.push_str(&copy_told(copy));
    }
    for server in &servers.unread {
        let _ = writeln!(
            text,
            "server {server}: it does not answer, its copy was not read"
        );
    }
    if let Some(remedy) = &remedy {
        text.push_str(remedy);
    }
    out.say(&value, || text.trim_end().to_owned())?;
    Ok(if remedy.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What to do; nothing if all is well.
fn remedy(
    config: &Config,
    own: Option<&Result<Report, String>>,
    servers: &ServersReport,
    damaged: usize,
) -> Option<String> {
    if damaged > 0 && damaged < servers.copies.len() {
        return Some(format!(
            "Other servers have whole copies of {}. Rebuild the damaged one from them: see \
             docs/operations/damage.md, \"One server's copy is damaged\".",
            servers.stream
        ));
    }
    match own {
        Some(Ok(report)) if damaged > 0 && report.tail >= servers.tail => Some(
            "The mirror has what the servers lost. Stop every node, then run wharf log repair."
                .to_owned(),
        ),
        Some(Ok(_)) | None if damaged > 0 => Some(
            "Run wharf log verify on the other nodes: one whose mirror has all of the log can repair \
             it. Do not move any mirror away before that."
                .to_owned(),
        ),
        Some(Err(_)) if damaged > 0 => Some(
            "The mirror is damaged, too. Run wharf log verify on the other nodes: one whose mirror is \
             whole can repair the log."
                .to_owned(),
        ),
        Some(Err(_)) => Some(format!(
            "The servers have the log. Stop this node and move {} away: it is made again.",
            storage::log_dir(config).display()
        )),
        Some(Ok(_)) | None => None,
    }
}

fn shown(report: &Report) -> Value {
    json!({
        "commits": report.commits,
        "events": report.events,
        "streams": report.streams,
        "tail": report.tail,
        "chain": report.chain,
    })
}

fn copy_shown(copy: &ServerCopy) -> Value {
    let faults: Vec<_> = copy
        .faults
        .iter()
        .map(|fault| {
            let stream = fault.stream.as_ref().map(ToString::to_string);
            json!({ "position": fault.position, "stream": stream, "what": fault.what.to_string() })
        })
        .collect();
    json!({
        "server": copy.server,
        "tail": copy.report.as_ref().map(|report| report.tail),
        "chain": copy.report.as_ref().map(|report| report.chain),
        "faults": faults,
        "faulty": copy.faulty,
    })
}

fn copy_told(copy: &ServerCopy) -> String {
    if let Some(report) = &copy.report {
        return format!(
            "server {}: whole up to position {}, chain {}\n",
            copy.server, report.tail, report.chain
        );
    }
    let mut text = format!("server {}: damaged commits: {}\n", copy.server, copy.faulty);
    for fault in &copy.faults {
        let stream = fault.stream.as_ref().map(ToString::to_string);
        let _ = writeln!(
            text,
            "  position {}, stream {}: {}",
            fault.position,
            stream.as_deref().unwrap_or("unknown"),
            fault.what
        );
    }
    let more = copy.faulty.saturating_sub(copy.faults.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}
