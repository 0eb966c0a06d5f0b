//! Manifests: a platform as data, in the `manifest.toml` beside its code. Embedded when we are built,
//! so that a connector never reads a file.

use wharf_domain::platforms::Manifest;

/// Reads an embedded manifest.
///
/// # Errors
/// It is no TOML, or not a manifest: unknown or missing keys.
pub fn parse(text: &str) -> Result<Manifest, toml::de::Error> {
    toml::from_str(text)
}

/// The manifest that is embedded in a connector.
///
/// # Panics
/// It does not parse; the catalogue's tests read every one, so a built hub never does.
#[must_use]
pub fn embedded(text: &'static str) -> Manifest {
    #[expect(
        clippy::expect_used,
        reason = "part of the program; the catalogue's tests parse it"
    )]
    parse(text).expect("an embedded manifest is valid")
}
