//! The commands that need no data, or only a key.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use serde_json::json;
use wharf_domain::{
    access::Role,
    ports::{Clock as _, Ids as _},
};
use wharf_runtime::clock::{SystemClock, SystemIds};

use super::{TokenArgs, print::Out};
use crate::{boot, config, config::Config, keys, telemetry::catalogue};

pub(super) fn keygen(out: Out) -> anyhow::Result<ExitCode> {
    let mut key = [0; 32];
    SystemIds.fill(&mut key);
    let key = hex::encode(key);
    out.say(&json!({ "master_key": key }), || key.clone())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn token(config: &Config, args: &TokenArgs, out: Out) -> anyhow::Result<ExitCode> {
    boot::create_private(&config.data.dir)?;
    let token = mint(config, args)?;
    out.say(&json!({ "token": token }), || token.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// A token signed with this hub's own secret.
pub(crate) fn mint(config: &Config, args: &TokenArgs) -> anyhow::Result<String> {
    let role: Role = args
        .role
        .parse()
        .map_err(|()| anyhow::anyhow!("--role is viewer, member, admin or operator"))?;
    let secret = keys::jwt_secret(config, &SystemIds)?;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let now = SystemClock.now();
    let claims = wharf_api::auth::Claims {
        subject: args.sub.clone(),
        project: args.project.clone(),
        roles: [role].into(),
        issued_at: now,
        expires_at: now.checked_add(jiff::SignedDuration::from_hours(i64::from(args.hours)))?,
        issuer: given(&config.auth.issuer),
        audience: given(&config.auth.audience),
    };
    wharf_api::auth::mint(&secret, &claims).context("the token could not be signed")
}

pub(super) fn openapi(_out: Out) -> anyhow::Result<ExitCode> {
    let document = serde_json::to_value(wharf_api::openapi())?;
    let text = serde_json::to_string_pretty(&document)?;
    Out { json: false }.tell(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn config(out: Out) -> anyhow::Result<ExitCode> {
    out.say(&json!({ "defaults": config::DEFAULTS }), || {
        config::DEFAULTS.to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn metrics(out: Out) -> anyhow::Result<ExitCode> {
    let metrics: Vec<_> = catalogue::METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
            json!({
                "name": metric.name, "kind": metric.kind.name(), "unit": metric.unit.name(),
                "labels": labels, "meaning": metric.meaning,
            })
        })
        .collect();
    out.say(&json!({ "metrics": metrics }), || {
        catalogue::markdown().trim_end().to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn explain(code: Option<&str>, out: Out) -> anyhow::Result<ExitCode> {
    let problems = wharf_api::problems();
    let Some(code) = code else {
        for problem in problems {
            out.say(
                &json!({ "code": problem.code, "statuses": problem.statuses, "title": problem.title }),
                || format!("{}  {:?}  {}", problem.code, problem.statuses, problem.title),
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let wanted = code.to_ascii_uppercase();
    let Some(problem) = problems.iter().find(|problem| problem.code == wanted) else {
        anyhow::bail!("there is no code {code}; `wharf explain` lists all");
    };
    out.say(
        &json!({
            "code": problem.code,
            "statuses": problem.statuses,
            "title": problem.title,
            "remedy": problem.remedy,
        }),
        || {
            let mut text = format!(
                "{}  HTTP {:?}\n\n{}\n",
                problem.code, problem.statuses, problem.title
            );
            let _ = write!(text, "\nWhat to do: {}", problem.remedy);
            text
        },
    )?;
    Ok(ExitCode::SUCCESS)
}
