//! Where the hubs under test keep log, views and vault: in files, or on the servers that production has.
//!
//! `WHARF_TEST_LOG=jetstream` and `WHARF_TEST_DATABASE=postgres` choose, for a whole run; `tests/run.sh` makes one
//! for each of the four combinations. The fault suite has servers of its own ([`Storage::served`]).

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, PgConnection};

use crate::{nats::Nats, postgres::Database};

/// What one hub, or several together, have to themselves.
#[derive(Debug, Default)]
pub struct Storage {
    stream: Option<Stream>,
    /// URL of its `PostgreSQL`.
    database: Option<String>,
    /// Goes back to the shared server with this.
    _kept: Option<Database>,
}

/// A stream on `JetStream`, and how a hub finds it.
#[derive(Debug)]
struct Stream {
    prefix: String,
    servers: String,
    monitoring: String,
    replicas: usize,
}

impl Stream {
    fn on(servers: &[&Nats], prefix: String) -> Self {
        let urls: Vec<_> = servers.iter().map(|server| server.url()).collect();
        let monitoring: Vec<_> = servers.iter().map(|server| server.monitoring()).collect();
        Self {
            prefix,
            servers: urls.join(","),
            monitoring: format!("{monitoring:?}"),
            replicas: servers.len(),
        }
    }
}

impl Storage {
    /// As the environment chooses.
    ///
    /// # Panics
    /// It chooses something unknown.
    #[must_use]
    pub fn chosen() -> Self {
        Self::new(
            chooses("WHARF_TEST_LOG", "jetstream"),
            chooses("WHARF_TEST_DATABASE", "postgres"),
        )
    }

    /// The log on `JetStream` or in a file, the rest in `PostgreSQL` or in files.
    #[must_use]
    pub fn new(jetstream: bool, postgres: bool) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let prefix = || format!("hub{}", MADE.fetch_add(1, Ordering::Relaxed));
        let kept = postgres.then(database);
        Self {
            stream: jetstream.then(|| Stream::on(&[Nats::shared()], prefix())),
            database: kept.as_ref().map(Database::url),
            _kept: kept,
        }
    }

    /// On servers that the test has to itself, so that it may kill them: a copy of each commit on every one of
    /// `cluster`, the rest in the `PostgreSQL` that `database` is the URL of.
    #[must_use]
    pub fn served(cluster: &[Nats], database: String) -> Self {
        let cluster: Vec<_> = cluster.iter().collect();
        Self {
            stream: Some(Stream::on(&cluster, "chaos".to_owned())),
            database: Some(database),
            _kept: None,
        }
    }

    /// The same, with the rest in files.
    #[must_use]
    pub fn on_servers(cluster: &[Nats]) -> Self {
        let cluster: Vec<_> = cluster.iter().collect();
        Self {
            stream: Some(Stream::on(&cluster, "faults".to_owned())),
            ..Self::default()
        }
    }

    /// Whether the log is on `JetStream`.
    #[must_use]
    pub const fn is_jetstream(&self) -> bool {
        self.stream.is_some()
    }

    /// Deletes the views, as an operator who wants them built anew; no hub may be running.
    pub async fn forget_views(&self, data: &Path) {
        match &self.database {
            None => std::fs::remove_dir_all(data.join("views")).expect("there are views"),
            Some(database) => {
                let forget = "do $$ declare found name; begin
                    for found in select nspname from pg_namespace where nspname like 'wharf_views%' loop
                        execute format('drop schema %I cascade', found);
                    end loop; end $$";
                execute(database, forget).await;
            }
        }
    }

    /// Deletes the answers that are kept for repeats, as a crash before they were kept; says how many there were.
    /// No hub may be running.
    pub async fn forget_answers(&self, data: &Path) -> usize {
        match &self.database {
            None => {
                let vault = rusqlite::Connection::open(data.join("vault.db")).expect("a vault");
                vault.execute("delete from answers", []).expect("answers")
            }
            Some(database) => execute(database, "delete from wharf_vault.answers").await,
        }
    }

    /// The settings that lead a hub there.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![];
        if let Some(stream) = &self.stream {
            settings.push(("WHARF_LOG__NATS_URL", stream.servers.clone()));
            settings.push(("WHARF_LOG__NATS_PREFIX", stream.prefix.clone()));
            settings.push(("WHARF_LOG__NATS_MONITOR_URLS", stream.monitoring.clone()));
            settings.push(("WHARF_LOG__REPLICAS", stream.replicas.to_string()));
        }
        if let Some(database) = &self.database {
            settings.push(("WHARF_DATABASE__URL", database.clone()));
        }
        settings
    }
}

/// An empty data base, made on a thread of its own: the caller may be inside a runtime or not.
fn database() -> Database {
    let made = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(Database::new())
    });
    made.join().expect("a data base can be made")
}

/// Answers how many rows it changed.
async fn execute(database: &str, statement: &'static str) -> usize {
    let mut connection = PgConnection::connect(database)
        .await
        .expect("the server answers");
    let done = sqlx::raw_sql(statement).execute(&mut connection).await;
    done.expect("the statement is right").rows_affected() as usize
}

fn chooses(name: &str, other: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "which run of the tests this is")]
    match std::env::var(name).as_deref() {
        Err(_) | Ok("sqlite") => false,
        Ok(chosen) if chosen == other => true,
        Ok(chosen) => panic!("{name}={chosen} is neither sqlite nor {other}"),
    }
}
