//! Names on the server: streams and subjects. Subscribers' programs hold them too: never change one.

use wharf_domain::kernel::{Category, Hash, StreamId};

/// Streams are spread over so many parts, for ever: a consumer may take some of them.
pub(super) const PARTS: u8 = 16;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The stream that is the log.
    pub(super) stream: String,
    /// The stream that remembers who ever was a consumer.
    pub(super) marks: String,
    /// First tokens of the log's subjects.
    root: String,
    /// First tokens of the marks' subjects.
    marks_root: String,
}

impl Names {
    /// Those of a prefix; `None` if it cannot be one.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let clean = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if prefix.len() > 64 || !prefix.bytes().all(clean) {
            return None;
        }
        let (stream, subject) = match prefix {
            "" => (String::new(), String::new()),
            prefix => (format!("{prefix}_"), format!("{prefix}.")),
        };
        Some(Self {
            marks: format!("{stream}WHARF_MARKS"),
            stream: format!("{stream}WHARF"),
            root: format!("{subject}evt"),
            marks_root: format!("{subject}wharf-marks"),
        })
    }

    /// The subject of a stream's commits: `evt.{part}.{project}.{category}.{key}`.
    pub(super) fn subject(&self, stream: &StreamId) -> String {
        format!("{}.{:02}.{stream}", self.root, part(stream))
    }

    /// The stream whose subject this is.
    pub(super) fn parse(&self, subject: &str) -> Option<StreamId> {
        let rest = subject.strip_prefix(&self.root)?.strip_prefix('.')?;
        let (in_part, stream) = rest.split_once('.')?;
        let stream: StreamId = stream.parse().ok()?;
        (in_part.parse() == Ok(part(&stream))).then_some(stream)
    }

    /// Every subject of the log.
    pub(super) fn all(&self) -> String {
        format!("{}.>", self.root)
    }

    /// Every subject of a category.
    pub(super) fn category(&self, category: Category) -> String {
        format!("{}.*.*.{}.*", self.root, category.as_str())
    }

    /// Every subject of the marks.
    pub(super) fn all_marks(&self) -> String {
        format!("{}.>", self.marks_root)
    }

    /// Where it is noted that there was a consumer of this name.
    pub(super) fn consumer_mark(&self, name: &str) -> String {
        format!("{}.consumer.{name}", self.marks_root)
    }
}

/// Which part a stream is in: the same in every version of this program.
fn part(stream: &StreamId) -> u8 {
    let [first, ..] = Hash::of(&[stream.to_string().as_bytes()]).0;
    first % PARTS
}
