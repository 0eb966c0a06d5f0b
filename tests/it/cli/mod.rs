//! The command line as its users meet it: what each command prints, how it exits, and what it says when
//! something is wrong.

mod backup;
mod copy;
mod doctor;
mod import;
mod keys;
mod log;
mod metrics;
mod print;
mod serve;
mod views;

use serde_json::{Value, json};
use wharf_tests::{client::Client, process::Home};

/// Runs a command that must succeed; answers what it prints.
#[track_caller]
fn ok(home: &Home, args: &[&str]) -> String {
    let (code, out, errors) = home.run(args);
    assert_eq!(code, 0, "wharf {args:?}: {out}{errors}");
    out
}

/// Runs a command that must fail; answers what it complains about.
#[track_caller]
fn fails(home: &Home, args: &[&str]) -> String {
    let (code, out, errors) = home.run(args);
    assert_eq!(code, 1, "wharf {args:?}: {out}{errors}");
    errors
}

/// What a command prints with `--json`: an object a line.
#[track_caller]
fn said(home: &Home, args: &[&str]) -> Vec<Value> {
    let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
    lines(&ok(home, &args))
}

#[track_caller]
fn lines(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Creates an integration without a credential; answers its id.
async fn integration(client: &Client, name: &str) -> String {
    let body = json!({
        "project_id": "p", "integration_type": "apple_health", "name": name, "configuration": {},
    });
    let created = client.post("/api/v1/integrations", &body).await.ok();
    created["id"].as_str().unwrap().to_owned()
}
