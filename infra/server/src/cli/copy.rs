//! `wharf log copy FROM TO`: moves a log from one kind of storage to another, or checks that two are equal.
//!
//! Both ends are named by URLs; a kind of storage is a line of [`origin`] and one of [`destination`].

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use serde_json::json;
use wharf_eventlog::{
    Destination, JetStreamLog, Moved, Options, Origin, SqliteImporter, SqliteLog, Step, transfer,
};
use wharf_runtime::clock::SystemClock;

use super::print::{Out, bar};
use crate::{config::Config, storage};

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A folder with a `log.db`.
    Sqlite(PathBuf),
    /// Servers of one `JetStream`; prefix, copies and this node's mirror are as configured.
    JetStream(String),
}

impl std::str::FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        if url.starts_with("nats://") || url.starts_with("tls://") {
            return Ok(Self::JetStream(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        let Some(path) = path.map(Path::new) else {
            anyhow::bail!("{url} names no log; say sqlite:FOLDER or nats://HOST:PORT");
        };
        // The file is as good a name as its folder.
        let folder = match path.file_name() {
            Some(name) if name == "log.db" => path.parent().unwrap_or_else(|| Path::new(".")),
            Some(_) | None => path,
        };
        Ok(Self::Sqlite(folder.to_owned()))
    }
}

async fn origin(place: &Place, config: &Config) -> anyhow::Result<Box<dyn Origin>> {
    match place {
        Place::Sqlite(dir) => Ok(Box::new(SqliteLog::open_read_only(
            dir,
            Options::default(),
            Arc::new(SystemClock),
        )?)),
        Place::JetStream(servers) => Ok(Box::new(jetstream(servers, config).await?)),
    }
}

async fn destination(place: &Place, config: &Config) -> anyhow::Result<Box<dyn Destination>> {
    match place {
        Place::Sqlite(dir) => {
            crate::boot::create_private(dir)?;
            Ok(Box::new(SqliteImporter::open(
                dir,
                Options::default(),
                Arc::new(SystemClock),
            )?))
        }
        Place::JetStream(servers) => Ok(Box::new(jetstream(servers, config).await?)),
    }
}

/// The log on these servers, with the mirror that this node goes on with. It closes when it is dropped.
async fn jetstream(servers: &str, config: &Config) -> anyhow::Result<JetStreamLog> {
    let options = storage::jetstream(servers, config);
    crate::boot::create_private(&options.mirror)?;
    Ok(JetStreamLog::open(options, Arc::new(SystemClock)).await?)
}

pub(super) async fn copy(
    config: &Config,
    from: &str,
    to: &str,
    out: Out,
) -> anyhow::Result<ExitCode> {
    let (from, to): (Place, Place) = (from.parse()?, to.parse()?);
    anyhow::ensure!(
        from != to,
        "a log cannot be copied onto itself; name two places"
    );
    let origin = origin(&from, config).await?;
    let destination = destination(&to, config).await?;
    let bar = bar(out, 0, "commits");
    let report = transfer(&*origin, &*destination, &mut |moved: Moved| {
        bar.set_message(match moved.step {
            Step::Compare => "comparing what is there",
            Step::Copy => "copying",
            Step::ReadBack => "reading back",
        });
        bar.set_length(moved.tail.0);
        bar.set_position(moved.done.0);
    })
    .await?;
    bar.finish_and_clear();
    let grew = origin.log().tail().await?.0.saturating_sub(report.tail.0);
    let machine = json!({
        "tail": report.tail, "events": report.events, "chain": report.chain, "behind": grew,
    });
    out.say(&machine, || {
        let more = if grew == 0 {
            String::new()
        } else {
            format!(
                "\nThe original has grown by {grew} commits meanwhile: stop its hub, and copy again."
            )
        };
        format!(
            "both logs are the same up to position {}: {} events, chain {}{more}",
            report.tail, report.events, report.chain
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
