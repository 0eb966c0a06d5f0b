//! The master key: wraps data keys, proves itself against a vault's sentinel, and does nothing else.
//!
//! `infra/server` loads it once, at the start. Only what is derived from the operator's 32 bytes stays
//! in memory; nothing here prints it.

use std::{fmt, path::Path};

use wharf_domain::{
    kernel::Secret,
    ports::{Ids, VaultError},
};
use zeroize::Zeroizing;

use crate::{
    Error,
    envelope::{KEY_BYTES, KeyId, SivKey, derive},
    keyfile,
};

/// Bytes of the key the operator keeps.
pub(crate) const MASTER_BYTES: usize = 32;
/// What the sentinel says once opened.
const SENTINEL: &[u8] = b"this vault opens";

/// The operator's key. Wiped on drop, silent in `Debug`.
pub struct MasterKey {
    id: KeyId,
    key: SivKey,
}

impl MasterKey {
    /// The key in `text`: 64 hexadecimal characters, white space around them ignored.
    ///
    /// # Errors
    /// [`Error::InvalidKey`].
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; MASTER_BYTES]);
        hex::decode_to_slice(text.trim(), bytes.as_mut_slice()).map_err(|_| Error::InvalidKey)?;
        Ok(Self::new(&bytes))
    }

    /// The key in the file at `path`; if there is no file, one is made with mode 0600 and a fresh key.
    /// Two processes starting at once end up with the same key. Blocking: for start-up.
    ///
    /// # Errors
    /// [`Error::KeyFileOpen`] if others may read the file, [`Error::KeyFileInvalid`] if it holds no
    /// key, [`Error::KeyFile`] if it can be neither read nor made.
    pub fn load_or_create(path: &Path, ids: &dyn Ids) -> Result<Self, Error> {
        if let Some(key) = keyfile::load(path)? {
            return Ok(Self::new(&key));
        }
        keyfile::create(path, ids)?;
        match keyfile::load(path)? {
            Some(key) => Ok(Self::new(&key)),
            None => Err(Error::KeyFile {
                path: path.to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// Eight hexadecimal characters that name the key and reveal nothing of it.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    fn new(master: &[u8; MASTER_BYTES]) -> Self {
        let id = KeyId::of(master);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        derive(
            master,
            b"wharf/vault/master/aes-256-siv",
            bytes.as_mut_slice(),
        );
        Self {
            id,
            key: SivKey::new(bytes, id),
        }
    }

    /// Wraps the data key of `scope`.
    pub(crate) fn wrap(&self, scope: &str, key: &[u8; KEY_BYTES]) -> Vec<u8> {
        self.key.wrap(&[b"data key", scope.as_bytes()], key)
    }

    /// Unwraps the data key of `scope`.
    pub(crate) fn unwrap(
        &self,
        scope: &str,
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        let key = self.key.unwrap(&[b"data key", scope.as_bytes()], wrapped)?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if key.expose().len() != KEY_BYTES {
            return Err(VaultError::Sealed);
        }
        bytes.copy_from_slice(key.expose());
        Ok(bytes)
    }

    /// What a vault keeps to recognise this key.
    pub(crate) fn sentinel(&self, ids: &dyn Ids) -> Vec<u8> {
        self.key.seal(ids, &[b"sentinel"], SENTINEL)
    }

    /// Whether `sentinel` was made by this key.
    pub(crate) fn made(&self, sentinel: &[u8]) -> bool {
        let opened: Result<Secret<Vec<u8>>, VaultError> = self.key.open(&[b"sentinel"], sentinel);
        opened.is_ok_and(|text| text.expose() == SENTINEL)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}
