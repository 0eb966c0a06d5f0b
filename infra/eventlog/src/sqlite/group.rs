//! What is told to those whose commits shared a group that could not be written.

use rusqlite::ErrorCode;
use wharf_domain::{
    kernel::{CommitId, Position},
    ports::{Append, LogError, Refusal},
};

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// Surely nothing of it is there.
    Nothing(rusqlite::Error),
    /// The commit record may have reached the disk, or not.
    InDoubt(rusqlite::Error),
}

impl Unwritten {
    /// The transaction's commit failed. A full disk or a lock stops it before its commit record is
    /// written; anything else, a failed fsync above all, may have come after.
    pub(crate) fn by_commit(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Nothing(error)
            }
            Some(_) | None => Self::InDoubt(error),
        }
    }

    /// What went wrong.
    pub(crate) const fn error(&self) -> &rusqlite::Error {
        match self {
            Self::Nothing(error) | Self::InDoubt(error) => error,
        }
    }

    /// The same, for those who wanted something else than an append.
    pub(crate) fn as_log_error(&self) -> LogError {
        LogError::Unavailable(self.error().to_string().into())
    }

    /// The answer to a commit of the group whose verdict was `verdict`; `durable` is where the log ends
    /// without the group. What was said about commits that are durable stays true.
    pub(crate) fn answer(
        &self,
        id: CommitId,
        verdict: Option<Append>,
        durable: Position,
    ) -> Append {
        match (verdict, self) {
            (Some(Append::Committed(first)), _) if first.position <= durable => {
                Append::Committed(first)
            }
            (Some(Append::Conflict { actual }), _) if actual.is_none_or(|at| at <= durable) => {
                Append::Conflict { actual }
            }
            (Some(Append::Refused(refusal)), _) => Append::Refused(refusal),
            (_, Self::InDoubt(_)) => Append::InDoubt { commit: id },
            (_, Self::Nothing(error)) => Append::Refused(Refusal::Closed(reason(error))),
        }
    }
}

/// For people; what exactly it was is in the server's log.
fn reason(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "its disk is full; free some space",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds log.db locked; stop it"
        }
        Some(_) | None => "its storage failed; look into the server's log",
    }
}
