//! Real `nats-server` processes on free loopback ports, each with a folder of its own, under a keeper.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::keeper::{End, Kept};

/// The longest that a server takes to start, or a cluster to agree on a leader.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server keeps what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// As it comes: every two minutes.
    Default,
    /// Before each acknowledgement.
    Always,
}

/// A server; killed when dropped.
#[derive(Debug)]
pub struct Nats {
    name: String,
    dir: Dir,
    /// Where it keeps its streams.
    store: PathBuf,
    port: u16,
    monitoring: u16,
    process: Option<Kept>,
}

/// A server's folder.
#[derive(Debug)]
enum Dir {
    /// Goes with the handle.
    Owned(TempDir),
    /// Goes with the keeper, because nobody drops the handle.
    Left(PathBuf),
}

impl Dir {
    fn path(&self) -> &Path {
        match self {
            Self::Owned(dir) => dir.path(),
            Self::Left(path) => path,
        }
    }
}

impl Nats {
    /// One server of its own.
    #[must_use]
    pub fn start(sync: Sync) -> Self {
        let mut nats = Self::prepare("alone", sync, None);
        nats.run();
        nats
    }

    /// The server that tests share whose streams have names of their own. It goes with the process.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Nats> = LazyLock::new(|| {
            let mut nats = Nats::prepare("shared", Sync::Default, None);
            if let Dir::Owned(dir) = nats.dir {
                nats.dir = Dir::Left(dir.keep());
            }
            nats.run();
            nats
        });
        &SHARED
    }

    /// One server of its own that takes only connections by TLS, with this certificate and its key.
    #[must_use]
    pub fn with_tls(certificate: &Path, key: &Path) -> Self {
        let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
        let mut nats = Self::prepare("guarded", Sync::Default, Some(&tls));
        nats.run();
        nats
    }

    /// Three servers that are one cluster, with a leader.
    #[must_use]
    pub fn cluster(sync: Sync) -> [Self; 3] {
        Self::cluster_in(sync, None)
    }

    /// The same, with what they keep in folders of `place`.
    #[must_use]
    pub fn cluster_in(sync: Sync, place: Option<&Path>) -> [Self; 3] {
        let ports = [free_port(), free_port(), free_port()];
        let routes: Vec<_> = ports
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let routes = routes.join(", ");
        let mut servers = [0, 1, 2].map(|n| {
            // Clients keep to the addresses that they were given, which may be those of a proxy.
            let cluster = format!(
                "cluster {{ name: wharf, listen: \"127.0.0.1:{}\", routes: [{routes}], \
                 no_advertise: true }}",
                ports[n]
            );
            let name = format!("n{n}");
            let store = place.map(|place| place.join(&name));
            Self::prepare_in(&name, sync, Some(&cluster), store)
        });
        // All at once: a cluster answers only when most of it is there.
        for server in &mut servers {
            server.spawn();
        }
        for server in &servers {
            server.wait();
        }
        servers
    }

    fn prepare(name: &str, sync: Sync, cluster: Option<&str>) -> Self {
        Self::prepare_in(name, sync, cluster, None)
    }

    fn prepare_in(name: &str, sync: Sync, cluster: Option<&str>, store: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (port, monitoring) = (free_port(), free_port());
        let store = store.unwrap_or_else(|| dir.path().join("store"));
        let sync = match sync {
            Sync::Default => "",
            Sync::Always => "sync_interval: always,",
        };
        let config = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitoring}\"\n\
             jetstream {{ store_dir: {store:?}, {sync} max_file_store: 4GB, max_memory_store: 256MB }}\n{}\n",
            cluster.unwrap_or_default()
        );
        std::fs::write(dir.path().join("nats.conf"), config).expect("a configuration");
        Self {
            name: name.to_owned(),
            dir: Dir::Owned(dir),
            store,
            port,
            monitoring,
            process: None,
        }
    }

    /// Its URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Host and port for clients.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Host and port of its monitoring.
    #[must_use]
    pub fn monitoring(&self) -> String {
        format!("127.0.0.1:{}", self.monitoring)
    }

    /// Its name in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id; `None` while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.process.as_ref()?.pid())
    }

    /// Where it keeps its streams.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// What it wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("nats.log")).unwrap_or_default()
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM: it notes what it knows of its streams, and ends.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.stop();
        }
    }

    /// Starts it again, on the same ports and with what it kept.
    pub fn run(&mut self) {
        self.spawn();
        self.wait();
    }

    fn spawn(&mut self) {
        let program = crate::peers::program("nats-server").expect("nats-server is installed");
        let left = match &self.dir {
            Dir::Owned(_) => None,
            Dir::Left(dir) => Some(dir.as_path()),
        };
        let mut command = Kept::command(&program, End::Kill, left);
        let file = |name| self.dir.path().join(name);
        command.arg("-c").arg(file("nats.conf"));
        command.arg("-l").arg(file("nats.log"));
        self.process = Some(Kept::start(command.stderr(Stdio::null())));
    }

    /// Waits until it answers, and its cluster has a leader.
    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_healthy() {
            assert!(
                Instant::now() < deadline,
                "nats-server {} does not start: {}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_healthy(&self) -> bool {
        get(&self.monitoring(), "/healthz").is_some_and(|answer| answer.contains("\"ok\""))
    }
}

/// A loopback port that nobody listens on just now.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// The body of what `GET path` answers, if anything.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}
