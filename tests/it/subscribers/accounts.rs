//! `infra/deploy/nats/accounts.conf`: a subscriber that may read one project and do nothing else.

use std::{collections::BTreeMap, fs, process::Command};

use async_nats::{ConnectOptions, jetstream};
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use wharf_tests::{
    nats::{Nats, Sync},
    peers,
    process::{Home, Wharf, workspace},
};

use super::{blocking, expected, follow_py, live, path, run, rust};

/// A server with the accounts, and a hub on it that has something to read.
struct Guarded {
    server: Nats,
    hub: Wharf,
}

impl Guarded {
    async fn start() -> Self {
        let guarded = blocking(|| {
            let mut server = Nats::start(Sync::Default);
            let file = server.store().with_file_name("nats.conf");
            let plain = fs::read_to_string(&file).unwrap();
            let accounts = fs::read_to_string(path("nats/accounts.conf")).unwrap();
            // What a URL may only say in another way.
            let more = "NATS_PASSWORD: \"hub/pass@word\"\nACME_PASSWORD: acme-password\n";
            fs::write(&file, format!("{more}{plain}{accounts}")).unwrap();
            server.kill();
            server.run();
            let url = format!("nats://wharf:hub%2Fpass%40word@{}", server.address());
            let hub = Home::files().serve_with(&BTreeMap::from([("WHARF_LOG__NATS_URL", &*url)]));
            Self { server, hub }
        })
        .await;
        live(&guarded.hub, "acme", 5).await;
        live(&guarded.hub, "other", 5).await;
        guarded
    }

    /// Where the subscriber finds it, and who it is.
    fn url(&self) -> String {
        format!("nats://acme:acme-password@{}", self.server.address())
    }

    /// What the hub's own account may do.
    async fn context(&self) -> jetstream::Context {
        let password = "hub/pass@word".to_owned();
        let login = ConnectOptions::with_user_and_password("wharf".to_owned(), password);
        jetstream::new(login.connect(self.server.url()).await.unwrap())
    }

    /// What must not change: the streams, their ends, and the consumers that are the hub's for ever.
    async fn state(&self) -> Vec<Value> {
        let context = self.context().await;
        let mut state = vec![];
        for name in ["WHARF", "WHARF_MARKS"] {
            let mut stream = context.get_stream(name).await.unwrap();
            let info = stream.info().await.unwrap();
            state.push(json!({ "config": info.config, "end": info.state.last_sequence }));
            let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
            let mut consumers: Vec<_> = consumers.into_iter().map(|found| found.config).collect();
            consumers.retain(|config| config.durable_name.is_some());
            consumers.sort_by(|one, other| one.durable_name.cmp(&other.durable_name));
            state.extend(consumers.into_iter().map(|config| json!(config)));
        }
        state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_with_an_account_of_its_own_reads_its_project() {
    let guarded = Guarded::start().await;
    let position = guarded.hub.home.path().join("position");
    let args = |more: &[&str]| {
        let position = position.to_str().unwrap().to_owned();
        let mut args = vec![guarded.url(), "acme".to_owned(), position];
        args.extend(["--api", "wharf"].map(str::to_owned));
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        args
    };
    let mut seen = run(follow_py(args(&["--limit", "4"]))).await;
    seen.extend(run(follow_py(args(&["--once"]))).await);
    let whole = expected(&guarded.hub, "acme").await;
    assert_eq!(seen, whole);
    // The same in Rust.
    fs::remove_file(&position).unwrap();
    let mut command = Command::new(rust::program().await);
    command.args(args(&["--once"]));
    assert_eq!(run(command).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_with_an_account_of_its_own_can_do_nothing_else() {
    let guarded = Guarded::start().await;
    let before = guarded.state().await;
    let deliver = |config: &Value| config["durable_name"] == "deliver";
    assert!(before.iter().any(deliver), "{before:?}");
    let mut command = Command::new(peers::program("python3").unwrap());
    command
        .arg("-B")
        .arg(workspace().join("tests/it/subscribers/trespass.py"))
        .arg(guarded.url());
    let outcomes = run(command).await.remove(0);
    let outcomes = outcomes.as_object().unwrap();
    let first = &expected(&guarded.hub, "acme").await[0]["position"];
    let mut forbidden = 0;
    for (tried, outcome) in outcomes {
        match tried.strip_prefix("allowed: ") {
            Some("acknowledged") => assert_eq!(outcome, first),
            Some("read") => assert!(outcome.as_str().unwrap().contains(".acme.")),
            Some(what) => assert_eq!(outcome, "done", "{what}"),
            None => {
                forbidden += 1;
                assert!(is_refusal(outcome), "{tried}: {outcome}");
            }
        }
    }
    assert!(forbidden >= 50, "{outcomes:?}");
    assert_eq!(guarded.state().await, before);
}

/// The server said no, or there is nobody to ask.
fn is_refusal(outcome: &Value) -> bool {
    outcome
        .as_str()
        .is_some_and(|said| said == "nobody answers" || said.starts_with("error "))
}
