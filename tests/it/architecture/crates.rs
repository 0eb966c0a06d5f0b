//! Crates: who may name whom, and who may link what.

use std::{collections::BTreeSet, fs};

use super::{assert_none, packages};

/// A crate, the crates of ours that it may name, and the heavy libraries that it may name. Everything
/// in [`HEAVY`] that is not in its row is forbidden to it.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const DOMAIN: &str = "wharf-domain";
const PROJECTIONS: &str = "wharf-projections";
const ALL_BUT_SERVER: &[&str] = &[
    DOMAIN,
    PROJECTIONS,
    "wharf-adapters",
    "wharf-api",
    "wharf-eventlog",
    "wharf-vault",
    "wharf-egress",
    "wharf-runtime",
];
const ALL: &[&str] = &[
    DOMAIN,
    PROJECTIONS,
    "wharf-adapters",
    "wharf-api",
    "wharf-eventlog",
    "wharf-vault",
    "wharf-egress",
    "wharf-runtime",
    "wharf-server",
];
const CRATES: &[Row] = &[
    (DOMAIN, &[], &[]),
    (PROJECTIONS, &[DOMAIN], &["tokio", "sqlx"]),
    ("wharf-adapters", &[DOMAIN], &["tokio"]),
    (
        "wharf-eventlog",
        &[DOMAIN],
        &["tokio", "rusqlite", "async-nats"],
    ),
    ("wharf-vault", &[DOMAIN], &["tokio", "sqlx", "aes-siv"]),
    ("wharf-egress", &[DOMAIN], &["tokio", "reqwest"]),
    ("wharf-api", &[DOMAIN, PROJECTIONS], &["tokio", "axum"]),
    ("wharf-runtime", &[DOMAIN, PROJECTIONS], &["tokio"]),
    (
        "wharf-server",
        ALL_BUT_SERVER,
        &["tokio", "axum", "anyhow", "clap"],
    ),
    (
        "wharf-tests",
        ALL,
        &[
            "tokio",
            "axum",
            "reqwest",
            "rusqlite",
            "sqlx",
            "async-nats",
            "anyhow",
        ],
    ),
];
/// Libraries that only the crates whose row names them may link.
const HEAVY: &[&str] = &[
    "tokio",
    "axum",
    "reqwest",
    "hyper",
    "rusqlite",
    "sqlx",
    "async-nats",
    "aes-siv",
    "anyhow",
    "clap",
    "rand",
    "chrono",
];

#[test]
fn every_crate_has_its_row_in_the_table_of_who_may_name_whom() {
    let there: BTreeSet<String> = packages().iter().map(|p| p.name.to_string()).collect();
    let known: BTreeSet<String> = CRATES.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(there, known);
}

#[test]
fn crates_name_only_the_crates_below_them() {
    let mut offenders = vec![];
    for package in packages() {
        let row = CRATES.iter().find(|row| row.0 == package.name.as_str());
        let (_, ours, heavy) = row.unwrap();
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let ours_but_not_below = name.starts_with("wharf-") && !ours.contains(&name);
            let heavy_but_not_its = HEAVY.contains(&name) && !heavy.contains(&name);
            if ours_but_not_below || heavy_but_not_its {
                offenders.push(format!("{} depends on {name}", package.name));
            }
        }
    }
    assert_none(offenders, "a crate names what its row does not allow");
}

#[test]
fn every_crate_inherits_the_lints_and_takes_its_versions_from_the_one_table() {
    let mut offenders = vec![];
    for package in packages() {
        let manifest: toml::Table = fs::read_to_string(&package.manifest_path)
            .unwrap()
            .parse()
            .unwrap();
        let inherits = |value: &toml::Value| {
            value.get("workspace").and_then(toml::Value::as_bool) == Some(true)
        };
        if !manifest.get("lints").is_some_and(inherits) {
            offenders.push(format!("{} does not inherit the lints", package.name));
        }
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let table = manifest.get(table).and_then(toml::Value::as_table);
            for (name, value) in table.into_iter().flatten() {
                if !inherits(value) {
                    offenders.push(format!("{} has its own version of {name}", package.name));
                }
            }
        }
    }
    assert_none(
        offenders,
        "lints and versions are the root Cargo.toml's only",
    );
}

#[test]
fn inv02_domain_links_nothing_that_does_io() {
    let packages = packages();
    let domain = packages.iter().find(|p| p.name.as_str() == DOMAIN).unwrap();
    let offenders = domain
        .dependencies
        .iter()
        .map(|dependency| dependency.name.clone())
        .filter(|name| HEAVY.contains(&name.as_str()) || name == "getrandom" || name == "futures")
        .collect();
    assert_none(offenders, "the domain is pure");
}
