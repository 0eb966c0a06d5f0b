//! The example in JavaScript, on the packages that it names, where there is a Node.js.

use std::{path::Path, process::Command};

use serde_json::Value;
use wharf_domain::access::Role;
use wharf_tests::{peers, skip::skipped};

use super::{Followed, expected, live, path, run, send};

/// The example beside its packages, as its users have it, in `folder`; `None` where it cannot run.
fn install(folder: &Path) -> Option<()> {
    let packages = peers::node_modules()?;
    std::fs::create_dir(folder).unwrap();
    for file in ["follow.js", "package.json"] {
        let source = path("subscribers/javascript").join(file);
        std::fs::copy(source, folder.join(file)).unwrap();
    }
    std::os::unix::fs::symlink(packages, folder.join("node_modules")).unwrap();
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_in_javascript_goes_on_at_the_position_that_it_saved() {
    let followed = Followed::start().await;
    let folder = followed.file("javascript");
    if install(&folder).is_none() {
        return skipped("subscribers::javascript", "needs Node.js 20 and npm");
    }
    let position = followed.file("position");
    let follow = |more: &[&str]| {
        let mut node = Command::new("node");
        node.arg(folder.join("follow.js"));
        node.args(followed.args("acme", &position, more));
        run(node)
    };
    live(&followed.hub, "acme", 20).await;
    live(&followed.hub, "other", 7).await;
    let mut seen = follow(&["--once"]).await;
    assert_eq!(seen, expected(&followed.hub, "acme").await);
    send(&followed.hub.client("acme", Role::Admin), 5).await;
    seen.extend(follow(&["--once"]).await);
    assert_eq!(seen, expected(&followed.hub, "acme").await);
    assert_eq!(follow(&["--once"]).await, [] as [Value; 0]);

    std::fs::remove_file(&position).unwrap();
    let wanted = ["sync_run.completed", "message.accepted"];
    let some = follow(&["--once", "--type", wanted[0], "--type", wanted[1]]).await;
    seen.retain(|event| wanted.contains(&event["event"]["type"].as_str().unwrap()));
    assert_eq!(some, seen);
}

#[test]
fn the_example_in_javascript_pins_what_it_imports() {
    let folder = path("subscribers/javascript");
    let source = std::fs::read_to_string(folder.join("follow.js")).unwrap();
    let package = std::fs::read_to_string(folder.join("package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
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
}
