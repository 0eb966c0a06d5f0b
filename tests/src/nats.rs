//! Real `nats-server` processes on free loopback ports, each with a folder of its own.
//!
//! A server runs under a shell that waits for the end of its standard input: it goes with its handle,
//! and with the test's process however that ends.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The longest that a server takes to start, or a cluster to agree on a leader.
const PATIENCE: Duration = Duration::from_secs(60);
/// Starts the server in the folder `$0`, says its process id, and ends it when nobody holds the other
/// end any more. What it is told to ignore would else reach it before the end of the tests does.
const KEEPER: &str = r#"trap '' INT TERM
"$1" -c "$0/nats.conf" -l "$0/nats.log" & echo $!
read -r _
kill -9 $! && wait $!
[ "$2" = keep ] || rm -rf "$0""#;

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
    port: u16,
    monitoring: u16,
    process: Option<Process>,
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

/// A running server and its keeper.
#[derive(Debug)]
struct Process {
    keeper: Child,
    pid: u32,
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

    /// Three servers that are one cluster, with a leader.
    #[must_use]
    pub fn cluster(sync: Sync) -> [Self; 3] {
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
            Self::prepare(&format!("n{n}"), sync, Some(&cluster))
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
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (port, monitoring) = (free_port(), free_port());
        let store = dir.path().join("store");
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
        Some(self.process.as_ref()?.pid)
    }

    /// Where it keeps its streams.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
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

    /// Starts it again, on the same ports and with what it kept.
    pub fn run(&mut self) {
        self.spawn();
        self.wait();
    }

    fn spawn(&mut self) {
        let program = crate::peers::program("nats-server").expect("nats-server is installed");
        let keep = match self.dir {
            Dir::Owned(_) => "keep",
            Dir::Left(_) => "remove",
        };
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(self.dir.path())
            .arg(program)
            .arg(keep)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The shell reports whom it killed.
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("standard output is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says its process id");
        let pid = line.trim().parse().expect("a process id");
        self.process = Some(Process { keeper, pid });
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

impl Drop for Process {
    fn drop(&mut self) {
        // The keeper reads the end of its input and kills the server.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
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
