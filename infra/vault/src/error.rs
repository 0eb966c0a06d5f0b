//! Why the vault does not start. What goes wrong later is a
//! [`VaultError`](wharf_domain::ports::VaultError).

use std::{io, path::PathBuf};

/// Why there is no vault. All of these need an operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not a key.
    #[error("a master key is 64 hexadecimal characters (32 bytes); `wharf keygen` makes one")]
    InvalidKey,
    /// The key file is readable by others than its owner.
    #[error("others can read the key file {path}; run `chmod 600 {path}`", path = .0.display())]
    KeyFileOpen(PathBuf),
    /// The key file does not hold a key.
    #[error(
        "the key file {path} does not hold 64 hexadecimal characters; restore it from a backup",
        path = .0.display()
    )]
    KeyFileInvalid(PathBuf),
    /// The key file cannot be read or made.
    #[error("the key file {path} cannot be read or made", path = .path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The vault belongs to another master key.
    #[error(
        "the vault was made with master key {expected}, but the given key is {given}; give the \
         right ENCRYPTION_KEY or key file"
    )]
    WrongKey {
        /// Id of the key the vault was made with.
        expected: String,
        /// Id of the key that was given.
        given: String,
    },
    /// The vault contradicts itself.
    #[error("the vault is damaged: {0}; restore it from a backup")]
    Damaged(&'static str),
    /// A newer version made this vault.
    #[error("the vault has schema {found}, this version knows {known}; upgrade wharf")]
    Newer {
        /// Schema of the vault.
        found: i64,
        /// Newest schema this version knows.
        known: i64,
    },
    /// The vault's file cannot be made.
    #[error("the vault's file {path} cannot be made", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address of the data base is none.
    #[error("the address of the vault is not postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Address(#[source] sqlx::Error),
    /// The vault's database does not open.
    #[error("the vault's database cannot be opened")]
    Storage(#[from] sqlx::Error),
}
