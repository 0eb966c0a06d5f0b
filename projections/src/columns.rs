//! Reading columns of the data base as the domain's types. Called by every `query.rs`.

use serde::de::{DeserializeOwned, value::StrDeserializer};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;
use wharf_domain::kernel::{ProjectId, Timestamp};

use crate::Error;

/// Columns as the domain's types.
pub(crate) trait Columns {
    fn uuid<T: From<Uuid>>(&self, column: &'static str) -> Result<T, Error>;
    fn opt_uuid<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>, Error>;
    fn project(&self) -> Result<ProjectId, Error>;
    fn time(&self, column: &'static str) -> Result<Timestamp, Error>;
    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, Error>;
    fn text(&self, column: &'static str) -> Result<String, Error>;
    fn opt_text(&self, column: &'static str) -> Result<Option<String>, Error>;
    fn flag(&self, column: &'static str) -> Result<bool, Error>;
    /// A number that is never negative.
    fn count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, Error>;
    fn opt_count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, Error>;
    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Error>;
    fn opt_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, Error>;
    /// An enum that is stored by its serde name.
    fn name<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Error>;
    fn opt_name<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, Error>;
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

impl Columns for SqliteRow {
    fn uuid<T: From<Uuid>>(&self, column: &'static str) -> Result<T, Error> {
        uuid_of(self.try_get(column)?)
    }

    fn opt_uuid<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>, Error> {
        self.try_get::<Option<&[u8]>, _>(column)?
            .map(uuid_of)
            .transpose()
    }

    fn project(&self) -> Result<ProjectId, Error> {
        self.try_get::<&str, _>("project")?
            .parse()
            .map_err(|_| Error::Damaged("a project id is none"))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, Error> {
        time_of(self.try_get(column)?)
    }

    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, Error> {
        self.try_get::<Option<i64>, _>(column)?
            .map(time_of)
            .transpose()
    }

    fn text(&self, column: &'static str) -> Result<String, Error> {
        Ok(self.try_get(column)?)
    }

    fn opt_text(&self, column: &'static str) -> Result<Option<String>, Error> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: &'static str) -> Result<bool, Error> {
        Ok(self.try_get::<i64, _>(column)? != 0)
    }

    fn count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, Error> {
        number(self.try_get(column)?)
    }

    fn opt_count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, Error> {
        self.try_get::<Option<i64>, _>(column)?
            .map(number)
            .transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Error> {
        parsed(self.try_get(column)?)
    }

    fn opt_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, Error> {
        self.try_get::<Option<&str>, _>(column)?
            .map(parsed)
            .transpose()
    }

    fn name<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Error> {
        named(self.try_get(column)?)
    }

    fn opt_name<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, Error> {
        self.try_get::<Option<&str>, _>(column)?
            .map(named)
            .transpose()
    }
}
