//! The bytes of the export's XML, unpacked, counted and checked while they are read. Called by the
//! parser's reader; refuses what costs more than [`Limits`] allow.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::{Crc, read::DeflateDecoder};
use wharf_domain::ports::ReadSeek;

use super::fault::Fault;

/// What an archive may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of the XML, unpacked.
    pub unpacked_bytes: u64,
    /// Most unpacked bytes a packed byte; real exports have 10 to 40.
    pub ratio: u64,
    /// From how many unpacked bytes on the ratio counts.
    pub ratio_from_bytes: u64,
    /// Most entries of a zip.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 64 << 30,
            ratio: 200,
            ratio_from_bytes: 64 << 20,
            entries: 100_000,
        }
    }
}

/// Where the bytes of one file of an archive lie.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) start: u64,
    /// Unknown in an archive that was written as a stream and has lost its directory.
    pub(super) packed: Option<u64>,
    pub(super) crc: Option<u32>,
    pub(super) deflated: bool,
}

/// The part of the file that belongs to one entry.
struct Window {
    file: Box<dyn ReadSeek>,
    left: u64,
    read: u64,
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(out.len());
        let read = self.file.read(out.get_mut(..most).unwrap_or_default())?;
        self.left -= read as u64;
        self.read += read as u64;
        Ok(read)
    }
}

enum Body {
    Stored(Window),
    Deflated(DeflateDecoder<Window>),
}

/// The unpacked bytes of the XML, counted and checked as they are read.
pub(super) struct Unpacked {
    body: Body,
    start: u64,
    seen: u64,
    crc: Option<(Crc, u32)>,
    limits: Limits,
}

impl Unpacked {
    /// Opens an entry.
    pub(super) fn open(
        mut file: Box<dyn ReadSeek>,
        entry: &Entry,
        limits: Limits,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(entry.start))?;
        let window = Window {
            file,
            left: entry.packed.unwrap_or(u64::MAX),
            read: 0,
        };
        Ok(Self {
            body: if entry.deflated {
                Body::Deflated(DeflateDecoder::new_with_buf(window, vec![0; 64 * 1024]))
            } else {
                Body::Stored(window)
            },
            start: entry.start,
            seen: 0,
            crc: entry.crc.map(|expected| (Crc::new(), expected)),
            limits,
        })
    }

    fn window(&self) -> &Window {
        match &self.body {
            Body::Stored(window) => window,
            Body::Deflated(decoder) => decoder.get_ref(),
        }
    }

    /// The file again.
    pub(super) fn into_file(self) -> Box<dyn ReadSeek> {
        match self.body {
            Body::Stored(window) => window.file,
            Body::Deflated(decoder) => decoder.into_inner().file,
        }
    }

    /// Where in the file, packed as it is, the reading stands.
    pub(super) fn file_position(&self) -> u64 {
        self.start + self.window().read
    }

    fn check(&mut self, read: &[u8]) -> Result<(), Fault> {
        if let Some((crc, expected)) = &mut self.crc {
            if read.is_empty() && crc.sum() != *expected {
                return Err(Fault::Damaged("the archive's checksum is wrong"));
            }
            crc.update(read);
        }
        self.seen += read.len() as u64;
        if self.seen > self.limits.unpacked_bytes {
            return Err(Fault::TooLarge(self.limits.unpacked_bytes));
        }
        let packed = self.window().read.max(1);
        if self.seen > self.limits.ratio_from_bytes && self.seen / packed > self.limits.ratio {
            return Err(Fault::Bomb(self.limits.ratio));
        }
        Ok(())
    }
}

impl Read for Unpacked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.body {
            Body::Stored(window) => window.read(out)?,
            Body::Deflated(decoder) => decoder.read(out).map_err(damaged)?,
        };
        self.check(out.get(..read).unwrap_or_default())
            .map_err(io::Error::other)?;
        Ok(read)
    }
}

/// What the decoder says of bad input, as a fault; what the file says, as it is.
fn damaged(error: io::Error) -> io::Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if matches!(error.kind(), InvalidInput | InvalidData | UnexpectedEof) {
        return io::Error::other(Fault::Damaged("the archive is damaged or cut off"));
    }
    error
}
