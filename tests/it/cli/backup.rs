//! `wharf backup` and `wharf restore`: what was there is there again, proven; what was erased stays erased;
//! whatever does not fit is refused before anything is touched.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{client::Client, process::Home, receiver::Receiver};

use super::{fails, integration, lines, ok, said};

/// A folder's name as an argument.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Brings the key over, as an operator does from where it is kept.
fn carry_key(from: &Home, to: &Home) {
    let data = to.data();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(from.data().join("master.key"), data.join("master.key")).unwrap();
}

/// Everything that a product would read.
async fn answers(client: &Client, integration: &str, webhook: &str) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for path in [
        "/api/v1/integrations".to_owned(),
        format!("/api/v1/integrations/{integration}"),
        format!("/api/v1/integrations/{integration}/records?size=100"),
        format!("/api/v1/integrations/{integration}/sync/logs"),
        "/api/v1/webhooks".to_owned(),
        format!("/api/v1/webhooks/{webhook}/logs"),
        "/api/v1/events?type=integration.*".to_owned(),
    ] {
        let answer = client.get(&path).await;
        answers.insert(path, answer.ok());
    }
    answers
}

/// Says an event; whether it was accepted.
async fn send(client: &Client, topic: &str) -> bool {
    let path = format!("/api/v1/webhooks/events/{topic}");
    let answer = client.post(&path, &json!({ "n": 1 })).await;
    answer.status == 202
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_backed_up_under_load_and_killed_goes_on_elsewhere() {
    let home = Home::files();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let export = wharf_tests::process::workspace().join("tests/it/fixtures/export.xml");
    let import = ["import", "apple_health", text(&export), "--project", "p"];
    let imported = said(&home, &import).remove(0);
    let integration = imported["integration_id"].as_str().unwrap();
    let receiver = Receiver::start().await;
    let webhook = json!({
        "project_id": "p", "name": "w", "url": receiver.url, "events": ["user.registered", "user.updated"],
    });
    let webhook = client.post("/api/v1/webhooks", &webhook).await.ok();
    let webhook = webhook["id"].as_str().unwrap();
    assert!(
        send(&client, "user.registered").await,
        "the event is accepted"
    );
    receiver.wait(1).await;
    let delivered = |page: &Value| page["logs"].as_array().is_some_and(|logs| logs.len() == 1);
    let logs = format!("/api/v1/webhooks/{webhook}/logs");
    client.until(&logs, delivered).await;

    // Four callers write as fast as they can while the first backup is made.
    let (busy, accepted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let load = || async {
        while busy.load(Ordering::Relaxed) {
            if send(&client, "task.created").await {
                accepted.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let first = home.path().join("first");
    let backup = async {
        while accepted.load(Ordering::SeqCst) < 50 {
            tokio::task::yield_now().await;
        }
        let before = accepted.load(Ordering::SeqCst);
        let (home, to) = (home.clone(), first.clone());
        let made = tokio::task::spawn_blocking(move || said(&home, &["backup", text(&to)]));
        let made = made.await.unwrap().remove(0);
        let after = accepted.load(Ordering::SeqCst);
        busy.store(false, Ordering::Relaxed);
        (before, made, after)
    };
    let ((before, made, after), ..) = tokio::join!(backup, load(), load(), load(), load());
    assert!(after > before, "the load went on while the backup was made");
    assert!(made["tail"].as_u64().unwrap() > before, "{made}");

    let second = home.path().join("second");
    client.get("/api/v1/health/ready").await.ok();
    let expected = answers(&client, integration, webhook).await;
    let made = said(&home, &["backup", text(&second)]).remove(0);
    wharf.kill();
    let original = ok(&home, &["log", "replay", "--json"]);

    // The first one is a moment of the past: the log up to a position, whole.
    let past = Home::files();
    carry_key(&home, &past);
    ok(&past, &["restore", text(&first)]);
    let replayed = ok(&past, &["log", "replay", "--json"]);
    assert!(original.starts_with(&replayed) && !replayed.is_empty());
    let wharf = past.serve();
    assert_eq!(wharf.stop(), 0);

    // The second one is all that there was.
    let elsewhere = Home::files();
    carry_key(&home, &elsewhere);
    let restored = said(&elsewhere, &["restore", text(&second)]).remove(0);
    assert_eq!(
        (&restored["tail"], &restored["chain"]),
        (&made["tail"], &made["chain"])
    );
    assert_eq!(ok(&elsewhere, &["log", "replay", "--json"]), original);
    assert!(
        !elsewhere.data().join("views").exists(),
        "views are built, not restored"
    );
    let wharf = elsewhere.serve();
    let client = wharf.client("p", Role::Admin);
    let caught_up = |ready: &Value| ready["position"] == made["tail"];
    client.until("/api/v1/health/ready", caught_up).await;
    let again = answers(&client, integration, webhook).await;
    assert_eq!(again, expected);
    // It goes on: the webhook's secret opens, and nothing is delivered twice.
    assert!(send(&client, "user.updated").await);
    let got = receiver.wait(2).await;
    assert_eq!(got[1].json()["type"], "user.updated");
    let all_good = said(&elsewhere, &["doctor"]);
    assert!(
        all_good.iter().all(|check| check["verdict"] != "fail"),
        "{all_good:?}"
    );
}

/// A hub with one integration that has a secret, backed up to the folder that is answered.
async fn backed_up(home: &Home) -> (std::path::PathBuf, String) {
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let body = json!({
        "project_id": "p", "integration_type": "sandbox", "name": "s", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_demo" },
    });
    let created = client.post("/api/v1/integrations", &body).await.ok();
    let to = home.path().join("backup");
    ok(home, &["backup", text(&to)]);
    assert_eq!(wharf.stop(), 0);
    (to, created["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_before_anything_is_touched() {
    let home = Home::files();
    let errors = fails(&home, &["backup", text(&home.path().join("b"))]);
    assert!(errors.contains("wharf serve"), "{errors}");
    let (backup, _) = backed_up(&home).await;
    let errors = fails(&home, &["backup", text(&backup)]);
    assert!(errors.contains("not empty"), "{errors}");
    let errors = fails(&home, &["restore", text(&backup)]);
    assert!(
        errors.contains("not empty") && errors.contains("data.dir"),
        "{errors}"
    );

    let fresh = Home::files();
    let errors = fails(&fresh, &["restore", text(&backup)]);
    assert!(
        errors.contains("ENCRYPTION_KEY") && errors.contains("master.key"),
        "{errors}"
    );
    let wrong = fresh
        .command(&["restore", text(&backup)])
        .env("ENCRYPTION_KEY", "5b".repeat(32))
        .output()
        .unwrap();
    let errors = String::from_utf8(wrong.stderr).unwrap();
    assert!(errors.contains("belongs to master key"), "{errors}");
    let errors = fails(&fresh, &["restore", text(fresh.path())]);
    assert!(errors.contains("no backup"), "{errors}");
    assert!(!fresh.data().exists(), "a refusal makes nothing");

    // One flipped bit in any file.
    carry_key(&home, &fresh);
    for name in ["log.db", "vault.db"] {
        let path = backup.join(name);
        let whole = fs::read(&path).unwrap();
        let mut torn = whole.clone();
        *torn.last_mut().unwrap() ^= 1;
        fs::write(&path, torn).unwrap();
        let errors = fails(&fresh, &["restore", text(&backup)]);
        assert!(
            errors.contains(name) && errors.contains("another backup"),
            "{errors}"
        );
        fs::write(&path, whole).unwrap();
        assert_eq!(
            fs::read_dir(fresh.data()).unwrap().count(),
            1,
            "only the key"
        );
    }
    ok(&fresh, &["restore", text(&backup)]);
    let unfinished = home.path().join("unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::copy(backup.join("log.db"), unfinished.join("log.db")).unwrap();
    let errors = fails(&Home::files(), &["restore", text(&unfinished)]);
    assert!(errors.contains("not finished"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv04_a_backup_holds_no_key_unless_it_was_asked_for() {
    let home = Home::files();
    let (backup, _) = backed_up(&home).await;
    let key = fs::read_to_string(home.data().join("master.key")).unwrap();
    let bytes = hex::decode(key.trim()).unwrap();
    let mut names = vec![];
    for entry in fs::read_dir(&backup).unwrap() {
        let entry = entry.unwrap();
        let found = fs::read(entry.path()).unwrap();
        for secret in [key.trim().as_bytes(), &bytes, b"sandbox_demo"] {
            let held = found.windows(secret.len()).any(|window| window == secret);
            assert!(!held, "{:?} holds a secret", entry.path());
        }
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0);
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["backup.json", "log.db", "vault.db"]);

    let with = home.path().join("with");
    let told = ok(&home, &["backup", text(&with), "--with-keys"]);
    assert!(told.contains("keys ARE in it"), "{told}");
    let elsewhere = Home::files();
    ok(&elsewhere, &["restore", text(&with)]);
    let restored = fs::read_to_string(elsewhere.data().join("master.key")).unwrap();
    assert_eq!(restored, key);
    assert_eq!(elsewhere.serve().stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_after_the_backup_stays_erased() {
    let home = Home::files();
    let (backup, id) = backed_up(&home).await;
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let kept = integration(&client, "kept").await;
    let path = format!("/api/v1/integrations/{id}");
    client.delete(&path).await.ok();
    let list = home.path().join("erasures");
    fs::write(&list, ok(&home, &["erasures", "--json"])).unwrap();
    let told = lines(&fs::read_to_string(&list).unwrap());
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["erased"], &told[0]["id"]),
        (&json!("integration"), &json!(id))
    );
    let later = home.path().join("later");
    ok(&home, &["backup", text(&later)]);
    assert_eq!(wharf.stop(), 0);

    // Without the list it would be back: that is what the list is for.
    let careless = Home::files();
    carry_key(&home, &careless);
    ok(&careless, &["restore", text(&backup)]);
    let wharf = careless.serve();
    let client = wharf.client("p", Role::Admin);
    assert_eq!(client.get(&path).await.ok()["id"], json!(id));
    assert_eq!(wharf.stop(), 0);

    for source in [&list, &later] {
        let careful = Home::files();
        carry_key(&home, &careful);
        let args = ["restore", text(&backup), "--erasures", text(source)];
        assert_eq!(said(&careful, &args)[0]["erasures"], 1);
        let vault = rusqlite::Connection::open(careful.data().join("vault.db")).unwrap();
        let sealed: i64 = vault
            .query_row(
                "select (select count(*) from data_keys
                         where scope like '%' || ?1 and wrapped is not null)
                      + (select count(*) from secrets where scope like '%' || ?1)",
                [&id],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(sealed, 0, "its key and its secrets are gone");
        drop(vault);
        let wharf = careful.serve();
        let client = wharf.client("p", Role::Admin);
        let caught_up = |list: &Value| list["total"] == 0;
        client.until("/api/v1/integrations", caught_up).await;
        assert_eq!(client.get(&path).await.status, 404);
        let gone = client.get(&format!("/api/v1/integrations/{kept}")).await;
        assert_eq!(gone.status, 404, "made after the backup");
        assert_eq!(wharf.stop(), 0);
        ok(&careful, &["log", "verify"]);
    }
}

#[test]
fn a_hub_that_shares_its_storage_is_not_backed_up_by_its_folder() {
    let home = Home::files();
    for (name, value) in [
        ("WHARF_LOG__NATS_URL", "nats://127.0.0.1:1"),
        ("WHARF_DATABASE__URL", "postgres://127.0.0.1:1/none"),
    ] {
        for command in ["backup", "restore"] {
            let to = home.path().join("backup");
            let refused = home
                .command(&[command, text(&to)])
                .env(name, value)
                .output();
            let refused = refused.unwrap();
            assert_eq!(refused.status.code(), Some(1));
            let errors = String::from_utf8(refused.stderr).unwrap();
            assert!(errors.contains("backup.md"), "{errors}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_come_along_wherever_they_lie() {
    let home = Home::files();
    assert_eq!(home.serve().stop(), 0);
    let run = |home: &Home, args: &[&str]| {
        let uploads = home.path().join("uploads elsewhere");
        let mut command = home.command(args);
        let ran = command.env("WHARF_IMPORT__DIR", uploads).output().unwrap();
        let errors = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success(), "wharf {args:?}: {errors}");
    };
    let upload = "uploads elsewhere/01890000-0000-7000-8000-000000000001";
    fs::create_dir_all(home.path().join(upload)).unwrap();
    for file in ["meta.json", "done"] {
        fs::write(home.path().join(upload).join(file), file).unwrap();
    }
    let backup = home.path().join("backup");
    run(&home, &["backup", text(&backup)]);
    let restored = Home::files();
    carry_key(&home, &restored);
    run(&restored, &["restore", text(&backup)]);
    for file in ["meta.json", "done"] {
        let path = restored.path().join(upload).join(file);
        assert_eq!(fs::read_to_string(path).unwrap(), file);
    }
    assert!(!restored.data().join("uploads").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_whole_come_along() {
    let home = Home::files();
    assert_eq!(home.serve().stop(), 0);
    let upload = |name: &str, file: &str| {
        let folder = home.data().join("uploads").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("meta.json"), "{}").unwrap();
        fs::write(folder.join(file), "export").unwrap();
    };
    upload("01890000-0000-7000-8000-000000000001", "done");
    upload("01890000-0000-7000-8000-000000000002", "file");
    let backup = home.path().join("backup");
    ok(&home, &["backup", text(&backup)]);
    let elsewhere = Home::files();
    carry_key(&home, &elsewhere);
    ok(&elsewhere, &["restore", text(&backup)]);
    let uploads = elsewhere.data().join("uploads");
    let whole = uploads.join("01890000-0000-7000-8000-000000000001");
    assert_eq!(fs::read_to_string(whole.join("done")).unwrap(), "export");
    assert!(whole.join("meta.json").exists());
    assert_eq!(
        fs::read_dir(uploads).unwrap().count(),
        1,
        "half a file is sent again"
    );
}
