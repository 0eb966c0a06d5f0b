//! `wharf views …`

use std::process::ExitCode;

use serde_json::json;
use tokio::sync::watch;
use wharf_domain::{kernel::Position, ports::EventLog as _};
use wharf_projections::Views;

use super::{ViewsCommand, print};
use crate::{
    admin,
    boot::{self, App},
    config::Config,
    storage, telemetry,
};

pub(super) async fn run(
    config: Config,
    command: ViewsCommand,
    out: print::Out,
) -> anyhow::Result<ExitCode> {
    match command {
        ViewsCommand::Status => status(&config, out).await,
        ViewsCommand::Rebuild => rebuild(config, out).await,
    }
}

async fn status(config: &Config, out: print::Out) -> anyhow::Result<ExitCode> {
    let tail = boot::read_log(config)?.tail().await?;
    let at = match storage::database(config) {
        Some(url) => Views::peek_postgres(&url).await?,
        None => Views::peek(&storage::views_dir(config)).await?,
    };
    let at = at.unwrap_or_default();
    let lag = tail.0.saturating_sub(at.0);
    out.say(
        &json!({ "checkpoint": at, "tail": tail, "lag": lag }),
        || format!("the views are at position {at} of {tail}: {lag} behind"),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn rebuild(config: Config, out: print::Out) -> anyhow::Result<ExitCode> {
    let bar = print::bar(out, 0, "commits");
    let show = |at: Position, tail: Position| {
        bar.set_length(tail.0);
        bar.set_position(at.0);
    };
    if admin::is_served(&config) {
        admin::rebuild(&config, show).await?;
    } else {
        let app = App::open(config.clone(), telemetry::start_metrics()?, false).await?;
        let (progress, mut seen) = watch::channel(Default::default());
        let watching = async {
            while seen.changed().await.is_ok() {
                let (at, tail) = *seen.borrow_and_update();
                show(at, tail);
            }
        };
        let (result, ()) = tokio::join!(app.hub.rebuilder.rebuild(progress), watching);
        app.hub.shut_down().await?;
        result?;
    }
    bar.finish_and_clear();
    out.say(&json!({ "rebuilt": true }), || {
        "the views were built anew and are live".to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}
