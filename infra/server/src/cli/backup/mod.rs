//! `wharf backup` and `wharf restore`: the embedded hub's data folder, taken while it runs and put back
//! elsewhere.
//!
//! A backup is a folder: `log.db`, then `vault.db` (in this order, since a secret is written to the vault
//! before the log names it), the uploads that runs may still need, and at last `backup.json`, which says
//! what all of it was. Without that file the folder is no backup. The views are not in it: they are made
//! from the log. The master key is not in it either, unless asked for: whoever holds both reads
//! everything.

mod embedded;
mod erasures;
mod files;
mod make;
mod manifest;
mod restore;

use embedded::ensure_embedded;
pub(super) use erasures::list as erasures;
pub(super) use make::make;
pub(super) use restore::restore;

/// The log's file.
const LOG: &str = "log.db";
/// The vault's file.
const VAULT: &str = "vault.db";
/// The folder of uploads, and in one of them: what it belongs to, and the whole file.
const UPLOADS: &str = "uploads";
const UPLOAD_FILES: [&str; 2] = ["meta.json", "done"];
/// What opens sealed bytes, and what signs tokens.
const KEYS: [&str; 2] = ["master.key", "jwt.key"];
