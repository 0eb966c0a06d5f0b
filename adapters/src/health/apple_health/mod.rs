//! Apple Health. There is no server to ask: the data arrives as the export file of an iPhone.
//!
//! From the file to records:
//!
//! - `archive.rs` finds the XML in the zip, and keeps bombs out;
//! - `wire.rs` reads it as a flat stream of elements, in constant memory;
//! - `map.rs` makes a record of each, with `samples.rs` and `workouts.rs` for what is in them,
//!   `days.rs` for the local day, `device.rs` for the device, and `nights.rs` for sleep sessions;
//! - `import.rs` drives them and cuts pages.
//!
//! Every element becomes a record or is counted with the reason why not. The export is the whole
//! history each time and has no ids: a record's key is made of type, instants, source, value and unit,
//! so that importing again doubles nothing.
//!
//! Phone and watch both write steps and distances. Both are kept, each with its source; whoever adds
//! them up must choose one.

mod archive;
mod days;
mod device;
mod fault;
#[cfg(any(test, feature = "generate"))]
pub mod generate;
mod import;
mod map;
mod nights;
mod samples;
mod wire;
mod workouts;

#[cfg(test)]
mod tests;

use wharf_domain::{
    platforms::Manifest,
    ports::{Connector, Import, ImportError, ImportSource},
};

pub use archive::Limits;

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
