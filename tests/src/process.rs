//! A real `wharf` process on a free loopback port, with a data folder of its own.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use wharf_domain::{access::Role, kernel::Secret, ports::Clock as _};
use wharf_runtime::clock::SystemClock;

use crate::{
    client::Client,
    keeper::{End, Kept},
    storage::Storage,
};

/// The token secret of every hub under test.
pub const JWT_SECRET: &str = "a-secret-for-tests-of-at-least-32-bytes";

/// The longest that a command takes.
const COMMAND_PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test, built once from the sources as they are.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = std::env::current_exe().expect("a test has a path");
    // target/<profile>/deps/it-<hash>, or target/<profile>/bench
    let profile = exe
        .ancestors()
        .skip(1)
        .find(|dir| dir.file_name().is_some_and(|name| name != "deps"))
        .expect("a test lies in a target folder");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--workspace", "--bin", "wharf"]);
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    if let Some(target) = profile.parent() {
        build.arg("--target-dir").arg(target);
    }
    // What cargo tells a program that it runs would make it build some crates anew, each time.
    for (name, _) in std::env::vars_os() {
        let told = |prefix| name.to_string_lossy().starts_with(prefix);
        if told("CARGO_PKG_") || told("CARGO_MANIFEST_") || told("CARGO_BIN_") {
            build.env_remove(&name);
        }
    }
    let status = build.current_dir(workspace()).status().expect("cargo runs");
    assert!(status.success(), "wharf does not build");
    profile.join("wharf")
});

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lie in the workspace")
}

/// A data folder that outlives restarts and goes with the last clone; with the storage that the run of the tests
/// is about.
#[derive(Clone, Debug)]
pub struct Home {
    dir: Arc<TempDir>,
    storage: Arc<Storage>,
    /// Of the uploads, which nodes that share a log share.
    uploads: Arc<TempDir>,
}

impl Default for Home {
    fn default() -> Self {
        Self::on(Storage::chosen())
    }
}

impl Home {
    /// One that keeps everything in files, for tests that look at them.
    #[must_use]
    pub fn files() -> Self {
        Self::on(Storage::default())
    }

    /// One that keeps everything in `storage`.
    #[must_use]
    pub fn on(storage: Storage) -> Self {
        Self::in_folder(&std::env::temp_dir(), storage)
    }

    /// The same, with what it keeps in files somewhere in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path, storage: Storage) -> Self {
        let somewhere = || tempfile::tempdir_in(folder).expect("a temporary folder");
        Self {
            dir: Arc::new(somewhere()),
            storage: Arc::new(storage),
            uploads: Arc::new(somewhere()),
        }
    }

    /// A folder for another node on the same storage, with the same master key; the first must have been started
    /// once.
    #[must_use]
    pub fn another_node(&self) -> Self {
        let other = Self {
            dir: Arc::new(tempfile::tempdir().expect("a temporary folder")),
            storage: self.storage.clone(),
            uploads: self.uploads.clone(),
        };
        std::fs::create_dir(other.data()).expect("a data folder");
        let key = |home: &Self| home.data().join("master.key");
        // Copies its mode, too.
        std::fs::copy(key(self), key(&other)).expect("the first node made a key");
        other
    }

    /// Where uploaded files lie.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        if self.storage.is_jetstream() {
            self.uploads.path().to_owned()
        } else {
            self.data().join("uploads")
        }
    }

    /// Where its log and views are.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The folder around it, for files of the test.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A `wharf` command on this data folder.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        self.set_up(Command::new(&*BINARY), args)
    }

    fn set_up(&self, mut command: Command, args: &[&str]) -> Command {
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("WHARF_DATA__DIR", self.data())
            .env("WHARF_SERVER__LISTEN", r#"["127.0.0.1:0"]"#)
            .env("WHARF_AUTH__JWT_SECRET", JWT_SECRET)
            .env("WHARF_EGRESS__ALLOW", r#"["127.0.0.0/8"]"#)
            .env("WHARF_TELEMETRY__LEVEL", "warn")
            .envs(self.storage.settings());
        if self.storage.is_jetstream() {
            command.env("WHARF_IMPORT__DIR", self.uploads());
        }
        command
    }

    /// Runs a command to its end; answers its exit code, output and errors. One that hangs is killed and
    /// fails the test.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut child = self
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wharf runs");
        let (out, errors) = (child.stdout.take(), child.stderr.take());
        let out = std::thread::spawn(move || read(out));
        let errors = std::thread::spawn(move || read(errors));
        let deadline = Instant::now() + COMMAND_PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("wharf can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("wharf {args:?} hangs: {:?} {:?}", out.join(), errors.join());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |reader: std::thread::JoinHandle<String>| reader.join().expect("it reads");
        (status.code().unwrap_or(-1), text(out), text(errors))
    }

    /// Starts `wharf serve` and waits until it says where it listens.
    #[must_use]
    pub fn serve(&self) -> Wharf {
        self.serve_with(&BTreeMap::new())
    }

    /// Starts `wharf serve` with more settings from the environment.
    #[must_use]
    pub fn serve_with(&self, environment: &BTreeMap<&str, &str>) -> Wharf {
        let command = Kept::command(&BINARY, End::Kill, None);
        let mut command = self.set_up(command, &["serve", "--json"]);
        let mut process = Kept::start(command.envs(environment).stderr(Stdio::piped()));
        let mut line = String::new();
        let said = process.stdout.read_line(&mut line);
        said.expect("wharf says something");
        let said: Option<Value> = serde_json::from_str(&line).ok();
        let url = said.and_then(|said| said["listening"][0].as_str().map(str::to_owned));
        let Some(url) = url else {
            let mut errors = String::new();
            let _ = process
                .stderr()
                .map(|mut stderr| stderr.read_to_string(&mut errors));
            panic!("wharf does not start: {errors}");
        };
        // What it logs is shown with the test's own output, when that fails.
        let stderr = BufReader::new(process.stderr().expect("standard error is piped"));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("wharf: {line}");
            }
        });
        Wharf {
            process,
            url,
            home: self.clone(),
        }
    }
}

fn read(stream: Option<impl std::io::Read>) -> String {
    let mut bytes = vec![];
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A running `wharf serve`; killed when dropped.
#[derive(Debug)]
pub struct Wharf {
    process: Kept,
    /// Where it listens, e.g. `http://127.0.0.1:40123`.
    pub url: String,
    /// Its data folder.
    pub home: Home,
}

impl Wharf {
    /// A client with a token for `project`.
    #[must_use]
    pub fn client(&self, project: &str, role: Role) -> Client {
        Client::new(&self.url, Some(token(project, role)))
    }

    /// A client without a token.
    #[must_use]
    pub fn stranger(&self) -> Client {
        Client::new(&self.url, None)
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(self) {
        drop(self.process);
    }

    /// SIGTERM; answers the exit code.
    #[must_use]
    pub fn stop(mut self) -> i32 {
        self.process.stop()
    }

    /// A figure of `/proc/<pid>/status`, in KiB: `VmRSS`, `VmHWM`.
    #[must_use]
    pub fn memory_kib(&self, figure: &str) -> u64 {
        memory_kib(self.pid(), figure)
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// A figure of `/proc/<pid>/status`, in KiB; 0 if the process is gone.
#[must_use]
pub fn memory_kib(pid: u32, figure: &str) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// A token that the hubs under test accept.
#[must_use]
pub fn token(project: &str, role: Role) -> String {
    let now = SystemClock.now();
    wharf_api::auth::mint(
        &Secret::new(JWT_SECRET.as_bytes().to_vec()),
        &wharf_api::auth::Claims {
            subject: "tester".to_owned(),
            project: project.parse().expect("a project id"),
            roles: [role].into(),
            issued_at: now,
            expires_at: now + jiff::SignedDuration::from_hours(1),
            issuer: None,
            audience: None,
        },
    )
    .expect("it signs")
}
