//! Makes an XML stream safe for a strict parser, in constant memory.
//!
//! Called by importers between the file and the parser. [`Sanitised`] removes what XML 1.0 forbids
//! (platforms do write it), and gives a parser only so many bytes for its next event, so that no
//! element, however large, is ever held. Entities of a DTD are never resolved: [`unescape`] knows the
//! five predefined ones and character references.

use std::io::{self, BufRead, Read};

/// Bytes read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// The parser asked for more bytes than it was allowed for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one element is larger than {0} bytes")]
pub struct TooLong(pub usize);

/// A reader without the bytes that XML 1.0 forbids: control characters are dropped, bytes that are no
/// UTF-8 become `?`.
#[derive(Debug)]
pub struct Sanitised<R> {
    inner: R,
    block: Vec<u8>,
    /// What of `block` may be read: `start..clean`. After `clean`: the first bytes of a character whose
    /// rest was not read yet.
    start: usize,
    clean: usize,
    scratch: Vec<u8>,
    allowed: usize,
    left: usize,
    ended: bool,
}

impl<R: Read> Sanitised<R> {
    /// Reads `inner` without a limit, until [`Self::allow`].
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            block: Vec::with_capacity(BLOCK_BYTES + 4),
            start: 0,
            clean: 0,
            scratch: Vec::new(),
            allowed: usize::MAX,
            left: usize::MAX,
            ended: false,
        }
    }

    /// What is read from.
    pub const fn get_ref(&self) -> &R {
        &self.inner
    }

    /// What was read from; what was read ahead is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// From now on gives `bytes`, then [`TooLong`].
    pub const fn allow(&mut self, bytes: usize) {
        self.allowed = bytes;
        self.left = bytes;
    }

    /// Reads the next block and cleans it. May leave nothing to read, if all of it was forbidden.
    fn refill(&mut self) -> io::Result<()> {
        let tail = self.block.len() - self.clean;
        self.block.copy_within(self.clean.., 0);
        self.block.resize(tail + BLOCK_BYTES, 0);
        let read = loop {
            match self
                .inner
                .read(self.block.get_mut(tail..).unwrap_or_default())
            {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.block.truncate(tail);
                    (self.start, self.clean) = (0, 0);
                    return Err(error);
                }
            }
        };
        self.block.truncate(tail + read);
        self.ended = read == 0;
        self.start = 0;
        self.clean = match std::str::from_utf8(&self.block) {
            Ok(_) if !has_forbidden(&self.block) => self.block.len(),
            Ok(_) => self.scrub(),
            // The last character is cut by the block's end: leave it for the next.
            Err(error) if error.error_len().is_none() && !self.ended => {
                let valid = error.valid_up_to();
                if self
                    .block
                    .get(..valid)
                    .is_some_and(|valid| !has_forbidden(valid))
                {
                    valid
                } else {
                    self.scrub()
                }
            }
            Err(_) => self.scrub(),
        };
        Ok(())
    }

    /// Rewrites the block; answers where its readable part ends. Never makes it longer.
    fn scrub(&mut self) -> usize {
        self.scratch.clear();
        let mut tail = Vec::new();
        let mut chunks = self.block.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let valid = chunk.valid().bytes().filter(|byte| !is_forbidden(*byte));
            self.scratch.extend(valid);
            let invalid = chunk.invalid();
            let cut_off = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if cut_off && chunks.peek().is_none() && !self.ended {
                tail.extend_from_slice(invalid);
            } else if !invalid.is_empty() {
                self.scratch.push(b'?');
            }
        }
        std::mem::swap(&mut self.block, &mut self.scratch);
        let clean = self.block.len();
        self.block.extend_from_slice(&tail);
        clean
    }
}

const fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Looks at every byte on purpose: without an early exit the loop becomes vector instructions.
fn has_forbidden(block: &[u8]) -> bool {
    block
        .iter()
        .fold(false, |found, byte| found | is_forbidden(*byte))
}

impl<R: Read> BufRead for Sanitised<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.start >= self.clean && !self.ended {
            self.refill()?;
        }
        let available = self.clean - self.start;
        if available > 0 && self.left == 0 {
            return Err(io::Error::other(TooLong(self.allowed)));
        }
        let end = self.start + available.min(self.left);
        Ok(self.block.get(self.start..end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.clean);
        self.left = self.left.saturating_sub(amount);
    }
}

impl<R: Read> Read for Sanitised<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

/// Reads over everything before the first start tag that begins with `tag` (`<Name`), and over `tag`
/// itself; at most `most` bytes. Answers whether it is there.
///
/// This is how a document type that no parser accepts is passed.
///
/// # Errors
/// What the reader says.
pub fn skip_to(reader: &mut impl BufRead, tag: &[u8], most: u64) -> io::Result<bool> {
    let mut seen = 0;
    let mut matched = 0;
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() || seen > most {
            return Ok(false);
        }
        let read = block.len();
        let end = block.iter().position(|byte| {
            if matched == tag.len() {
                if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'>' | b'/') {
                    return true;
                }
                matched = 0;
            }
            // `<` stands only at the tag's begin, so after a mismatch only this byte can begin it.
            matched = match tag.get(matched) {
                Some(expected) if expected == byte => matched + 1,
                Some(_) | None => usize::from(tag.first() == Some(byte)),
            };
            false
        });
        reader.consume(end.unwrap_or(read));
        if end.is_some() {
            return Ok(true);
        }
        seen += read as u64;
    }
}

/// Appends the value of an attribute to `out`: references resolved, line breaks as spaces (XML 1.0
/// §3.3.3). A reference to anything but the five predefined entities or a legal character stays as it
/// is written; one to an illegal character is dropped.
pub fn unescape(raw: &str, out: &mut String) {
    let special = |byte: &u8| matches!(byte, b'&' | b'\n' | b'\r' | b'\t');
    // Nearly all values are plain; without an early exit the look becomes vector instructions.
    if !raw
        .as_bytes()
        .iter()
        .fold(false, |found, byte| found | special(byte))
    {
        out.push_str(raw);
        return;
    }
    let mut rest = raw;
    while let Some(at) = rest.as_bytes().iter().position(special) {
        let (plain, after) = rest.split_at(at);
        out.push_str(plain);
        rest = match after.strip_prefix('&') {
            Some(reference) => resolve(reference, out),
            None => {
                out.push(' ');
                after
                    .strip_prefix("\r\n")
                    .or_else(|| after.get(1..))
                    .unwrap_or_default()
            }
        };
    }
    out.push_str(rest);
}

/// Resolves what follows an `&`; answers what follows the reference.
fn resolve<'r>(reference: &'r str, out: &mut String) -> &'r str {
    let Some((name, after)) = reference.split_once(';') else {
        out.push('&');
        return reference;
    };
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = match name.strip_prefix('#') {
                Some(number) => match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                },
                None => {
                    out.push('&');
                    return reference;
                }
            };
            code.ok().and_then(char::from_u32).filter(|c| {
                !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}')
                    && !matches!(c, '\u{fffe}' | '\u{ffff}')
            })
        }
    };
    out.extend(character);
    after
}

#[cfg(test)]
mod tests;
