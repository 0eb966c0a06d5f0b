//! What can be wrong with an export, on its way through readers and the parser to [`ImportError`].

use std::io;

use wharf_domain::ports::ImportError;

use crate::kit::xml::TooLong;

/// Why reading stops.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("unpacked it is larger than {0} bytes; raise the limit if it is yours")]
    TooLarge(u64),
    #[error("it unpacks to more than {0} times its size, which no export does")]
    Bomb(u64),
    #[error("elements are nested deeper than {0}, which no export does")]
    TooDeep(usize),
    #[error(
        "attribute names with spaces: this is an export of iOS 8, which is no XML; update the \
         iPhone and export again"
    )]
    SpacedNames,
    #[error("{0}")]
    TooLong(TooLong),
    #[error("{0}; the part before it is imported, export again for the rest")]
    Damaged(&'static str),
    #[error("{0} (byte {1} of the XML)")]
    Malformed(String, u64),
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
}

impl From<Fault> for ImportError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge(_)
            | Fault::Bomb(_)
            | Fault::TooDeep(_)
            | Fault::TooLong(_)
            | Fault::SpacedNames => Self::Refused(fault.to_string()),
            Fault::Damaged(_) | Fault::Malformed(..) => Self::Broken(fault.to_string()),
            Fault::Io(error) => Self::Io(error),
        }
    }
}

/// What a reader's error is about: ours travel through readers and the parser inside an `io::Error`.
impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(long) = inner.and_then(|inner| inner.downcast_ref::<TooLong>()) {
            return Self::TooLong(*long);
        }
        match inner.and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(Self::TooLarge(bytes)) => Self::TooLarge(*bytes),
            Some(Self::Bomb(ratio)) => Self::Bomb(*ratio),
            Some(Self::Damaged(what)) => Self::Damaged(what),
            Some(
                Self::TooDeep(_)
                | Self::SpacedNames
                | Self::TooLong(_)
                | Self::Malformed(..)
                | Self::Io(_),
            )
            | None => Self::Io(io::Error::new(error.kind(), error.to_string())),
        }
    }
}
