//! Drives an import: elements in, pages out.
//!
//! The same file gives the same pages, so a run that was cut off goes on by reading over those it has.
//! Where the file breaks off, what was read until then is given as a last page, then the error;
//! sessions of sleep are only made of a whole file.

use std::{collections::BTreeMap, io};

use wharf_domain::ports::{
    Import, ImportError, ImportPage, ImportProgress, ImportSource, SkipReason,
};

use super::{
    archive,
    days::Days,
    fault::Fault,
    item::{Item, SPACED_NAMES},
    map::{Made, Mapper},
    nights::Nights,
    unpacked::{Limits, Unpacked},
    wire::{Export, Next},
};
use crate::kit::pages::Pager;

/// What became of the elements.
#[derive(Debug, Default)]
pub(super) struct Tally {
    read: u64,
    kept: u64,
    skipped: BTreeMap<SkipReason, u64>,
}

impl Tally {
    /// An element, or a part of it, is left out.
    pub(super) fn skip(&mut self, reason: SkipReason) {
        *self.skipped.entry(reason).or_default() += 1;
    }
}

/// Why there is no more.
#[derive(Clone, Debug)]
enum Stop {
    Complete,
    Refused(String),
    Broken(String),
    Io(io::ErrorKind),
}

impl From<ImportError> for Stop {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Refused(why) => Self::Refused(why),
            ImportError::Broken(why) => Self::Broken(why),
            ImportError::Unsupported(why) => Self::Refused(why.to_owned()),
            ImportError::Io(error) => Self::Io(error.kind()),
        }
    }
}

#[derive(Debug)]
enum State {
    Reading,
    Nights,
    LastPage(Stop),
    Stopped(Stop),
}

/// A running import.
pub(super) struct HealthImport {
    export: Export<Unpacked>,
    item: Item,
    mapper: Mapper,
    nights: Nights,
    pager: Pager,
    tally: Tally,
    /// A sample was understood, so this is an export as we know it.
    understood: bool,
    state: State,
    bytes_total: u64,
}

impl HealthImport {
    /// Opens the file up to its root element.
    ///
    /// # Errors
    /// [`ImportError::Refused`]: it is no export, or over a limit, or the zone is unknown.
    pub(super) fn open(source: ImportSource, limits: Limits) -> Result<Self, ImportError> {
        let days = Days::new(source.time_zone.as_deref()).ok_or_else(|| {
            ImportError::Refused(
                "the integration's time_zone is unknown here; set an IANA name such as \
                 Europe/Paris"
                    .to_owned(),
            )
        })?;
        let export = archive::find(source.reader, limits, Export::open)?;
        Ok(Self {
            export,
            item: Item::default(),
            mapper: Mapper::new(days),
            nights: Nights::default(),
            pager: Pager::default(),
            tally: Tally::default(),
            understood: false,
            state: State::Reading,
            bytes_total: source.bytes,
        })
    }

    /// Reads one element. Answers why there is no more, if so.
    fn read(&mut self) -> Result<(), Fault> {
        match self.export.next(&mut self.item)? {
            Next::Item => {
                self.tally.read += 1;
                let mapped = self.mapper.element(
                    &self.item,
                    &mut self.nights,
                    &mut self.pager,
                    &mut self.tally,
                );
                match mapped {
                    Ok(made) => {
                        self.tally.kept += u64::from(made != Made::Nothing);
                        self.understood |= made == Made::Record;
                    }
                    Err(reason) => self.tally.skip(reason),
                }
            }
            Next::Unusable(SPACED_NAMES) if !self.understood => return Err(Fault::SpacedNames),
            Next::Unusable(reason) => {
                self.tally.read += 1;
                self.tally.skip(reason);
            }
            Next::End => self.state = State::Nights,
        }
        Ok(())
    }
}

impl Import for HealthImport {
    fn next_page(&mut self) -> Result<Option<ImportPage>, ImportError> {
        loop {
            if let Some((number, page)) = self.pager.ready() {
                return Ok(Some(ImportPage { page, number }));
            }
            match &self.state {
                State::Reading => {
                    if let Err(fault) = self.read() {
                        let stop = Stop::from(ImportError::from(fault));
                        self.state = match stop {
                            Stop::Broken(_) | Stop::Complete => State::LastPage(stop),
                            Stop::Refused(_) | Stop::Io(_) => State::Stopped(stop),
                        };
                    }
                }
                State::Nights => match self.nights.next_session() {
                    Some(session) => match self.mapper.session(&session, &mut self.pager) {
                        Ok(()) => self.tally.kept += 1,
                        Err(reason) => self.tally.skip(reason),
                    },
                    None => self.state = State::LastPage(Stop::Complete),
                },
                State::LastPage(stop) => {
                    self.state = State::Stopped(stop.clone());
                    if let Some((number, page)) = self.pager.rest() {
                        return Ok(Some(ImportPage { page, number }));
                    }
                }
                State::Stopped(stop) => {
                    return match stop {
                        Stop::Complete => Ok(None),
                        Stop::Refused(why) => Err(ImportError::Refused(why.clone())),
                        Stop::Broken(why) => Err(ImportError::Broken(why.clone())),
                        Stop::Io(kind) => Err(ImportError::Io((*kind).into())),
                    };
                }
            }
        }
    }

    fn progress(&self) -> ImportProgress {
        let whole = matches!(
            self.state,
            State::Nights | State::LastPage(Stop::Complete) | State::Stopped(Stop::Complete)
        );
        ImportProgress {
            bytes_read: if whole {
                self.bytes_total
            } else {
                self.export.source().file_position().min(self.bytes_total)
            },
            bytes_total: self.bytes_total,
            read: self.tally.read,
            kept: self.tally.kept,
            skipped: self
                .tally
                .skipped
                .iter()
                .map(|(reason, n)| (*reason, *n))
                .collect(),
        }
    }
}
