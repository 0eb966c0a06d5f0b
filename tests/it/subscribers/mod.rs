//! Programs that follow the log without the hub: the examples of `infra/deploy/subscribers`, as their users run
//! them, held to what the hub's own API says.

mod accounts;
mod javascript;
mod python;
mod rust;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Client, PATIENCE},
    peers,
    process::{Home, Wharf, workspace},
    storage::Storage,
};

/// Lines that a program may be ahead of the test; then it waits.
const AHEAD: usize = 1024;

/// A hub with its log on the server that tests share, and where a subscriber finds it.
struct Followed {
    hub: Wharf,
    url: String,
    prefix: String,
}

impl Followed {
    async fn start() -> Self {
        blocking(|| {
            let home = Home::on(Storage::new(true, false));
            let settings = home.storage().settings();
            let setting = |wanted: &str| {
                let found = settings.iter().find(|(name, _)| *name == wanted);
                found.expect("the log is on JetStream").1.clone()
            };
            Self {
                url: setting("WHARF_LOG__NATS_URL"),
                prefix: setting("WHARF_LOG__NATS_PREFIX"),
                hub: home.serve(),
            }
        })
        .await
    }

    /// What an example is told: where, what, from which position, and what else.
    fn args(&self, project: &str, position: &Path, more: &[&str]) -> Vec<String> {
        let position = position.to_str().expect("a path in UTF-8");
        let args = [&self.url, project, position, "--prefix", &self.prefix];
        args.iter().chain(more).map(|&arg| arg.to_owned()).collect()
    }

    /// A file in the hub's temporary folder.
    fn file(&self, name: &str) -> PathBuf {
        self.hub.home.path().join(name)
    }
}

/// A subscriber's program. Killed when dropped.
struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: thread::JoinHandle<String>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().expect("it is piped");
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self {
            child,
            lines,
            errors,
        }
    }

    /// The next event that it prints; none once it has ended.
    fn next(&self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(serde_json::from_str(&line).expect("it prints JSON")),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program hangs"),
        }
    }

    /// The rest of its output, and a good end.
    fn finish(mut self) -> Vec<Value> {
        let mut events = vec![];
        while let Some(event) = self.next() {
            events.push(event);
        }
        let status = self.child.wait().expect("it ends");
        let errors = std::mem::replace(&mut self.errors, thread::spawn(String::new));
        let errors = errors.join().expect("its errors are read");
        assert!(status.success(), "{status}: {errors}");
        events
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

fn path(name: &str) -> PathBuf {
    workspace().join("infra/deploy").join(name)
}

/// The example in Python, with these arguments.
fn follow_py(args: Vec<String>) -> Command {
    let mut command = Command::new(peers::program("python3").unwrap());
    command.arg("-B").arg(path("subscribers/python/follow.py"));
    command.args(args);
    command
}

/// Runs a program to its end; what it printed.
async fn run(command: Command) -> Vec<Value> {
    blocking(move || Program::start(command).finish()).await
}

/// Something of every kind: an integration whose sync brings pages, and some messages.
async fn live(hub: &Wharf, project: &str, messages: u32) {
    let client = hub.client(project, Role::Admin);
    let body = json!({
        "project_id": project, "integration_type": "sandbox", "name": "sandbox", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": format!("sandbox_{project}") },
    });
    let created = client.post("/api/v1/integrations", &body).await.ok();
    let integration = format!("/api/v1/integrations/{}", created["id"].as_str().unwrap());
    let started = client
        .post(&format!("{integration}/sync"), &json!({}))
        .await;
    let run = started.ok()["run_id"].as_str().unwrap().to_owned();
    client
        .until(&integration, |integration| {
            integration["open_run_id"] != run.as_str()
        })
        .await;
    send(&client, messages).await;
}

async fn send(client: &Client, messages: u32) {
    for n in 0..messages {
        let path = "/api/v1/webhooks/events/task.created";
        client.post(path, &json!({ "n": n })).await.ok();
    }
}

/// What the hub says that a subscriber to `project` has to see.
async fn expected(hub: &Wharf, project: &str) -> Vec<Value> {
    let client = hub.client(project, Role::Viewer);
    let mut events = vec![];
    let mut after = "0".to_owned();
    loop {
        let path = format!("/api/v1/events?limit=500&after={after}");
        let page = client.get(&path).await.ok();
        events.extend(page["events"].as_array().unwrap().iter().map(in_the_log));
        if page["complete"] == true {
            return events;
        }
        after = page["next"].as_str().unwrap().to_owned();
    }
}

/// An event of the API as it lies in the log, and where. A position is known only after the event was written,
/// so its id there is the commit's; who and why is in the message's headers.
fn in_the_log(event: &Value) -> Value {
    let (position, index) = event["id"].as_str().unwrap().split_once('.').unwrap();
    let (position, index): (u64, u64) = (position.parse().unwrap(), index.parse().unwrap());
    json!({
        "position": position,
        "index": index,
        "event": {
            "specversion": "1.0",
            "id": format!("{}.{index}", event["commitid"].as_str().unwrap()),
            "source": event["source"],
            "subject": event["subject"],
            "type": event["type"],
            "time": event["time"],
            "schemaversion": event["schemaversion"],
            "data": event["data"],
        },
    })
}
