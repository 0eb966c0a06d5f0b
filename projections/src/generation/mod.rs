//! Generations: each has all tables, and one of them is live. A rebuild fills another beside it, and a
//! swap makes that one live. Called by `views`.
//!
//! - `files`: on `SQLite` a generation is a file, and a small file names the live one
//! - `schemas`: on `PostgreSQL` it is a schema, and a table says which is live, for each version of the
//!   code; several nodes share them

pub(crate) mod files;
mod schemas;
#[cfg(test)]
mod tests;

use wharf_domain::kernel::{Hash, Position};

pub(crate) use self::{
    files::Files,
    schemas::{Schemas, moved},
};
use crate::{
    Db, Error,
    db::{Conn, Writer, query},
};

/// Which generation is live, and how far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) number: u64,
    pub(crate) position: Position,
}

/// The writer of an opened generation, and how far it is.
pub(crate) type Opened = (Writer, Position);

/// The fence of a generation that is not live any more: above any that is granted.
pub(crate) const RETIRED: u64 = i64::MAX.cast_unsigned();

/// Where the generations are.
pub(crate) enum Home {
    Files(Files),
    Schemas(Schemas),
}

impl Home {
    /// The readers of the generation `number`.
    pub(crate) fn db(&self, number: u64) -> Db {
        match self {
            Self::Files(files) => Db::sqlite(&files.path(number)),
            Self::Schemas(schemas) => schemas.db(number),
        }
    }

    /// Makes an empty generation beside the live one.
    pub(crate) async fn create(&self) -> Result<(u64, Opened), Error> {
        match self {
            Self::Files(files) => files.create().await,
            Self::Schemas(schemas) => schemas.create().await,
        }
    }

    /// Opens the generation `number` to write under the lease `fence`; whoever wrote it under a lower one
    /// does no more.
    pub(crate) async fn writer(&self, number: u64, fence: u64) -> Result<Opened, Error> {
        match self {
            Self::Files(files) => files.writer(number, fence).await,
            Self::Schemas(schemas) => schemas.writer(number, fence).await,
        }
    }
}

/// The first row of a generation that the code's `version` makes.
async fn begin(on: Conn<'_>, version: u32) -> Result<(), Error> {
    query("insert into checkpoint (id, version, position, hash, fence) values (1, $1, 0, $2, 0)")
        .bind(i64::from(version))
        .bind(&Hash::ZERO.0[..])
        .execute(on)
        .await?;
    Ok(())
}

/// Takes over the writing of a generation; answers how far it is.
async fn claim(mut on: Conn<'_>, fence: u64) -> Result<Position, Error> {
    let taken = query("update checkpoint set fence = $1 where id = 1 and fence <= $1")
        .bind(fence.cast_signed())
        .execute(on.again())
        .await?;
    let row = query("select position, fence from checkpoint where id = 1")
        .fetch_one(on)
        .await?;
    match row.count("fence")? {
        _ if taken == 1 => Ok(Position(row.count("position")?)),
        RETIRED => Err(Error::Superseded),
        by => Err(Error::Fenced { ours: fence, by }),
    }
}
