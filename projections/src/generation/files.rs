//! The files of the views: `views.<number>.db` a generation, and `views.current`, which names the live
//! one.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use tokio::{fs, io::AsyncWriteExt};
use wharf_domain::kernel::Position;

use super::{Live, Opened};
use crate::{
    Error,
    db::{Conn, Writer, query},
    projection::VERSION,
};

/// The tables. A generation has all of them or is none, so a change to any is a new [`VERSION`], not one
/// more file.
const TABLES: &str = include_str!("../../migrations/sqlite/0001_views.sql");

/// `SQLITE_CORRUPT` and `SQLITE_NOTADB`: the file is beyond use.
const BEYOND_USE: [u32; 2] = [11, 26];

/// The directory of the views.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    /// The number of the newest generation.
    newest: AtomicU64,
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            newest: AtomicU64::new(0),
        }
    }

    /// Opens the live generation; where there is none, or none that can be used, an empty one begins.
    /// The others are deleted.
    pub(crate) async fn open_live(&self) -> Result<Live, Error> {
        fs::create_dir_all(&self.dir).await.map_err(at(&self.dir))?;
        let current = self.current().await?;
        let newest = self.numbers().await?.into_iter().max().unwrap_or(0);
        self.newest.store(newest, Ordering::Relaxed);
        let usable = match current {
            Some(number) => self.open(number).await?.map(|opened| (number, opened)),
            None => None,
        };
        let (number, (writer, position)) = match usable {
            Some(usable) => usable,
            None => {
                let (number, opened) = self.create().await?;
                self.set_current(number).await?;
                (number, opened)
            }
        };
        writer.close().await?;
        self.sweep(number).await?;
        Ok(Live { number, position })
    }

    /// The data base of a generation.
    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("views.{number}.db"))
    }

    /// The live generation, if there is one.
    async fn current(&self) -> Result<Option<u64>, Error> {
        let path = self.dir.join("views.current");
        match fs::read_to_string(&path).await {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// Makes a generation the live one, durably and at once.
    pub(crate) async fn set_current(&self, number: u64) -> Result<(), Error> {
        let path = self.dir.join("views.current");
        let beside = self.dir.join("views.current.new");
        let mut file = fs::File::create(&beside).await.map_err(at(&beside))?;
        file.write_all(format!("{number}\n").as_bytes())
            .await
            .map_err(at(&beside))?;
        file.sync_all().await.map_err(at(&beside))?;
        fs::rename(&beside, &path).await.map_err(at(&path))?;
        let dir = fs::File::open(&self.dir).await.map_err(at(&self.dir))?;
        dir.sync_all().await.map_err(at(&self.dir))
    }

    /// Deletes every generation but `kept`: swapped ones, and rebuilds that never went live.
    async fn sweep(&self, kept: u64) -> Result<(), Error> {
        for number in self.numbers().await? {
            if number != kept {
                remove(&self.path(number));
            }
        }
        Ok(())
    }

    async fn numbers(&self) -> Result<Vec<u64>, Error> {
        let mut numbers = vec![];
        let mut entries = fs::read_dir(&self.dir).await.map_err(at(&self.dir))?;
        while let Some(entry) = entries.next_entry().await.map_err(at(&self.dir))? {
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix("views.")?.strip_suffix(".db"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(numbers)
    }

    /// Opens the generation `number`; `None` if this version of the code cannot use it.
    async fn open(&self, number: u64) -> Result<Option<Opened>, Error> {
        let path = self.path(number);
        if !fs::try_exists(&path).await.map_err(at(&path))? {
            return Ok(None);
        }
        match open(&path).await {
            Ok((writer, VERSION, Some(position))) => Ok(Some((writer, position))),
            Ok((_, version, _)) => {
                tracing::info!(
                    version,
                    wanted = VERSION,
                    "the views are of another version"
                );
                Ok(None)
            }
            Err(error) if is_beyond_use(&error) => {
                tracing::error!(%error, "the views are damaged and will be rebuilt");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How far the live generation is, read beside whoever writes it; `None` if there is none that this
    /// version of the code can read. Makes nothing.
    pub(crate) async fn peek(&self) -> Result<Option<Position>, Error> {
        let Some(number) = self.current().await? else {
            return Ok(None);
        };
        let path = self.path(number);
        if !fs::try_exists(&path).await.map_err(at(&path))? {
            return Ok(None);
        }
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let mut reader = options.disable_statement_logging().connect().await?;
        let row = query("select version, position from checkpoint where id = 1")
            .fetch_one(Conn::Sqlite(&mut reader))
            .await?;
        if row.count::<u32>("version")? != VERSION {
            return Ok(None);
        }
        Ok(Some(Position(row.count("position")?)))
    }

    /// Makes the next generation, which is empty.
    pub(crate) async fn create(&self) -> Result<(u64, Opened), Error> {
        let number = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.path(number);
        remove(&path);
        let mut writer = Writer::sqlite(&path).await?;
        let mut tx = writer.begin().await?;
        if let Conn::Sqlite(to) = tx.conn() {
            sqlx::raw_sql(TABLES).execute(to).await?;
        }
        super::begin(tx.conn(), VERSION).await?;
        tx.commit().await?;
        Ok((number, (writer, Position::START)))
    }

    /// Opens the generation `number` anew, for whoever holds the lease `fence`.
    pub(crate) async fn writer(&self, number: u64, fence: u64) -> Result<Opened, Error> {
        let mut writer = Writer::sqlite(&self.path(number)).await?;
        let position = super::claim(writer.conn(), fence).await?;
        Ok((writer, position))
    }
}

/// Deletes a generation's files. What stays is swept at the next start.
pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = ?name, %error, "an old view stays for now"),
        }
    }
}

async fn open(path: &Path) -> Result<(Writer, u32, Option<Position>), Error> {
    let mut writer = Writer::sqlite(path).await?;
    let made = query("select 1 from sqlite_master where name = 'checkpoint'")
        .fetch_optional(writer.conn())
        .await?;
    if made.is_none() {
        return Ok((writer, 0, None));
    }
    let row = query("select version, position from checkpoint where id = 1")
        .fetch_optional(writer.conn())
        .await?;
    let Some(row) = row else {
        return Ok((writer, 0, None));
    };
    let version = row.count("version")?;
    let position = row.count("position").ok().map(Position);
    Ok((writer, version, position))
}

fn is_beyond_use(error: &Error) -> bool {
    let Error::Storage(error) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    // The low byte of an extended code is the code.
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| BEYOND_USE.contains(&(code & 0xff)))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}
