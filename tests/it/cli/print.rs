//! Commands that only print: help, settings, codes, the API's description.

use serde_json::Value;
use wharf_tests::process::Home;

use super::{fails, ok, said};

/// Every command there is.
const COMMANDS: [&[&str]; 24] = [
    &[],
    &["serve"],
    &["demo"],
    &["keygen"],
    &["token"],
    &["log"],
    &["log", "tail"],
    &["log", "replay"],
    &["log", "verify"],
    &["log", "stats"],
    &["views"],
    &["views", "status"],
    &["views", "rebuild"],
    &["import"],
    &["openapi"],
    &["explain"],
    &["doctor"],
    &["backup"],
    &["restore"],
    &["erasures"],
    &["metrics"],
    &["log", "copy"],
    &["vault"],
    &["vault", "copy"],
];

#[test]
fn every_command_explains_itself() {
    let home = Home::default();
    for command in COMMANDS {
        let args: Vec<_> = command.iter().copied().chain(["--help"]).collect();
        let help = ok(&home, &args);
        let about = help.lines().next().unwrap_or_default();
        assert!(
            about.len() > 10 && !about.starts_with("Usage"),
            "{command:?}: {help}"
        );
        assert!(help.contains("Usage: wharf"), "{command:?}: {help}");
    }
    // And the list is whole: what the top level names is in it.
    let help = ok(&home, &["--help"]);
    let named = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !["help", "config"].contains(name));
    for name in named {
        assert!(
            COMMANDS
                .iter()
                .any(|command| command.first() == Some(&name)),
            "{name}"
        );
    }
    let (code, _, errors) = home.run(&["no-such-command"]);
    assert_eq!(code, 2, "{errors}");
    assert!(ok(&home, &["--version"]).starts_with("wharf "));
    assert!(!home.data().exists(), "looking around makes nothing");
}

#[test]
fn every_code_is_explained() {
    let home = Home::default();
    let list = said(&home, &["explain"]);
    assert!(list.len() >= 24, "{} codes", list.len());
    for problem in &list {
        let code = problem["code"].as_str().unwrap();
        let explained = &said(&home, &["explain", code])[0];
        assert_eq!(explained["code"], code);
        assert!(
            explained["remedy"].as_str().unwrap().len() > 5,
            "{explained}"
        );
        let text = ok(&home, &["explain", &code.to_lowercase()]);
        assert!(text.starts_with(code), "{text}");
    }
    let text = ok(&home, &["explain", "F42305"]);
    assert!(
        text.contains("sync failed") && text.contains("What to do: "),
        "{text}"
    );
    let errors = fails(&home, &["explain", "F99999"]);
    assert!(
        errors.contains("F99999") && errors.contains("wharf explain"),
        "{errors}"
    );
}

#[test]
fn the_api_describes_itself() {
    let document = ok(&Home::default(), &["openapi"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/api/v1/integrations",
        "/api/v1/integrations/{integration_id}/import",
        "/api/v1/webhooks/events/{event_type}",
        "/api/v1/events/stream",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
}

#[test]
fn the_printed_settings_are_a_file_that_loads() {
    let home = Home::default();
    let settings = ok(&home, &["config"]);
    let table: toml::Table = settings.parse().unwrap();
    assert_eq!(
        table["server"]["listen"][0].as_str(),
        Some("127.0.0.1:8093")
    );
    assert_eq!(
        said(&home, &["config"])[0]["defaults"],
        settings.trim_end_matches('\n').to_owned() + "\n"
    );
    // Each key is explained by the comment above it, or above its neighbour.
    let mut explained = false;
    for line in settings.lines() {
        match line {
            "" => explained = false,
            _ if line.starts_with('#') => explained = true,
            _ if line.starts_with('[') => {}
            _ => assert!(explained, "{line} has no comment"),
        }
    }
    let file = home.path().join("mine.toml");
    std::fs::write(&file, &settings).unwrap();
    ok(&home, &["keygen", "--config", file.to_str().unwrap()]);
}

#[test]
fn a_wrong_setting_exits_64_and_is_named() {
    let home = Home::default();
    let file = home.path().join("wrong.toml");
    let path = file.to_str().unwrap();
    // Were a port bound before, it would be this one, which is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = [\"{}\"]", taken.local_addr().unwrap());
    for (text, named) in [
        ("[server]\nlistn = []", "listn"),
        (
            "[server]\nshutdown_grace_seconds = \"ten\"",
            "shutdown_grace_seconds",
        ),
        ("[server]\nlisten = []", "server.listen"),
        ("[srver]\n", "srver"),
        ("[auth]\njwt_secret = \"short\"", "auth.jwt_secret"),
        ("[telemetry]\nformat = \"xml\"", "telemetry.format"),
        ("[server\n", "wrong"),
    ] {
        let (section, rest) = text.split_once('\n').unwrap();
        let text = if section == "[server]" && !rest.contains("listen =") {
            format!("{section}\n{listen}\n{rest}")
        } else {
            text.to_owned()
        };
        std::fs::write(&file, &text).unwrap();
        let mut serve = home.command(&["serve", "--config", path]);
        serve
            .env_remove("WHARF_SERVER__LISTEN")
            .env_remove("WHARF_AUTH__JWT_SECRET");
        let output = serve.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{text}: {errors}");
        assert!(errors.contains(named), "{text}: {errors}");
    }
    let (code, _, errors) = home.run(&["serve", "--config", "nowhere.toml"]);
    assert_eq!(code, 64, "{errors}");
    assert!(errors.contains("nowhere.toml"), "{errors}");
    let unknown = home
        .command(&["serve"])
        .env("WHARF_VAULT__KEYFILE", "x")
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("keyfile"));
    assert!(!home.data().exists(), "nothing was opened");
}
