//! Who belongs together: W3C Trace Context (<https://www.w3.org/TR/trace-context/>, level 1), and how a
//! correlation names a trace.

use std::fmt;

use wharf_domain::kernel::Hash;

/// A span's place in the world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// All that belongs together.
    pub(super) trace: [u8; 16],
    /// This part of it.
    pub(super) span: [u8; 8],
    /// Whether the collector gets it.
    pub(super) sampled: bool,
}

impl TraceContext {
    /// What a `traceparent` header says; none if it is not one.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let version = byte(parts.next()?)?;
        let trace = bytes(parts.next()?)?;
        let span = bytes(parts.next()?)?;
        let flags = byte(parts.next()?)?;
        // Version 0 has these four parts; later ones may have more, 255 is forbidden.
        let whole = match version {
            0 => parts.next().is_none(),
            255 => false,
            _ => true,
        };
        (whole && trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// The correlation of what this causes, unless the caller names one: the trace's id as a UUID is
    /// written, so that the log says which trace it was.
    #[must_use]
    pub fn correlation(&self) -> String {
        uuid::Uuid::from_bytes(self.trace).to_string()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (hex::encode(self.trace), hex::encode(self.span));
        write!(f, "00-{trace}-{span}-{:02x}", u8::from(self.sampled))
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The trace of a correlation: its own bytes if it is a UUID, which most are, else its hash.
pub(super) fn trace_of(correlation: &str) -> [u8; 16] {
    if let Ok(id) = uuid::Uuid::parse_str(correlation)
        && !id.is_nil()
    {
        return id.into_bytes();
    }
    let Hash(hash) = Hash::of(&[b"trace", correlation.as_bytes()]);
    let mut trace = [0; 16];
    trace.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    trace
}

/// Whether a trace is among the share that is looked at: the same answer on every node, for every part.
pub(super) fn is_sampled(trace: [u8; 16], share: f64) -> bool {
    // The last bytes are random in every kind of id.
    let mut random = [0; 4];
    let last = trace.iter().skip(12);
    random
        .iter_mut()
        .zip(last)
        .for_each(|(to, from)| *to = *from);
    f64::from(u32::from_be_bytes(random)) < share * (f64::from(u32::MAX) + 1.0)
}

fn byte(text: &str) -> Option<u8> {
    bytes::<1>(text).map(|[byte]| byte)
}

/// Lower case only, as the standard says.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    lower.then_some(bytes)
}

#[cfg(test)]
mod tests;
