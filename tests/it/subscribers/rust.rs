//! The example in Rust, built as its users build it.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use wharf_tests::process::workspace;

use super::{Followed, blocking, expected, live, run};

/// The example, built once from the sources as they are.
pub(super) async fn program() -> PathBuf {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--example", "follow"]);
        // target/<profile>/deps/it-<hash>
        let exe = std::env::current_exe().expect("a test has a path");
        let profile = exe
            .ancestors()
            .nth(2)
            .expect("a test lies in a target folder");
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        if let Some(target) = profile.parent() {
            build.arg("--target-dir").arg(target);
        }
        let status = build.current_dir(workspace()).status().expect("cargo runs");
        assert!(status.success(), "the example does not build");
        profile.join("examples/follow")
    });
    blocking(|| PROGRAM.clone()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_rust_reads_what_the_api_shows_and_goes_on() {
    let followed = Followed::start().await;
    live(&followed.hub, "acme", 4).await;
    live(&followed.hub, "other", 4).await;
    let program = program().await;
    let position = followed.file("position");
    let follow = |more: &[&str]| {
        let mut command = Command::new(&program);
        command.args(followed.args("acme", &position, more));
        command
    };
    let whole = expected(&followed.hub, "acme").await;
    let one_type = ["--once", "--type", "message.accepted"];
    let mut messages = whole.clone();
    messages.retain(|event| event["event"]["type"] == "message.accepted");
    assert_eq!(run(follow(&one_type)).await, messages);
    assert_eq!(run(follow(&["--once"])).await, [] as [serde_json::Value; 0]);
    let middle = whole[whole.len() / 2]["position"].as_u64().unwrap();
    std::fs::write(&position, middle.to_string()).unwrap();
    let mut rest = whole;
    rest.retain(|event| event["position"].as_u64() > Some(middle));
    assert_eq!(run(follow(&["--once"])).await, rest);
}
