//! The example in JavaScript: its syntax, where there is Node.js. Nothing is downloaded for a test.

use std::process::Command;

use super::path;

#[test]
fn the_example_in_javascript_is_javascript_and_pins_what_it_imports() {
    let folder = path("subscribers/javascript");
    let source = std::fs::read_to_string(folder.join("follow.js")).unwrap();
    let package = std::fs::read_to_string(folder.join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    let pinned = package["dependencies"].as_object().unwrap();
    let imported: Vec<_> = source
        .lines()
        .filter_map(|line| line.split(" from \"").nth(1)?.strip_suffix("\";"))
        .filter(|module| !module.starts_with("node:"))
        .collect();
    assert_eq!(imported.len(), pinned.len());
    for module in imported {
        let version = pinned[module].as_str().unwrap();
        assert!(
            version.starts_with(|c: char| c.is_ascii_digit()),
            "{version}"
        );
    }
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("skipped: there is no node to check follow.js with");
        return;
    }
    let checked = Command::new("node")
        .arg("--check")
        .arg(folder.join("follow.js"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
