//! How a page rests in the log: a line with the cursor, then a line a record, compressed with zstd,
//! sealed under the integration's data key, in base64.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::page::SEALED_PAGE_BYTES;
use crate::ports::{DataKey, VaultError};

/// Compression level: on record lines 1 is within a few per cent of 3, at twice its speed.
const LEVEL: i32 = 1;
/// Most bytes of a page unpacked, cursor line included. [`seal`] makes none larger, so one that grows
/// beyond it is damaged, or an attack.
pub(super) const MAX_PLAIN_BYTES: u64 = 64 * 1024 * 1024;

/// Why a page does not seal or open.
#[derive(Debug, thiserror::Error)]
pub enum SealedPageError {
    /// Compressed it is still over [`SEALED_PAGE_BYTES`], or unpacked it is over what [`open`] reads:
    /// make smaller pages.
    #[error(
        "a page has at most {SEALED_PAGE_BYTES} bytes when sealed and {MAX_PLAIN_BYTES} before, \
         this one has {0}; make smaller pages"
    )]
    TooLarge(usize),
    /// See [`VaultError`].
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The seal was right, the content is not ours.
    #[error("a sealed page cannot be read: {0}")]
    Damaged(&'static str),
}

/// Seals record lines and the cursor after them.
///
/// # Errors
/// [`SealedPageError::TooLarge`].
pub fn seal(
    lines: &[u8],
    cursor: &Value,
    key: &dyn DataKey,
    context: &[u8],
) -> Result<String, SealedPageError> {
    let mut plain = Vec::with_capacity(lines.len() + 128);
    // A `Value` always has a JSON form.
    plain.extend_from_slice(cursor.to_string().as_bytes());
    plain.push(b'\n');
    plain.extend_from_slice(lines);
    if plain.len() as u64 > MAX_PLAIN_BYTES {
        return Err(SealedPageError::TooLarge(plain.len()));
    }
    let packed = zstd::bulk::compress(&plain, LEVEL)
        .map_err(|_| SealedPageError::Damaged("compression failed"))?;
    let sealed = key.seal(context, &packed);
    if sealed.len() > SEALED_PAGE_BYTES {
        return Err(SealedPageError::TooLarge(sealed.len()));
    }
    Ok(STANDARD.encode(sealed))
}

/// A page that was opened.
#[derive(Debug)]
pub struct OpenedPage {
    plain: Vec<u8>,
    cursor_end: usize,
}

impl OpenedPage {
    /// The cursor after the page.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn cursor(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(self.plain.get(..self.cursor_end).unwrap_or_default())
    }

    /// The records, each one JSON object.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.plain
            .get(self.cursor_end..)
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
    }
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`SealedPageError::Vault`] if the key or the context is another; `Damaged` if the content is odd.
pub fn open(
    sealed: &str,
    key: &dyn DataKey,
    context: &[u8],
) -> Result<OpenedPage, SealedPageError> {
    let sealed = STANDARD
        .decode(sealed)
        .map_err(|_| SealedPageError::Damaged("it is no base64"))?;
    let packed = key.open(context, &sealed)?;
    let mut plain = Vec::new();
    zstd::Decoder::new(packed.expose().as_slice())
        .and_then(|decoder| decoder.take(MAX_PLAIN_BYTES + 1).read_to_end(&mut plain))
        .map_err(|_| SealedPageError::Damaged("it is no zstd frame"))?;
    if plain.len() as u64 > MAX_PLAIN_BYTES {
        return Err(SealedPageError::Damaged("it unpacks to too much"));
    }
    let cursor_end = plain
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(SealedPageError::Damaged("it has no cursor line"))?;
    Ok(OpenedPage { plain, cursor_end })
}
