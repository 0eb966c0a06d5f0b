//! What was erased: a restore forgets again what was erased after its backup was made.
//!
//! A list of erasures holds ids and times, nothing else; it is small enough to be kept away from the
//! backups, and to be taken often.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_domain::{
    integrations::IntegrationCommand,
    kernel::{Category, IntegrationId, Position, ProjectId, StoredCommit, WebhookId},
    ports::{Context, Dispatch as _, DispatchError, EventLog, Scope, Vault},
    webhooks::WebhookCommand,
};
use wharf_eventlog::SqliteLog;
use wharf_runtime::{clock::SystemClock, dispatch::Dispatcher};

use super::LOG;
use crate::{boot, cli::print::Out, config::Config};

/// Commits read at once.
const PAGE: usize = 1000;

/// What was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "erased", rename_all = "snake_case")]
enum What {
    /// An integration: its credential, its pages, its records.
    Integration {
        project: ProjectId,
        id: IntegrationId,
    },
    /// A webhook: its secrets.
    Webhook { project: ProjectId, id: WebhookId },
}

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Erasure {
    /// Position of the commit that says so.
    position: u64,
    /// When.
    time: Timestamp,
    #[serde(flatten)]
    what: What,
}

/// `wharf erasures`: prints those of the log, one a line.
pub(in crate::cli) async fn list(config: &Config, out: Out) -> anyhow::Result<ExitCode> {
    let log = boot::read_log(config)?;
    for erasure in of_log(&log, Position::START).await? {
        let machine = serde_json::to_value(&erasure)?;
        out.say(&machine, || machine.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those in `from`: a list that `wharf erasures` printed, or a folder with a log (a later backup, or what
/// is left of a data folder).
pub(super) async fn read(from: &Path) -> anyhow::Result<Vec<Erasure>> {
    let cannot = || format!("{} cannot be read as erasures", from.display());
    if from.join(LOG).exists() {
        let options = wharf_eventlog::Options::default();
        let log = SqliteLog::open_read_only(from, options, Arc::new(SystemClock))?;
        return of_log(&log, Position::START).await;
    }
    let file = std::fs::File::open(from).with_context(cannot)?;
    BufReader::new(file)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<anyhow::Result<_>>()
        .with_context(cannot)
}

async fn of_log(log: &dyn EventLog, mut after: Position) -> anyhow::Result<Vec<Erasure>> {
    let mut erasures = vec![];
    loop {
        let commits = log.read_all(after, PAGE).await?;
        let Some(last) = commits.last() else {
            return Ok(erasures);
        };
        after = last.position;
        for commit in &commits {
            erasures.extend(of_commit(commit)?);
        }
    }
}

fn of_commit(commit: &StoredCommit) -> anyhow::Result<Option<Erasure>> {
    let deleted = match commit.stream.category {
        Category::Integration => "\"integration.deleted\"",
        Category::Webhook => "\"webhook.deleted\"",
        Category::Credential | Category::SyncRun | Category::Message | Category::Delivery => {
            return Ok(None);
        }
    };
    let (Some(id), true) = (commit.stream.uuid(), commit.headers.contains(deleted)) else {
        return Ok(None);
    };
    let project = commit.stream.project.clone();
    Ok(Some(Erasure {
        position: commit.position.0,
        time: commit.meta()?.time,
        what: if commit.stream.category == Category::Integration {
            What::Integration {
                project,
                id: IntegrationId(id),
            }
        } else {
            What::Webhook {
                project,
                id: WebhookId(id),
            }
        },
    }))
}

/// Forgets again: destroys the key, so that nothing of it opens any more, then says so in the log. What
/// the log does not know, or knows to be erased, is destroyed all the same.
pub(super) async fn replay(
    erasure: &Erasure,
    vault: &dyn Vault,
    dispatch: &Dispatcher,
) -> anyhow::Result<()> {
    let cause = format!("restore/{}", erasure.position);
    let mut context = Context::system("restore", &cause, &cause);
    context.causation = None;
    match &erasure.what {
        What::Integration { project, id } => {
            vault
                .shred(&Scope::Integration(project.clone(), *id))
                .await?;
            let command = IntegrationCommand::Delete;
            known_or_erased(dispatch.integration(project, *id, command, context).await)
        }
        What::Webhook { project, id } => {
            vault.shred(&Scope::Webhook(project.clone(), *id)).await?;
            let command = WebhookCommand::Delete;
            known_or_erased(dispatch.webhook(project, *id, command, context).await)
        }
    }
}

fn known_or_erased<T, R>(answer: Result<T, DispatchError<R>>) -> anyhow::Result<()>
where
    R: std::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(_) | Err(DispatchError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
