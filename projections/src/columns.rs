//! Reading columns of the data base as the domain's types, whichever engine it is. Called by every
//! `query.rs`.

use serde::de::{DeserializeOwned, value::StrDeserializer};
use sqlx::{Decode, Postgres, Row, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;
use wharf_domain::kernel::{ProjectId, Timestamp};

use crate::Error;

/// The columns of a row.
pub(crate) enum Columns {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

pub(crate) fn uuid_of<T: From<Uuid>>(bytes: &[u8]) -> Result<T, Error> {
    Uuid::from_slice(bytes)
        .map(T::from)
        .map_err(|_| Error::Damaged("an id has not 16 bytes"))
}

fn time_of(micros: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros).map_err(|_| Error::Damaged("a time is out of range"))
}

fn number<T: TryFrom<i64>>(number: i64) -> Result<T, Error> {
    T::try_from(number).map_err(|_| Error::Damaged("a number is out of range"))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| Error::Damaged("a JSON column cannot be read"))
}

fn named<T: DeserializeOwned>(name: &str) -> Result<T, Error> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(name))
        .map_err(|_| Error::Damaged("an enum column has an unknown name"))
}

impl Columns {
    /// A column as it is stored: a number, text or bytes.
    pub(crate) fn get<'r, T>(&'r self, column: &'static str) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    pub(crate) fn uuid<T: From<Uuid>>(&self, column: &'static str) -> Result<T, Error> {
        uuid_of(self.get(column)?)
    }

    pub(crate) fn opt_uuid<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>, Error> {
        self.get::<Option<&[u8]>>(column)?.map(uuid_of).transpose()
    }

    pub(crate) fn project(&self) -> Result<ProjectId, Error> {
        self.get::<&str>("project")?
            .parse()
            .map_err(|_| Error::Damaged("a project id is none"))
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, Error> {
        time_of(self.get(column)?)
    }

    pub(crate) fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, Error> {
        self.get::<Option<i64>>(column)?.map(time_of).transpose()
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, Error> {
        Ok(self.get(column)?)
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>, Error> {
        Ok(self.get(column)?)
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool, Error> {
        Ok(self.get::<i64>(column)? != 0)
    }

    /// A number that is never negative.
    pub(crate) fn count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, Error> {
        number(self.get(column)?)
    }

    pub(crate) fn opt_count<T: TryFrom<i64>>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Error> {
        self.get::<Option<i64>>(column)?.map(number).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Error> {
        parsed(self.get(column)?)
    }

    pub(crate) fn opt_json<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Error> {
        self.get::<Option<&str>>(column)?.map(parsed).transpose()
    }

    /// An enum that is stored by its serde name.
    pub(crate) fn name<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Error> {
        named(self.get(column)?)
    }

    pub(crate) fn opt_name<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Error> {
        self.get::<Option<&str>>(column)?.map(named).transpose()
    }
}
