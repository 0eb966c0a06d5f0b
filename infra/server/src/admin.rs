//! The admin socket: how a command reaches the server that holds the data folder.
//!
//! A Unix socket inside the folder (which only its owner can enter). A request is one line of JSON; the
//! answer is lines of JSON, the last one `{"end": …}`.

use std::path::PathBuf;

use anyhow::Context as _;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
};
use wharf_api::ApiState;
use wharf_domain::kernel::Position;
use wharf_projections::{overview, timers};
use wharf_runtime::{dispatch::Dispatcher, project::Rebuilder, work::Progress};

use crate::{
    boot::App,
    config::Config,
    import::{self, Said, Wanted},
};

/// Longest request line.
const MAX_REQUEST: u64 = 64 * 1024;

/// Timers that are this late are overdue.
pub(crate) const LATE: SignedDuration = SignedDuration::from_mins(1);
/// Most overdue timers that are counted.
pub(crate) const COUNTED: u32 = 1000;

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Import a file.
    Import(Wanted),
    /// Build the views anew.
    RebuildViews,
    /// Say how the hub is.
    Status,
}

/// What only a running hub knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Events that no view could read.
    pub parked: u64,
    /// Timers due for more than a minute and not settled; counted up to 1000.
    pub overdue_timers: u64,
}

/// A line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Import(Said),
    Views { at: Position, tail: Position },
    Status(Status),
    End { error: Option<String> },
}

/// What operations need of a running hub.
#[derive(Clone)]
pub struct Operations {
    /// Reaches the aggregates.
    pub dispatch: std::sync::Arc<Dispatcher>,
    /// Rebuilds the views.
    pub rebuilder: Rebuilder,
    /// How far imports are.
    pub progress: Progress,
    /// Everything else.
    pub api: ApiState,
}

impl Operations {
    /// Those of `app`.
    #[must_use]
    pub fn of(app: &App) -> Self {
        Self {
            dispatch: app.hub.dispatch.clone(),
            rebuilder: app.hub.rebuilder.clone(),
            progress: app.hub.progress.clone(),
            api: app.api.clone(),
        }
    }

    async fn status(&self) -> anyhow::Result<Status> {
        let db = self.api.views.db();
        let late = self.api.clock.now().saturating_sub(LATE)?;
        Ok(Status {
            parked: overview::counts(&db).await?.parked,
            overdue_timers: timers::overdue(&db, late, COUNTED).await?,
        })
    }
}

fn path(config: &Config) -> PathBuf {
    config.data.dir.join("admin.sock")
}

/// Whether a server holds the data folder and answers.
#[must_use]
pub fn is_served(config: &Config) -> bool {
    std::os::unix::net::UnixStream::connect(path(config)).is_ok()
}

/// Listens on the socket until the hub stops.
///
/// # Errors
/// The socket cannot be made.
pub fn start(app: &App) -> anyhow::Result<()> {
    let path = path(&app.config);
    // Left behind by a server that was killed; the log's lock says that it is gone.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("the admin socket {} cannot be made", path.display()))?;
    let operations = Operations::of(app);
    let supervisor = app.hub.supervisor().clone();
    let stop = supervisor.stop_token();
    app.hub.supervisor().spawn("admin", async move {
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted?.0,
            };
            let (operations, stop) = (operations.clone(), stop.clone());
            supervisor.spawn_once(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    result = answer(&operations, stream) => if let Err(error) = result {
                        tracing::debug!(%error, "an admin connection ended early");
                    }
                }
            });
        }
        let _ = std::fs::remove_file(&path);
        Ok::<(), std::io::Error>(())
    });
    Ok(())
}

async fn answer(operations: &Operations, stream: UnixStream) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::AsyncReadExt::take(BufReader::new(reader), MAX_REQUEST)
        .read_line(&mut line)
        .await?;
    let (say, mut lines) = mpsc::channel(16);
    let work = async {
        let result = match serde_json::from_str(&line) {
            Ok(request) => carry_out(operations, request, &say).await,
            Err(error) => Err(error.into()),
        };
        let error = result.err().map(|error| format!("{error:#}"));
        let _ = say.send(Line::End { error }).await;
        drop(say);
    };
    let write = async {
        while let Some(line) = lines.recv().await {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            writer.write_all(&text).await?;
        }
        anyhow::Ok(())
    };
    let ((), written) = tokio::join!(work, write);
    written
}

async fn carry_out(
    operations: &Operations,
    request: Request,
    say: &mpsc::Sender<Line>,
) -> anyhow::Result<()> {
    match request {
        Request::Import(wanted) => {
            let (to, mut said) = mpsc::channel(16);
            let relay = async {
                while let Some(said) = said.recv().await {
                    let _ = say.send(Line::Import(said)).await;
                }
            };
            let (result, ()) = tokio::join!(import::run(operations, wanted, to), relay);
            result
        }
        Request::RebuildViews => {
            let (progress, mut seen) = watch::channel(Default::default());
            let relay = async {
                while seen.changed().await.is_ok() {
                    let (at, tail) = *seen.borrow_and_update();
                    let _ = say.send(Line::Views { at, tail }).await;
                }
            };
            let (result, ()) = tokio::join!(operations.rebuilder.rebuild(progress), relay);
            result?;
            Ok(())
        }
        Request::Status => {
            let status = operations.status().await?;
            let _ = say.send(Line::Status(status)).await;
            Ok(())
        }
    }
}

/// Asks the server for an import and relays what it says.
///
/// # Errors
/// The server's own error, or the connection broke.
pub async fn ask(
    config: &Config,
    request: &Request,
    say: mpsc::Sender<Said>,
) -> anyhow::Result<()> {
    exchange(config, request, async |line| {
        if let Line::Import(said) = line {
            let _ = say.send(said).await;
        }
    })
    .await
}

/// Asks the server for a rebuild of the views.
///
/// # Errors
/// The server's own error, or the connection broke.
pub async fn rebuild(config: &Config, progress: impl Fn(Position, Position)) -> anyhow::Result<()> {
    exchange(config, &Request::RebuildViews, async |line| {
        if let Line::Views { at, tail } = line {
            progress(at, tail);
        }
    })
    .await
}

/// Asks the server how it is.
///
/// # Errors
/// It does not answer.
pub async fn status(config: &Config) -> anyhow::Result<Status> {
    let said = std::cell::Cell::new(None);
    exchange(config, &Request::Status, async |line| {
        if let Line::Status(status) = line {
            said.set(Some(status));
        }
    })
    .await?;
    said.get().context("the server did not say how it is")
}

async fn exchange(
    config: &Config,
    request: &Request,
    on_line: impl AsyncFn(Line),
) -> anyhow::Result<()> {
    let stream = UnixStream::connect(path(config))
        .await
        .context("the server does not answer")?;
    let (reader, mut writer) = stream.into_split();
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Line::End { error: None } => return Ok(()),
            Line::End { error: Some(error) } => anyhow::bail!("{error}"),
            line @ (Line::Import(_) | Line::Views { .. } | Line::Status(_)) => on_line(line).await,
        }
    }
    anyhow::bail!("the server went away; what was accepted goes on when it is back")
}
