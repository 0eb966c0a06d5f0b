//! The rules of ARCHITECTURE.md that a reader of the code cannot see break: who depends on whom, who may
//! touch what, how long a file is. Checked on `cargo metadata` and on the text of every source file.
//!
//! A rule that fails names each offender. Change the code, or the rule and ARCHITECTURE.md with it.

mod crates;
mod documents;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{MetadataCommand, Package};

/// A source file: where it lies below the workspace's root, and what it says.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether it ships in no binary.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/examples/")
            || self.path.contains("/testing")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("/golden.rs")
    }

    /// Its lines without comments, each with its number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter_map(|(number, line)| {
            let code = line.split_once("// ").map_or(line, |(code, _)| code);
            (!line.trim_start().starts_with("//")).then_some((number, code))
        })
    }

    /// Where its code contains one of `words`.
    fn uses(&self, words: &[&str]) -> Vec<String> {
        self.code()
            .filter_map(|(number, line)| {
                let word = words.iter().find(|word| line.contains(**word))?;
                Some(format!("{}:{number} uses `{word}`", self.path))
            })
            .collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every Rust file of the workspace.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "data" {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = vec![];
    walk(&root, &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned(),
        })
        .collect()
}

/// Sources that ship: neither tests nor the tests' crate.
fn shipped() -> Vec<Source> {
    sources()
        .into_iter()
        .filter(|source| !source.is_test())
        .collect()
}

fn packages() -> Vec<Package> {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
        .packages
}

#[track_caller]
fn assert_none(offenders: Vec<String>, rule: &str) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}
