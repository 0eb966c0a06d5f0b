//! How bytes are sealed: AES-256-SIV (RFC 5297) under a 64-byte key.
//!
//! A sealed value is `algorithm (1) ‖ key id (4) ‖ nonce (16) ‖ SIV tag (16) ‖ ciphertext`. The header
//! and everything in the *context* are associated data: bytes moved to another place do not open.
//! RFC 5297 takes associated data as a list, so no two contexts collide by concatenation.
//!
//! SIV keeps its promise even if a nonce repeats: only equal plaintexts in equal contexts would show
//! as equal. It runs over the plaintext twice, about 0.2 ms for 100 KB.
//!
//! Called by the rest of this crate only. Never hands out a key.

use std::{fmt, sync::Arc};

use aes_siv::{KeyInit, siv::Aes256Siv};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use wharf_domain::{
    kernel::Secret,
    ports::{DataKey, Ids, VaultError},
};
use zeroize::Zeroizing;

/// AES-256-SIV; the only algorithm so far.
const AES_256_SIV: u8 = 1;
const HEADER_BYTES: usize = 5;
const NONCE_BYTES: usize = 16;
/// Two AES-256 keys: one authenticates, one encrypts (RFC 5297 §2.2).
pub(crate) const KEY_BYTES: usize = 64;

/// A key's name: says which key sealed something, and nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyId([u8; 4]);

impl KeyId {
    /// The id of `key`: a hash of a value derived from it, never of the key itself.
    pub(crate) fn of(key: &[u8]) -> Self {
        let mut label = Zeroizing::new([0; 32]);
        derive(key, b"wharf/vault/key-id", label.as_mut_slice());
        let digest: [u8; 32] = Sha256::digest(label.as_slice()).into();
        let [a, b, c, d, ..] = digest;
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// HKDF-SHA256 (RFC 5869) without salt: every input here is a uniformly random key.
#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA256 gives up to 8160 bytes; the outputs here have 32 and 64"
)]
pub(crate) fn derive(key: &[u8], label: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::new(None, key)
        .expand(label, out)
        .expect("a short output");
}

/// A key that seals. Wiped on drop.
pub(crate) struct SivKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    header: [u8; HEADER_BYTES],
}

impl SivKey {
    /// This key, named `id` in what it seals.
    pub(crate) fn new(bytes: Zeroizing<[u8; KEY_BYTES]>, id: KeyId) -> Self {
        let [a, b, c, d] = id.0;
        Self {
            bytes,
            header: [AES_256_SIV, a, b, c, d],
        }
    }

    /// Seals `plain` under a fresh nonce.
    pub(crate) fn seal(&self, ids: &dyn Ids, context: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        ids.fill(&mut nonce);
        self.encrypt(&nonce, context, plain)
    }

    /// Seals without a nonce: the same input gives the same bytes. For wrapping random keys only.
    pub(crate) fn wrap(&self, context: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        self.encrypt(&[], context, plain)
    }

    /// Opens what [`Self::seal`] made in the same context.
    pub(crate) fn open(
        &self,
        context: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        self.decrypt(NONCE_BYTES, context, sealed)
    }

    /// Opens what [`Self::wrap`] made in the same context.
    pub(crate) fn unwrap(
        &self,
        context: &[&[u8]],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        self.decrypt(0, context, wrapped)
    }

    #[expect(
        clippy::expect_used,
        reason = "encryption fails above 126 headers only, and every context here has under 10"
    )]
    fn encrypt(&self, nonce: &[u8], context: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        let body = Aes256Siv::new(&(*self.bytes).into())
            .encrypt(self.headers(nonce, context), plain)
            .expect("few headers");
        let mut sealed = Vec::with_capacity(HEADER_BYTES + nonce.len() + body.len());
        sealed.extend_from_slice(&self.header);
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(&body);
        sealed
    }

    fn decrypt(
        &self,
        nonce_bytes: usize,
        context: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        let (header, rest) = sealed
            .split_at_checked(HEADER_BYTES)
            .ok_or(VaultError::Sealed)?;
        let (nonce, body) = rest
            .split_at_checked(nonce_bytes)
            .ok_or(VaultError::Sealed)?;
        if header != self.header {
            return Err(VaultError::Sealed);
        }
        Aes256Siv::new(&(*self.bytes).into())
            .decrypt(self.headers(nonce, context), body)
            .map(Secret::new)
            .map_err(|_| VaultError::Sealed)
    }

    /// The associated data: our header, the context, the nonce last (RFC 5297 §3).
    fn headers<'a>(&'a self, nonce: &'a [u8], context: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let mut headers = Vec::with_capacity(context.len() + 2);
        headers.push(self.header.as_slice());
        headers.extend_from_slice(context);
        if !nonce.is_empty() {
            headers.push(nonce);
        }
        headers
    }
}

/// A scope's unwrapped data key, as it lies in the cache and is handed out.
pub(crate) struct ScopeKey {
    key: SivKey,
    scope: String,
    ids: Arc<dyn Ids>,
}

impl ScopeKey {
    /// The key of the scope named `scope`.
    pub(crate) fn new(bytes: Zeroizing<[u8; KEY_BYTES]>, scope: String, ids: Arc<dyn Ids>) -> Self {
        let id = KeyId::of(bytes.as_slice());
        Self {
            key: SivKey::new(bytes, id),
            scope,
            ids,
        }
    }

    /// Seals something of the vault's own: `purpose` keeps it apart from what callers seal.
    pub(crate) fn seal_own(&self, purpose: &[u8], context: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        self.key
            .seal(self.ids.as_ref(), &self.context(purpose, context), plain)
    }

    /// Opens what [`Self::seal_own`] made.
    pub(crate) fn open_own(
        &self,
        purpose: &[u8],
        context: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        self.key.open(&self.context(purpose, context), sealed)
    }

    fn context<'a>(&'a self, purpose: &'a [u8], context: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let mut all = vec![purpose, self.scope.as_bytes()];
        all.extend_from_slice(context);
        all
    }
}

impl DataKey for ScopeKey {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        self.seal_own(b"payload", &[context], plain)
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        self.open_own(b"payload", &[context], sealed)
    }
}
