//! The export's XML, read as a flat stream of its top-level elements. Knows names and structure, not
//! what they mean: that is `map.rs`.
//!
//! Everything before `<HealthData` is passed over unread: the document type of some iOS versions is
//! broken, and no entity of it is ever wanted. Memory is constant: [`Item`] is one element with its
//! children, in buffers that are used again for the next, and no element may grow beyond a limit.

use std::io::{self, BufRead, Read};

use quick_xml::{
    Reader,
    events::{BytesStart, Event, attributes::AttrError},
};
use wharf_domain::ports::{ImportError, SkipReason};

use super::fault::Fault;
use crate::kit::xml::{self, Sanitised};

/// The root's tag.
const ROOT: &[u8] = b"<HealthData";
/// How far the root may be: the longest document type seen has 16 KiB.
const PROLOGUE_BYTES: u64 = 16 << 20;
/// Most bytes of one tag, or of the text between two.
const TAG_BYTES: usize = 1 << 20;
/// Most bytes of one attribute.
const ATTRIBUTE_BYTES: usize = 32 << 10;
/// Most bytes of an element and its children that are kept; further children are left out.
const ITEM_BYTES: usize = 256 << 10;
/// Most attributes of one tag that are kept.
const ATTRIBUTES: usize = 64;
/// How deep elements may be nested; exports have five levels.
const DEPTH: usize = 16;

/// An attribute's name has spaces, as in exports of iOS 8.
pub(super) const SPACED_NAMES: SkipReason = "attribute_names_with_spaces";

/// The elements we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    ActivitySummary,
    Audiogram,
    Beat,
    BeatList,
    ClinicalRecord,
    Correlation,
    ExportDate,
    FileReference,
    Me,
    MetadataEntry,
    Record,
    VisionPrescription,
    Workout,
    WorkoutActivity,
    WorkoutEvent,
    WorkoutRoute,
    WorkoutStatistics,
    Other,
}

impl Element {
    fn named(name: &str) -> Self {
        match name {
            "Record" => Self::Record,
            "MetadataEntry" => Self::MetadataEntry,
            "InstantaneousBeatsPerMinute" => Self::Beat,
            "HeartRateVariabilityMetadataList" => Self::BeatList,
            "Workout" => Self::Workout,
            "WorkoutStatistics" => Self::WorkoutStatistics,
            "WorkoutEvent" => Self::WorkoutEvent,
            "WorkoutRoute" => Self::WorkoutRoute,
            "FileReference" => Self::FileReference,
            "WorkoutActivity" => Self::WorkoutActivity,
            "ActivitySummary" => Self::ActivitySummary,
            "Correlation" => Self::Correlation,
            "ClinicalRecord" => Self::ClinicalRecord,
            "Audiogram" => Self::Audiogram,
            "VisionPrescription" => Self::VisionPrescription,
            "ExportDate" => Self::ExportDate,
            "Me" => Self::Me,
            _ => Self::Other,
        }
    }
}

/// One top-level element with its children, flat and in order.
#[derive(Debug, Default)]
pub(super) struct Item {
    text: String,
    attributes: Vec<[(usize, usize); 2]>,
    nodes: Vec<Node>,
    /// Children were left out.
    pub(super) truncated: bool,
    fault: Option<SkipReason>,
}

#[derive(Debug)]
struct Node {
    element: Element,
    depth: usize,
    first: usize,
    end: usize,
}

impl Item {
    fn clear(&mut self) {
        self.text.clear();
        self.attributes.clear();
        self.nodes.clear();
        self.truncated = false;
        self.fault = None;
    }

    fn push(&mut self, tag: &BytesStart<'_>, depth: usize) {
        let first = self.attributes.len();
        for attribute in tag.attributes().with_checks(false) {
            match attribute {
                Ok(attribute) if attribute.value.len() > ATTRIBUTE_BYTES => {
                    self.fault = Some("attribute_too_long");
                }
                Ok(_) if self.attributes.len() - first >= ATTRIBUTES => {
                    self.fault = Some("too_many_attributes");
                }
                Ok(attribute) => {
                    let start = self.text.len();
                    self.text.push_str(attribute.key.as_ref());
                    let middle = self.text.len();
                    xml::unescape(&attribute.value, &mut self.text);
                    self.attributes
                        .push([(start, middle), (middle, self.text.len())]);
                }
                Err(AttrError::ExpectedEq(_)) => self.fault = Some(SPACED_NAMES),
                Err(_) => self.fault = self.fault.or(Some("malformed_attributes")),
            }
        }
        let element = Element::named(tag.name().as_ref());
        self.nodes.push(Node {
            element,
            depth,
            first,
            end: self.attributes.len(),
        });
    }

    /// The element itself.
    pub(super) fn root(&self) -> Tag<'_> {
        self.nodes.first().map_or(
            Tag {
                item: self,
                element: Element::Other,
                depth: 0,
                first: 0,
                end: 0,
            },
            |node| self.tag(node),
        )
    }

    /// What is within it, in the order of the file. A child has depth 1, a child of it depth 2.
    pub(super) fn children(&self) -> impl Iterator<Item = Tag<'_>> {
        self.nodes.iter().skip(1).map(|node| self.tag(node))
    }

    /// Its own metadata: key and value.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.children()
            .filter(|tag| tag.depth == 1 && tag.element == Element::MetadataEntry)
            .filter_map(|tag| Some((tag.get("key")?, tag.get("value").unwrap_or_default())))
    }

    const fn tag(&self, node: &Node) -> Tag<'_> {
        let Node {
            element,
            depth,
            first,
            end,
        } = *node;
        Tag {
            item: self,
            element,
            depth,
            first,
            end,
        }
    }

    fn slice(&self, (start, end): (usize, usize)) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }
}

/// One tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'i> {
    item: &'i Item,
    pub(super) element: Element,
    pub(super) depth: usize,
    first: usize,
    end: usize,
}

impl<'i> Tag<'i> {
    /// Its attributes: name and value.
    pub(super) fn attributes(self) -> impl Iterator<Item = (&'i str, &'i str)> {
        let attributes = self
            .item
            .attributes
            .get(self.first..self.end)
            .unwrap_or_default();
        attributes
            .iter()
            .map(|[name, value]| (self.item.slice(*name), self.item.slice(*value)))
    }

    /// One of its attributes; an empty one is none.
    pub(super) fn get(self, name: &str) -> Option<&'i str> {
        self.attributes()
            .find(|(n, v)| *n == name && !v.is_empty())
            .map(|(_, value)| value)
    }
}

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
        // From this depth on, tags are read over: the records within a correlation.
        let mut over = usize::MAX;
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
                    if self.depth < over {
                        over = usize::MAX;
                    }
                    match self.depth {
                        0 => return self.drain(),
                        1 => return item_read(item),
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
            if self.depth == 0 {
                // The root; its attributes are not ours.
                if !opens {
                    return self.drain();
                }
            } else if self.depth < over {
                let nested = self.depth > 1 && tag.name().as_ref() == "Record";
                if nested {
                    over = self.depth + 1;
                } else if item.text.len() + tag.len() > ITEM_BYTES && self.depth > 1 {
                    item.truncated = true;
                } else {
                    item.push(&tag, self.depth - 1);
                }
                if !opens {
                    over = if nested { usize::MAX } else { over };
                    if self.depth == 1 {
                        return item_read(item);
                    }
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

fn item_read(item: &Item) -> Result<Next, Fault> {
    Ok(item.fault.map_or(Next::Item, Next::Unusable))
}
