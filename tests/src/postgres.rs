//! A `PostgreSQL` server of the tests' own: one for a test binary, an empty data base for a test.
//!
//! It lies in a temporary folder and listens on a socket there, so it meets no other server, and goes with
//! its keeper. `tests/peers.sh` finds or installs the programs.
//!
//! The crates whose unit tests need it include this file by its path: they are below this crate.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::keeper::{End, Kept};

/// The server, started by the first test that asks. Nothing on it has to survive anything.
static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::start(&["fsync=off", "full_page_writes=off", "max_connections=500"]));
/// One as Debian configures it, for benchmarks.
static DURABLE: LazyLock<Server> = LazyLock::new(|| Server::start(&[]));
/// Names are not used twice.
static MADE: AtomicU64 = AtomicU64::new(0);

/// An order of text that is not SQLite's.
const ORDER: &str = "template template0 locale_provider icu icu_locale 'en'";

/// Takes what a test left behind out of a data base: making one takes ten times as long.
const CLEAR: &str = "do $$
declare
    left_behind name;
begin
    perform pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid();
    for left_behind in select nspname from pg_namespace where nspname like 'wharf%' loop
        execute format('drop schema %I cascade', left_behind);
    end loop;
end $$";

/// An empty data base, in an order of text that is not SQLite's.
#[derive(Debug)]
pub struct Database {
    server: &'static Server,
    name: String,
}

impl Database {
    /// Makes one.
    pub async fn new() -> Self {
        Self::on(&SERVER).await
    }

    /// Makes one on a server that keeps what it acknowledges.
    pub async fn durable() -> Self {
        Self::on(&DURABLE).await
    }

    async fn on(server: &'static Server) -> Self {
        let left = server.left.lock().map(|mut left| left.pop());
        let (statement, name) = match left.unwrap_or_default() {
            Some(name) => (CLEAR.to_owned(), name),
            None => {
                let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
                (format!("create database {name} {ORDER}"), name)
            }
        };
        let database = Self { server, name };
        let url = match statement.as_str() {
            CLEAR => database.url(),
            _ => server.url("postgres"),
        };
        let mut admin = PgConnection::connect(&url)
            .await
            .expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .expect("a data base can be made");
        admin.close().await.expect("the connection closes");
        database
    }

    /// Where it is: `postgres://…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut left) = self.server.left.lock() {
            left.push(std::mem::take(&mut self.name));
        }
    }
}

/// A running server, stopped when it is dropped.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    /// Data bases whose tests are over; the next tests get them.
    left: Mutex<Vec<String>>,
    process: Kept,
}

impl Server {
    /// Starts one with `settings`, such as `fsync=off`, and waits until it answers.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        let bin = programs();
        let dir = tempfile::Builder::new()
            .prefix("wharf-postgres-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        let user = user(&dir);
        let data = dir.join("data");
        let made = as_user(Command::new(bin.join("initdb")), user)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb failed: {made:?}");

        let command = Kept::command(&bin.join("postgres"), End::Quit, Some(&dir));
        let mut command = as_user(command, user);
        command.arg("-D").arg(&data);
        let sockets = format!("unix_socket_directories={}", dir.display());
        for setting in ["listen_addresses=", &sockets].iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let mut process = Kept::start(command.stderr(Stdio::piped()));
        let mut log = BufReader::new(process.stderr().expect("it is piped")).lines();
        let mut said = String::new();
        loop {
            match log.next() {
                Some(Ok(line)) if line.contains("ready to accept connections") => break,
                Some(Ok(line)) => said += &line,
                Some(Err(_)) | None => panic!("postgres does not start: {said}"),
            }
        }
        // It must not wait for a reader of what else it says.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self {
            dir,
            left: Mutex::default(),
            process,
        }
    }

    /// The process to which its others belong: killing one of those makes it recover as after a crash.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where one of its data bases is; `postgres` is there from the beginning.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let dir = self.dir.display();
        format!("postgres://postgres@localhost/{database}?host={dir}&sslmode=disable")
    }
}

/// Where `initdb` and `postgres` are: as `tests/peers.sh` found them, or where Debian puts them.
fn programs() -> PathBuf {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|dir| dir.join("tests/.peers/bin/postgres"))
        .find_map(|postgres| postgres.canonicalize().ok())
        .and_then(|postgres| postgres.parent().map(Path::to_owned));
    peers
        .into_iter()
        .chain(
            (15..=20)
                .rev()
                .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))),
        )
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .expect("PostgreSQL 15 or newer is missing: run `sh tests/peers.sh`")
}

/// PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`, who gets the folder.
fn user(dir: &Path) -> Option<(u32, u32)> {
    let root = fs::metadata("/proc/self").is_ok_and(|me| {
        use std::os::unix::fs::MetadataExt as _;
        me.uid() == 0
    });
    if !root {
        return None;
    }
    let known = fs::read_to_string("/etc/passwd").expect("there are users");
    let ids = |name: &str| {
        let line = known.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (uid, gid) = ids("postgres:")
        .or_else(|| ids("nobody:"))
        .expect("a user that is not root");
    chown(dir, Some(uid), Some(gid)).expect("root may do so");
    Some((uid, gid))
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    // Where it stands must be readable by whom it runs as.
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
