//! From the uploaded file to the bytes of its XML. Called once an import; reads as far as it must.
//!
//! The file is told by its first bytes, not by its name: a zip, or the XML itself. In a zip the export
//! has a localised name, so the largest `.xml` whose root is right is taken. A zip that was cut off has
//! lost its directory, which stands at the end; its entries are then found one after the other.
//!
//! An archive is an attack until shown otherwise: sizes are capped as declared and as unpacked, so is
//! the ratio between the two, so is the number of entries. Zips within zips are never opened.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;
use wharf_domain::ports::{ImportError, ReadSeek};
use zip::{CompressionMethod, ZipReadOptions, unstable::read::ZipIterable};

use super::{
    fault::Fault,
    unpacked::{Entry, Limits, Unpacked},
};

/// How many `.xml` entries are looked into, largest first.
const CANDIDATES: usize = 16;
/// Most bytes that are unpacked only to find the next entry of a zip without a directory.
const LOOKING_BYTES: u64 = 1 << 30;
/// What every local header begins with.
const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
/// Its fixed part.
const LOCAL_HEADER_BYTES: usize = 30;

/// Opens the XML of `file`: the first for which `accept` says so. `accept` gives a refused one back.
///
/// # Errors
/// [`ImportError::Refused`]: nothing acceptable in it, or over a limit.
pub(super) fn find<T>(
    mut file: Box<dyn ReadSeek>,
    limits: Limits,
    mut accept: impl FnMut(Unpacked) -> Result<Result<T, Unpacked>, ImportError>,
) -> Result<T, ImportError> {
    let mut magic = [0; 4];
    let found = read_full(&mut file, &mut magic)?;
    file.rewind()?;
    if found == 0 {
        return Err(refused("the file is empty"));
    }
    if magic.contains(&0) {
        return Err(refused(
            "it is neither a zip nor XML in UTF-8; upload export.zip",
        ));
    }
    if !magic.starts_with(b"PK") {
        let whole = Entry {
            start: 0,
            packed: None,
            crc: None,
            deflated: false,
        };
        return accept(Unpacked::open(file, &whole, limits)?)?.map_err(|_| {
            refused(
                "there is no HealthData element in it; upload export.zip as the Health app made it",
            )
        });
    }
    match directory(&mut file, limits) {
        Ok(entries) => {
            for entry in entries {
                match accept(Unpacked::open(file, &entry, limits)?)? {
                    Ok(accepted) => return Ok(accepted),
                    Err(other) => file = other.into_file(),
                }
            }
        }
        Err(Unreadable::Refused(error)) => return Err(error),
        Err(Unreadable::NoDirectory) => {
            let (mut at, mut candidates, mut looking) = (0, CANDIDATES, LOOKING_BYTES);
            for _ in 0..limits.entries {
                let Some((entry, is_xml)) = local_header(&mut file, at)? else {
                    break;
                };
                if is_xml && candidates > 0 {
                    candidates -= 1;
                    match accept(Unpacked::open(file, &entry, limits)?)? {
                        Ok(accepted) => return Ok(accepted),
                        Err(other) => file = other.into_file(),
                    }
                }
                let Some(next) = after(&mut file, &entry, &mut looking)? else {
                    break;
                };
                at = next;
            }
        }
    }
    Err(refused(
        "no .xml of the archive is a Health export; upload export.zip as the Health app made it",
    ))
}

enum Unreadable {
    NoDirectory,
    Refused(ImportError),
}

/// The `.xml` entries by the archive's directory, largest first.
fn directory(file: &mut Box<dyn ReadSeek>, limits: Limits) -> Result<Vec<Entry>, Unreadable> {
    // This reader keeps no list of the entries: a directory of millions costs no memory.
    let mut archive = ZipIterable::try_new(&mut *file, zip::read::Config::default())
        .map_err(|_| Unreadable::NoDirectory)?;
    if archive.len() > limits.entries {
        let why = format!("the archive has more than {} entries", limits.entries);
        return Err(Unreadable::Refused(refused(&why)));
    }
    let files = archive.files().map_err(|_| Unreadable::NoDirectory)?;
    let mut largest = Vec::new();
    for entry in files {
        let entry = entry.map_err(|_| Unreadable::NoDirectory)?;
        if is_xml(entry.name_raw()) && entry.size() > 0 {
            largest.push(entry);
            largest.sort_by_key(|entry| (std::cmp::Reverse(entry.size()), entry.header_start()));
            largest.truncate(CANDIDATES);
        }
    }
    let mut entries = Vec::new();
    for entry in largest {
        entries.push(located(file, entry, limits).map_err(Unreadable::Refused)?);
    }
    Ok(entries)
}

fn located(
    file: &mut Box<dyn ReadSeek>,
    entry: zip::read::ZipFileEntry<'_>,
    limits: Limits,
) -> Result<Entry, ImportError> {
    let (size, packed, crc) = (entry.size(), entry.compressed_size(), entry.crc32());
    if size > limits.unpacked_bytes {
        return Err(Fault::TooLarge(limits.unpacked_bytes).into());
    }
    if entry.encrypted() {
        return Err(refused(
            "the archive is encrypted; upload it as the Health app made it",
        ));
    }
    let method = entry.compression();
    if method != CompressionMethod::Stored && method != CompressionMethod::Deflated {
        return Err(refused(
            "the archive is packed in an unusual way; zip it again",
        ));
    }
    let deflated = method == CompressionMethod::Deflated;
    let opened = entry.with_reader(file, ZipReadOptions::new()).ok();
    let start = opened
        .and_then(|opened| opened.data_start())
        .ok_or_else(|| refused("the archive's directory points to nowhere"))?;
    Ok(Entry {
        start,
        packed: Some(packed),
        crc: Some(crc),
        deflated,
    })
}

/// The entry whose local header stands at `at`, and whether it is an XML. None: no whole header there.
fn local_header(file: &mut Box<dyn ReadSeek>, at: u64) -> io::Result<Option<(Entry, bool)>> {
    file.seek(SeekFrom::Start(at))?;
    let mut head = [0; LOCAL_HEADER_BYTES];
    if read_full(file, &mut head)? < head.len() || !head.starts_with(LOCAL_HEADER) {
        return Ok(None);
    }
    let flags = le(&head, 6, 2);
    let (method, crc) = (le(&head, 8, 2), le(&head, 14, 4));
    let (mut packed, unpacked) = (le(&head, 18, 4), le(&head, 22, 4));
    let (name_bytes, extra_bytes) = (le(&head, 26, 2), le(&head, 28, 2));
    let mut names = vec![0; usize::try_from(name_bytes + extra_bytes).unwrap_or_default()];
    if read_full(file, &mut names)? < names.len() {
        return Ok(None);
    }
    let (name, extra) = names.split_at(usize::try_from(name_bytes).unwrap_or_default());
    if packed == u64::from(u32::MAX) || unpacked == u64::from(u32::MAX) {
        // The zip64 field: id 1, its length, the unpacked size, the packed size.
        let zip64 = extra
            .windows(20)
            .find(|field| field.starts_with(&[1, 0, 16, 0]));
        match zip64 {
            Some(field) => packed = le(field, 12, 8),
            None => return Ok(None),
        }
    }
    if flags & 1 != 0 || !matches!(method, 0 | 8) {
        return Ok(None);
    }
    let streamed = flags & 8 != 0;
    let entry = Entry {
        start: at + LOCAL_HEADER_BYTES as u64 + name_bytes + extra_bytes,
        packed: (!streamed).then_some(packed),
        crc: if streamed {
            None
        } else {
            u32::try_from(crc).ok()
        },
        deflated: method == 8,
    };
    Ok(Some((entry, is_xml(name))))
}

/// Where the header after `entry` stands, as far as that can be found out.
fn after(
    file: &mut Box<dyn ReadSeek>,
    entry: &Entry,
    looking: &mut u64,
) -> Result<Option<u64>, ImportError> {
    if let Some(packed) = entry.packed {
        return Ok(entry.start.checked_add(packed));
    }
    if !entry.deflated {
        return Ok(None);
    }
    // Written as a stream: only unpacking finds its end, and a descriptor of 12 to 24 bytes follows.
    file.seek(SeekFrom::Start(entry.start))?;
    let mut decoder = DeflateDecoder::new(BufReader::new(&mut *file));
    let unpacked = io::copy(&mut decoder.by_ref().take(*looking), &mut io::sink());
    *looking = looking.saturating_sub(unpacked.as_ref().map_or(u64::MAX, |bytes| *bytes));
    if *looking == 0 {
        return Ok(None);
    }
    let end = entry.start + decoder.total_in();
    file.seek(SeekFrom::Start(end))?;
    let mut descriptor = [0; 28];
    let read = read_full(file, &mut descriptor)?;
    let next = descriptor.get(..read).unwrap_or_default();
    let at = next
        .windows(LOCAL_HEADER.len())
        .position(|window| window == LOCAL_HEADER);
    Ok(at.map(|at| end + at as u64))
}

fn is_xml(name: &[u8]) -> bool {
    name.len() >= 4
        && name
            .get(name.len() - 4..)
            .is_some_and(|end| end.eq_ignore_ascii_case(b".xml"))
}

fn le(bytes: &[u8], at: usize, count: usize) -> u64 {
    let field = bytes.get(at..at + count).unwrap_or_default();
    field
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn read_full(file: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn refused(why: &str) -> ImportError {
    ImportError::Refused(why.to_owned())
}
