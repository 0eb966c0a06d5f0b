//! One top-level element of the export with its children, flat and in order, in buffers that are used
//! again for the next. Filled by `wire.rs`, read by `map.rs`. Whatever a file holds, an item stays
//! within its limits: what does not fit is left out, and said.

use quick_xml::events::{BytesStart, attributes::AttrError};
use wharf_domain::ports::SkipReason;

use crate::kit::xml;

/// Most bytes of one attribute.
const ATTRIBUTE_BYTES: usize = 32 << 10;
/// Most bytes of an element and its children that are kept; further children are left out.
const ITEM_BYTES: usize = 256 << 10;
/// Most children of an element that are kept, theirs included.
const NODES: usize = 8192;
/// Most attributes of one tag that are kept.
const ATTRIBUTES: usize = 64;

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
    /// Empties it for the next element.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.attributes.clear();
        self.nodes.clear();
        self.truncated = false;
        self.fault = None;
    }

    /// Takes a tag in: the element itself (depth 0), then its children.
    pub(super) fn push(&mut self, tag: &BytesStart<'_>, depth: usize) {
        let full = self.nodes.len() >= NODES || self.text.len() + tag.len() > ITEM_BYTES;
        if depth > 0 && full {
            self.truncated = true;
            return;
        }
        let first = self.attributes.len();
        for attribute in tag.attributes().with_checks(false) {
            let fault = match attribute {
                Ok(attribute) if attribute.value.len() > ATTRIBUTE_BYTES => "attribute_too_long",
                Ok(_) if self.attributes.len() - first >= ATTRIBUTES => "too_many_attributes",
                Ok(attribute) => {
                    let start = self.text.len();
                    self.text.push_str(attribute.key.as_ref());
                    let middle = self.text.len();
                    xml::unescape(&attribute.value, &mut self.text);
                    self.attributes
                        .push([(start, middle), (middle, self.text.len())]);
                    continue;
                }
                Err(AttrError::ExpectedEq(_)) => SPACED_NAMES,
                Err(_) => "malformed_attributes",
            };
            if depth == 0 {
                self.fault = self.fault.or(Some(fault));
            } else {
                self.truncated = true;
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

    /// Why it is of no use as a whole, if so.
    pub(super) const fn fault(&self) -> Option<SkipReason> {
        self.fault
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
