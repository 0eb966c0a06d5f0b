//! `wharf import`: a file becomes records, through the running server if there is one, else here.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, sync::mpsc};
use wharf_domain::{
    integrations::{Create, IntegrationCommand, RequestSync, SyncSettings, Trigger},
    kernel::{IntegrationId, ProjectId, RunId, UploadId},
    ports::{Context, Dispatch as _},
    syncs::SyncType,
};
use wharf_projections::{Page, integrations, syncs};

use crate::{
    admin::{self, Operations, Request},
    boot::App,
    cli::{ImportArgs, Out},
    config::Config,
    telemetry,
};

/// Bytes of a file handed to the spool at once.
const CHUNK: usize = 1024 * 1024;
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What an import says while it goes on, and at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Said {
    /// The file is being copied into the spool.
    Copying {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The file is being read.
    Reading {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
        /// Records so far.
        records: u64,
    },
    /// It is over.
    Done(Done),
}

/// How an import ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Where the records are.
    pub integration_id: IntegrationId,
    /// The run.
    pub run_id: RunId,
    /// `completed`, `partial` or `failed`.
    pub state: String,
    /// Records imported.
    pub records: u64,
    /// Elements left out, by reason.
    pub skipped: serde_json::Value,
    /// Why it is partial or failed.
    pub failure: Option<String>,
}

/// What to import.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// The platform's slug.
    pub platform: String,
    /// Absolute path of the file.
    pub file: std::path::PathBuf,
    /// The project.
    pub project: ProjectId,
    /// The integration, or none to find or make one.
    pub integration: Option<IntegrationId>,
    /// Zone to assume where the file names none.
    pub time_zone: Option<String>,
}

/// The command.
///
/// # Errors
/// The file cannot be read, the platform is unknown, or the hub cannot be opened.
pub async fn command(config: Config, args: &ImportArgs, out: Out) -> anyhow::Result<ExitCode> {
    let file = args
        .file
        .canonicalize()
        .with_context(|| format!("{} cannot be read", args.file.display()))?;
    let wanted = Wanted {
        platform: args.platform.clone(),
        file,
        project: args.project.clone(),
        integration: args.integration,
        time_zone: args.time_zone.clone(),
    };
    let (say, said) = mpsc::channel(16);
    let showing = show(said, out);
    let request = Request::Import(wanted.clone());
    let (result, done) = if admin::is_served(&config) {
        tokio::join!(admin::ask(&config, &request, say), showing)
    } else {
        let app = App::open(config.clone(), telemetry::start_metrics()?, false).await?;
        let operations = Operations::of(&app);
        let both = tokio::join!(run(&operations, wanted, say), showing);
        app.hub.shut_down().await?;
        both
    };
    result?;
    let Some(done) = done? else {
        anyhow::bail!("the server went away; the import goes on when it is back")
    };
    let failed = done.state == "failed";
    let id = done.integration_id;
    out.say(&serde_json::to_value(&done)?, || {
        let mut text = format!("{}: {} records\n", done.state, done.records);
        if let Some(why) = &done.failure {
            text.push_str(&format!("  because  {why}\n"));
        }
        if let Some(skipped) = done
            .skipped
            .as_object()
            .filter(|skipped| !skipped.is_empty())
        {
            text.push_str(&format!(
                "  left out {}\n",
                serde_json::Value::Object(skipped.clone())
            ));
        }
        text.push_str(&format!(
            "  query    GET /api/v1/integrations/{id}/records\n"
        ));
        text.push_str(&format!(
            "  history  wharf log replay --stream {}.sync_run.{id}",
            args.project
        ));
        text
    })?;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Shows progress until the import is over.
async fn show(mut said: mpsc::Receiver<Said>, out: Out) -> anyhow::Result<Option<Done>> {
    let bar = crate::cli::byte_bar(out, 0);
    while let Some(said) = said.recv().await {
        match said {
            Said::Copying { bytes, total } => {
                bar.set_length(total);
                bar.set_position(bytes);
                bar.set_message("copying");
            }
            Said::Reading {
                bytes,
                total,
                records,
            } => {
                bar.set_length(total);
                bar.set_position(bytes);
                bar.set_message(format!("{records} records"));
            }
            Said::Done(done) => {
                bar.finish_and_clear();
                return Ok(Some(done));
            }
        }
    }
    bar.abandon();
    Ok(None)
}

/// Copies the file into the spool, asks for the run and waits for its end.
///
/// # Errors
/// Whatever keeps the run from starting. How it ends is in [`Done`].
pub async fn run(on: &Operations, wanted: Wanted, say: mpsc::Sender<Said>) -> anyhow::Result<()> {
    let integration = find_or_create(on, &wanted).await?;
    let upload = UploadId(on.api.ids.uuid());
    copy(on, upload, integration, &wanted, &say).await?;
    let mut upload = on.api.spool.finish(upload).await?;
    upload.time_zone = match &wanted.time_zone {
        Some(zone) => Some(zone.clone()),
        None => configured_zone(on, &wanted.project, integration).await?,
    };
    let run_id = RunId(on.api.ids.uuid());
    let total = upload.bytes;
    let request = RequestSync {
        run_id,
        sync_type: SyncType::Full,
        trigger: Trigger::Import,
        force: false,
        upload: Some(upload),
    };
    let receipt = on
        .dispatch
        .integration(
            &wanted.project,
            integration,
            IntegrationCommand::RequestSync(request),
            context(),
        )
        .await?;
    on.api
        .views
        .wait_for(receipt.position, Duration::from_mins(1))
        .await?;
    loop {
        let row = syncs::run(&on.api.views.db(), &wanted.project, integration, run_id).await?;
        let row = row.context("the run is gone: its integration was deleted")?;
        if row.ended_at.is_some() {
            let done = Done {
                integration_id: integration,
                run_id,
                state: serde_json::to_value(row.state)?
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                records: row.records,
                skipped: serde_json::to_value(&row.skipped)?,
                failure: row.failure.map(|failure| failure.message),
            };
            let _ = say.send(Said::Done(done)).await;
            return Ok(());
        }
        if let Some(progress) = on.progress.of(run_id) {
            let bytes = progress.bytes_read.min(total);
            let _ = say
                .send(Said::Reading {
                    bytes,
                    total,
                    records: progress.kept,
                })
                .await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The zone that the integration's configuration names.
async fn configured_zone(
    on: &Operations,
    project: &ProjectId,
    integration: IntegrationId,
) -> anyhow::Result<Option<String>> {
    let row = integrations::get(&on.api.views.db(), project, integration).await?;
    let zone = row.and_then(|row| {
        row.live
            .configuration
            .get("time_zone")?
            .as_str()
            .map(str::to_owned)
    });
    Ok(zone)
}

async fn copy(
    on: &Operations,
    upload: UploadId,
    integration: IntegrationId,
    wanted: &Wanted,
    say: &mpsc::Sender<Said>,
) -> anyhow::Result<()> {
    let mut file = tokio::fs::File::open(&wanted.file)
        .await
        .with_context(|| format!("{} cannot be read", wanted.file.display()))?;
    let total = file.metadata().await?.len();
    on.api
        .spool
        .create(upload, &wanted.project, integration)
        .await?;
    let mut offset = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut file)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)
            .await?;
        if chunk.is_empty() {
            return Ok(());
        }
        offset = on.api.spool.append(upload, offset, chunk.into()).await?;
        let _ = say
            .send(Said::Copying {
                bytes: offset,
                total,
            })
            .await;
    }
}

async fn find_or_create(on: &Operations, wanted: &Wanted) -> anyhow::Result<IntegrationId> {
    let connector = on.api.connectors.get(&wanted.platform).with_context(|| {
        let known: Vec<_> = on
            .api
            .connectors
            .manifests()
            .map(|m| m.slug.as_str())
            .collect();
        format!(
            "there is no platform {}; known: {}",
            wanted.platform,
            known.join(", ")
        )
    })?;
    anyhow::ensure!(
        connector.manifest().capabilities.file_import,
        "{} has no export files to import",
        connector.manifest().name
    );
    if let Some(id) = wanted.integration {
        return Ok(id);
    }
    let filter = integrations::Filter {
        integration_type: Some(wanted.platform.clone()),
        ..integrations::Filter::default()
    };
    let (rows, total) = integrations::list(
        &on.api.views.db(),
        &wanted.project,
        &filter,
        Page { page: 1, size: 2 },
    )
    .await?;
    match rows.first() {
        Some(row) if total == 1 => return Ok(row.id),
        Some(_) => anyhow::bail!(
            "project {} has {total} integrations of {}; say which with --integration",
            wanted.project,
            wanted.platform
        ),
        None => {}
    }
    let id = IntegrationId(on.api.ids.uuid());
    let create = Create {
        integration_type: wanted.platform.clone(),
        name: connector.manifest().name.clone(),
        configuration: json!({}),
        sync_settings: SyncSettings::default(),
        pending_auth: false,
        created_by: "wharf import".to_owned(),
        now: on.api.clock.now(),
    };
    on.dispatch
        .integration(
            &wanted.project,
            id,
            IntegrationCommand::Create(create),
            context(),
        )
        .await?;
    Ok(id)
}

fn context() -> Context {
    Context {
        actor: "system:import".to_owned(),
        correlation: "wharf import".to_owned(),
        causation: None,
        idempotency_key: None,
    }
}
