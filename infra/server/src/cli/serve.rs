//! `wharf serve`.

use std::process::ExitCode;

use serde_json::json;

use super::print::Out;
use crate::{admin, boot::App, config::Config, stop::StopSignals, telemetry};

pub(super) async fn serve(config: Config, out: Out) -> anyhow::Result<ExitCode> {
    let signals = StopSignals::listen()?;
    let exporter = telemetry::start_logs(&config.telemetry)?;
    let app = App::open(config, telemetry::start_metrics()?, true).await?;
    if let Some(exporter) = exporter {
        telemetry::start_export(&app, exporter);
    }
    let router = app.router();
    admin::start(&app)?;
    let url = app.api.options.public_base_url.clone();
    let listening: Vec<_> = app
        .addresses
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    out.say(&json!({ "listening": listening, "docs": format!("{url}/docs") }), || {
        format!(
            "wharf is listening on {}\n  docs    {url}/docs\n  health  {url}/api/v1/health\n  token   wharf token --project PROJECT",
            listening.join(", ")
        )
    })?;
    app.serve(router, signals).await?;
    Ok(ExitCode::SUCCESS)
}
