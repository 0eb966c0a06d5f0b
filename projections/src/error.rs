//! Why a view gave no answer, or took no commit.

use std::path::PathBuf;

use wharf_domain::{kernel::Position, ports::VaultError};

/// Why a view gave no answer, or took no commit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data base failed; worth another try.
    #[error("the views cannot be read or written")]
    Storage(#[from] sqlx::Error),
    /// The address of the data base is none.
    #[error("the address of the views is not postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Address(#[source] sqlx::Error),
    /// The data base cannot hold views.
    #[error("the views cannot be kept in this data base: {0}")]
    Unfit(&'static str),
    /// A file of the views cannot be made, read or renamed.
    #[error("the views' file {path} cannot be used; check its permissions and the disk")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A row is not what a projector wrote.
    #[error("the views are damaged: {0}; rebuild them with `wharf views rebuild`")]
    Damaged(&'static str),
    /// A commit is missing in between. Nothing of the slice was folded.
    #[error(
        "the views expect position {expected}, but were given {got}; read again after {expected}"
    )]
    Gap {
        /// The next position.
        expected: Position,
        /// What came.
        got: Position,
    },
    /// Someone else folded the same commits into this generation; open it again.
    #[error("another writer moved the views' checkpoint; only one process may project")]
    Moved,
    /// Another node holds the projector's lease by now. Nothing was written.
    #[error("another node projects under lease {by}, this one had {ours}; win the lease anew")]
    Fenced {
        /// The fence under which this projection wanted to write.
        ours: u64,
        /// The fence that the views have seen.
        by: u64,
    },
    /// Another generation went live; this one's projection has nothing left to do.
    #[error("another generation of the views is live; stop this projection")]
    Superseded,
    /// The generation to go live knows less than the live one.
    #[error("the new generation is at {new}, the live one at {live}; catch up before the swap")]
    Behind {
        /// Where the live one is.
        live: Position,
        /// Where the new one is.
        new: Position,
    },
    /// The vault cannot be asked for keys; worth another try once it can.
    #[error("the vault gave no key to open a page")]
    Vault(#[source] VaultError),
    /// The process is stopping.
    #[error("the projection was stopped")]
    Stopped,
}

impl Error {
    /// Whether the same call may succeed later without anyone doing anything.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Storage(_) | Self::File { .. } | Self::Vault(_) => true,
            Self::Address(_)
            | Self::Unfit(_)
            | Self::Damaged(_)
            | Self::Gap { .. }
            | Self::Moved
            | Self::Fenced { .. }
            | Self::Superseded
            | Self::Behind { .. }
            | Self::Stopped => false,
        }
    }
}
