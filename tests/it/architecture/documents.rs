//! Documents: ARCHITECTURE.md and the tests agree on the invariants, ADRs have their form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{assert_none, root, sources};

/// Number of an invariant → names of the tests that hold it.
fn invariant_tests() -> BTreeMap<u32, Vec<String>> {
    let mut tests: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for (_, line) in source.code() {
            let Some(name) = line.split("fn inv").nth(1) else {
                continue;
            };
            let Some((number, rest)) = name.split_once('_') else {
                continue;
            };
            if let Ok(number) = number.parse() {
                let rest = rest.split('(').next().unwrap_or_default();
                tests
                    .entry(number)
                    .or_default()
                    .push(format!("{}: {rest}", source.path));
            }
        }
    }
    tests
}

#[test]
fn every_invariant_has_a_test_that_bears_its_number() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let listed: BTreeSet<u32> = document
        .split("`inv")
        .skip(1)
        .filter_map(|text| text.split_once('_')?.0.parse().ok())
        .collect();
    let tested: BTreeSet<u32> = invariant_tests().into_keys().collect();
    assert_eq!(listed, (1..=13).collect(), "ARCHITECTURE.md lists them all");
    assert_eq!(
        listed.difference(&tested).collect::<Vec<_>>(),
        Vec::<&u32>::new(),
        "invariants without a test"
    );
    assert!(tested.is_subset(&listed), "a number that is no invariant");
}

#[test]
fn every_decision_has_its_four_parts_and_its_number() {
    let mut offenders = vec![];
    let mut numbers = vec![];
    for entry in fs::read_dir(root().join("docs/adr")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        numbers.push(name.get(..4).unwrap_or_default().parse::<usize>().unwrap());
        for part in [
            "## Context",
            "## Decision",
            "## Alternatives",
            "## Consequences",
        ] {
            if !text.contains(part) {
                offenders.push(format!("{name} lacks {part}"));
            }
        }
    }
    assert_none(offenders, "an ADR says all four");
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
}
