//! Apple Health. There is no server to ask: the data arrives as the export file of an iPhone.
//!
//! From the file to records:
//!
//! - `archive.rs` finds the XML in the zip, `unpacked.rs` reads it and keeps bombs out;
//! - `wire.rs` reads elements, in constant memory; an `item.rs` is one of them;
//! - `map.rs` makes a record of each, with `head.rs` for what all have, `samples.rs` and `workouts.rs`
//!   for what is in them, `days.rs` for the local day, `device.rs` for the device, and `nights` for
//!   sleep sessions;
//! - `import.rs` drives them and cuts pages.
//!
//! Every element becomes a record or is counted with the reason why not. The export is the whole
//! history each time and has no ids: a record's key is made of type, instants, source, value and unit,
//! so that importing again doubles nothing.
//!
//! What real exports do, and what we do about it (`tests/quirks.rs` has a test for each number):
//!
//! 1. the document type of iOS 16 is no XML: nothing before `<HealthData` is parsed;
//! 2. values hold control characters: dropped;
//! 3. attribute names of iOS 8 have spaces: refused, with what to do;
//! 4. files break off: what was read is kept, the run is partial;
//! 5. they have gigabytes: memory is constant, everything has a limit;
//! 6. every time is written with the offset of the *export*: only the instant counts (`days.rs`);
//! 7. the device's text begins with a memory address: it is read into fields, never compared;
//! 8. each export is the whole history, without ids: see the key above;
//! 9. phone and watch both write steps and distances: both are kept, each with its source; whoever
//!    adds them up must choose one;
//! 10. units follow the phone's settings: converted, or kept as they came;
//! 11. source names have typographic quotes and no-break spaces, or not: alike in the key.

mod archive;
mod days;
mod device;
mod fault;
#[cfg(any(test, feature = "generate"))]
pub mod generate;
mod head;
mod import;
mod item;
mod map;
mod nights;
mod samples;
mod unpacked;
mod wire;
mod workouts;

#[cfg(test)]
mod tests;

use wharf_domain::{
    platforms::Manifest,
    ports::{Connector, Import, ImportError, ImportSource},
};

pub use unpacked::Limits;

use crate::kit::manifest;

/// The connector.
#[derive(Debug)]
pub struct AppleHealth {
    manifest: Manifest,
    limits: Limits,
}

impl AppleHealth {
    /// With the usual limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// With an operator's limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            manifest: manifest::embedded(include_str!("manifest.toml")),
            limits,
        }
    }
}

impl Default for AppleHealth {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector for AppleHealth {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn import(&self, source: ImportSource) -> Result<Box<dyn Import>, ImportError> {
        Ok(Box::new(import::HealthImport::open(source, self.limits)?))
    }
}
