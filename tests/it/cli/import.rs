//! `wharf import`: through the running server and without one.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wharf_domain::access::Role;
use wharf_tests::process::{Home, workspace};

use super::{fails, integration, ok};

fn export() -> PathBuf {
    workspace().join("tests/it/fixtures/export.xml")
}

/// Imports with `--json`: one line, and no progress beside it.
#[track_caller]
fn import(home: &Home, file: &Path, more: &[&str]) -> (i32, Value) {
    let file = file.to_str().unwrap();
    let args = ["import", "apple_health", file, "--project", "p", "--json"];
    let args: Vec<_> = args.iter().chain(more).copied().collect();
    let (code, out, errors) = home.run(&args);
    assert_eq!(out.lines().count(), 1, "{out}{errors}");
    assert_eq!(errors, "", "machines see no progress");
    (code, serde_json::from_str(&out).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_with_and_without_a_server() {
    let home = Home::default();
    let wharf = home.serve();
    let (code, online) = import(&home, &export(), &[]);
    assert_eq!(
        (code, &online["state"]),
        (0, &"completed".into()),
        "{online}"
    );
    assert!(online["records"].as_u64() > Some(5), "{online}");
    assert_eq!(wharf.stop(), 0);

    // The same file into the same integration: found by itself, and nothing is doubled.
    let (code, offline) = import(&home, &export(), &[]);
    assert_eq!(code, 0);
    assert_eq!(offline["integration_id"], online["integration_id"]);
    assert_ne!(offline["run_id"], online["run_id"]);
    assert_eq!(offline["records"], online["records"]);

    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let id = online["integration_id"].as_str().unwrap();
    let records = client
        .get(&format!("/api/v1/integrations/{id}/records?size=100"))
        .await
        .ok();
    let records = records["records"].as_array().unwrap().len();
    assert_eq!(Some(records as u64), online["records"].as_u64());
    // For people, too.
    let file = export();
    let text = ok(
        &home,
        &[
            "import",
            "apple_health",
            file.to_str().unwrap(),
            "--project",
            "p",
        ],
    );
    assert!(
        text.starts_with("completed: ") && text.contains("wharf log replay"),
        "{text}"
    );

    // With two of them somebody has to choose.
    let second = integration(&client, "second").await;
    let args = [
        "import",
        "apple_health",
        file.to_str().unwrap(),
        "--project",
        "p",
    ];
    let errors = fails(&home, &args);
    assert!(errors.contains("--integration"), "{errors}");
    let (code, chosen) = import(&home, &file, &["--integration", &second]);
    assert_eq!((code, &chosen["integration_id"]), (0, &second.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_named() {
    let home = Home::default();
    let broken = home.path().join("broken.xml");
    std::fs::write(&broken, "{}").unwrap();
    for server in [true, false] {
        let wharf = server.then(|| home.serve());
        let (code, done) = import(&home, &broken, &[]);
        assert_eq!((code, &done["state"]), (1, &"failed".into()), "{done}");
        assert!(
            done["failure"].as_str().unwrap().contains("export.zip"),
            "{done}"
        );
        let file = broken.to_str().unwrap();
        let errors = fails(&home, &["import", "fitness_planet", file]);
        assert!(
            errors.contains("fitness_planet") && errors.contains("apple_health"),
            "{errors}"
        );
        let errors = fails(&home, &["import", "sandbox", file]);
        assert!(errors.contains("no export files"), "{errors}");
        let nobody = "01890000-0000-7000-8000-000000000000";
        let errors = fails(
            &home,
            &["import", "apple_health", file, "--integration", nobody],
        );
        assert!(errors.contains("no such integration"), "{errors}");
        if let Some(wharf) = wharf {
            assert_eq!(wharf.stop(), 0);
        }
    }
    let errors = fails(&home, &["import", "apple_health", "nowhere.zip"]);
    assert!(errors.contains("nowhere.zip"), "{errors}");

    // A file that breaks off is a success of its kind: what was in it is there.
    let whole = std::fs::read_to_string(export()).unwrap();
    let cut = home.path().join("cut.xml");
    std::fs::write(&cut, &whole[..whole.len() - 30]).unwrap();
    let (code, done) = import(&home, &cut, &[]);
    assert_eq!((code, &done["state"]), (0, &"partial".into()), "{done}");
    assert!(
        done["failure"].as_str().unwrap().contains("breaks off"),
        "{done}"
    );
}
