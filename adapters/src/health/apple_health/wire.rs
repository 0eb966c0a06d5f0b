//! The export's XML, read as a stream of its top-level elements. Knows structure, not what it means:
//! that is `map.rs`.
//!
//! Everything before `<HealthData` is passed over unread: the document type of some iOS versions is
//! broken, and no entity of it is ever wanted. Memory is constant: [`Item`] is one element with its
//! children, in buffers that are used again for the next, and no element may grow beyond a limit.

use std::io::{self, BufRead, Read};

use quick_xml::{Reader, events::Event};
use wharf_domain::ports::{ImportError, SkipReason};

use super::{fault::Fault, item::Item};
use crate::kit::xml::{self, Sanitised};

/// The root's tag.
const ROOT: &[u8] = b"<HealthData";
/// How far the root may be: the longest document type seen has 16 KiB.
const PROLOGUE_BYTES: u64 = 16 << 20;
/// Most bytes of one tag, or of the text between two.
const TAG_BYTES: usize = 1 << 20;
/// How deep elements may be nested; exports have five levels.
const DEPTH: usize = 16;

/// What comes next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The item is filled.
    Item,
    /// The item is of no use, and why.
    Unusable(SkipReason),
    /// That was all.
    End,
}

/// The stream of an export's elements.
pub(super) struct Export<R> {
    xml: Reader<io::Chain<&'static [u8], Sanitised<R>>>,
    buffer: Vec<u8>,
    depth: usize,
}

impl<R: Read> Export<R> {
    /// Reads up to the root. Gives the reader back if there is none within reason.
    ///
    /// # Errors
    /// It cannot be read, or refuses a limit.
    pub(super) fn open(reader: R) -> Result<Result<Self, R>, ImportError> {
        let mut clean = Sanitised::new(reader);
        match xml::skip_to(&mut clean, ROOT, PROLOGUE_BYTES) {
            Ok(true) => {
                let mut xml = Reader::from_reader(ROOT.chain(clean));
                xml.config_mut().allow_dangling_amp = true;
                Ok(Ok(Self {
                    xml,
                    buffer: Vec::new(),
                    depth: 0,
                }))
            }
            Ok(false) => Ok(Err(clean.into_inner())),
            Err(error) => {
                let fault = Fault::from(&error);
                if matches!(fault, Fault::Damaged(_)) {
                    return Ok(Err(clean.into_inner()));
                }
                Err(fault.into())
            }
        }
    }

    /// What the bytes come from.
    pub(super) fn source(&self) -> &R {
        self.xml.get_ref().get_ref().1.get_ref()
    }

    /// Reads the next top-level element into `item`.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn next(&mut self, item: &mut Item) -> Result<Next, Fault> {
        item.clear();
        loop {
            self.buffer.clear();
            self.xml.get_mut().get_mut().1.allow(TAG_BYTES);
            let event = match self.xml.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(quick_xml::Error::Io(error)) => return Err(Fault::from(&*error)),
                Err(error) => {
                    return Err(Fault::Malformed(
                        error.to_string(),
                        self.xml.error_position(),
                    ));
                }
            };
            let (tag, opens) = match event {
                Event::Start(tag) => (tag, true),
                Event::Empty(tag) => (tag, false),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    match self.depth {
                        0 => return self.drain(),
                        1 => return Ok(item.fault().map_or(Next::Item, Next::Unusable)),
                        _ => continue,
                    }
                }
                Event::Eof => return Err(Fault::Damaged("the XML breaks off")),
                Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_) => continue,
            };
            if self.depth > 0 {
                item.push(&tag, self.depth - 1);
            }
            if !opens {
                match self.depth {
                    0 => return self.drain(),
                    1 => return Ok(item.fault().map_or(Next::Item, Next::Unusable)),
                    _ => {}
                }
            }
            if opens {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(Fault::TooDeep(DEPTH));
                }
            }
        }
    }

    /// Reads what follows the root, so that the archive's checksum is checked.
    fn drain(&mut self) -> Result<Next, Fault> {
        let rest = &mut self.xml.get_mut().get_mut().1;
        loop {
            rest.allow(usize::MAX);
            let read = rest.fill_buf().map_err(|error| Fault::from(&error))?.len();
            if read == 0 {
                return Ok(Next::End);
            }
            rest.consume(read);
        }
    }
}
