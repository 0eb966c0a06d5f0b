//! The files that the hub is deployed with, held to what the hub is: its settings, its metrics, its ports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use serde_json::Value;
use wharf_server::{
    config::{Config, DEFAULTS},
    telemetry::catalogue::{METRICS, find},
};
use wharf_tests::{peers, process::workspace};
use yaml_rust2::{Yaml, YamlLoader};

fn path(name: &str) -> PathBuf {
    workspace().join("infra/deploy").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&text(name)).unwrap();
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// The keys of a mapping; none of anything else.
fn keys(yaml: &Yaml) -> BTreeSet<String> {
    let entries = yaml.as_hash().into_iter().flatten();
    entries
        .map(|(key, _)| key.as_str().unwrap().to_owned())
        .collect()
}

/// What a service of the compose file says, its own lines and those it takes over.
fn said<'y>(service: &'y Yaml, key: &str) -> &'y Yaml {
    let own = &service[key];
    if own.is_badvalue() {
        &service["<<"][key]
    } else {
        own
    }
}

/// Every word of ours that could be a metric.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("wharf_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_compose_file_is_whole_and_its_settings_are_settings() {
    let compose = yaml("compose/compose.yaml");
    let services = &compose["services"];
    let names = keys(services);
    let expected = [
        "nats-1", "nats-2", "nats-3", "postgres", "wharf-1", "wharf-2",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
    let (volumes, networks) = (keys(&compose["volumes"]), keys(&compose["networks"]));
    for name in &names {
        let service = &services[name.as_str()];
        assert!(!said(service, "image").is_badvalue(), "{name} has no image");
        assert_eq!(
            said(service, "restart").as_str(),
            Some("unless-stopped"),
            "{name}"
        );
        for network in said(service, "networks").as_vec().unwrap() {
            assert!(
                networks.contains(network.as_str().unwrap()),
                "{name}: {network:?}"
            );
        }
        for volume in said(service, "volumes").as_vec().unwrap() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let there = volumes.contains(from) || path("compose").join(from).exists();
            assert!(there, "{name} mounts {from}");
        }
        for other in keys(said(service, "depends_on")) {
            assert!(
                !said(&services[other.as_str()], "healthcheck").is_badvalue(),
                "{other}"
            );
        }
    }
    // The hubs' settings load, as far as this version has their sections.
    let sections: toml::Table = DEFAULTS.parse().unwrap();
    let environment = &compose["x-wharf"]["environment"];
    let mut settings = BTreeMap::new();
    for name in keys(environment) {
        let section = name
            .strip_prefix("WHARF_")
            .and_then(|rest| rest.split_once("__"));
        if section.is_none_or(|(section, _)| sections.contains_key(&section.to_lowercase())) {
            let value = environment[name.as_str()].as_str().unwrap();
            let filled_in = if value.starts_with("${") {
                "5a".repeat(32)
            } else {
                value.to_owned()
            };
            settings.insert(name, filled_in);
        }
    }
    assert!(settings.len() >= 5, "{settings:?}");
    let config = Config::load(None, &settings).unwrap();
    assert!(!config.sandbox.enabled);
    for name in [
        "LOG__NATS_URL",
        "LOG__NATS_MONITOR_URLS",
        "LOG__REPLICAS",
        "DATABASE__URL",
    ] {
        assert!(
            keys(environment).contains(&format!("WHARF_{name}")),
            "{name}"
        );
    }
    // What is to be filled in is in the example, and nothing is filled in there.
    let example = text("compose/env.example");
    let whole = text("compose/compose.yaml");
    for wanted in whole.split("${").skip(1) {
        let name = wanted.split([':', '}']).next().unwrap();
        assert!(
            example.contains(&format!("\n{name}=")),
            "{name} is not in env.example"
        );
    }
    for secret in [
        "ENCRYPTION_KEY",
        "JWT_SECRET",
        "NATS_PASSWORD",
        "POSTGRES_PASSWORD",
    ] {
        assert!(
            example.contains(&format!("\n{secret}=\n")),
            "{secret} is filled in"
        );
    }
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let dockerfile = text("compose/Dockerfile");
    let sections: toml::Table = DEFAULTS.parse().unwrap();
    let listen = sections["server"]["listen"][0].as_str().unwrap();
    let port = listen.rsplit(':').next().unwrap();
    assert!(dockerfile.contains(&format!("\nEXPOSE {port}\n")));
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let rust = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap();
    assert!(dockerfile.starts_with("# wharf"));
    assert!(
        dockerfile.contains(&format!("FROM rust:{rust}-")),
        "needs Rust {rust}"
    );
    assert!(dockerfile.contains("\nUSER 10001\n"), "not as root");
}

#[test]
fn each_nats_server_accepts_its_configuration() {
    let server = peers::program("nats-server").unwrap();
    for name in ["nats-1", "nats-2", "nats-3"] {
        let checked = Command::new(&server)
            .args(["-t", "-c"])
            .arg(path("nats/nats.conf"))
            .env("NATS_NAME", name)
            .env("NATS_PASSWORD", "letters4and2digits")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{said}");
    }
    let configuration = text("nats/nats.conf");
    assert!(
        configuration.contains("\n  sync_interval: always\n"),
        "an acknowledged write is durable"
    );
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_confines_the_hub() {
    let unit = text("systemd/wharf.service");
    for line in [
        "DynamicUser=yes",
        "StateDirectory=wharf",
        "StateDirectoryMode=0700",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "LimitNOFILE=65536",
        "Restart=on-failure",
        "RestartPreventExitStatus=64",
        "CapabilityBoundingSet=",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    assert!(
        unit.contains("WHARF_DATA__DIR=/var/lib/wharf\n"),
        "where StateDirectory is"
    );
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no systemd-analyze to verify the unit with");
        return;
    }
    // The binary need not be installed here.
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("wharf.service");
    fs::write(&there, unit.replace("/usr/local/bin/wharf", "/bin/true")).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&there)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard: Value = serde_json::from_str(&text("grafana/wharf.json")).unwrap();
    let (mut ids, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "two panels have one id"
        );
        let targets = panel["targets"].as_array().into_iter().flatten();
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            assert!(
                expression.contains("instance=~\"$instance\""),
                "{expression}"
            );
            let named = metrics_in(expression);
            assert!(!named.is_empty(), "{expression}");
            for name in named {
                let metric = find(&name).unwrap_or_else(|| panic!("{name} is no metric"));
                shown.insert(metric.name);
                grouped_by_labels_it_has(expression, metric.name);
            }
        }
    }
    let missing: Vec<_> = METRICS
        .iter()
        .filter(|metric| !shown.contains(metric.name))
        .collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
}

/// `by (…)` of a label that a metric lacks is always empty, and nobody notices.
#[track_caller]
fn grouped_by_labels_it_has(expression: &str, metric: &str) {
    let metric = find(metric).unwrap();
    for group in expression.split("by (").skip(1) {
        for label in group.split(')').next().unwrap().split(", ") {
            let has = metric.labels.iter().any(|ours| ours.name == label);
            assert!(
                has || ["le", "instance"].contains(&label),
                "{expression}: {label}"
            );
        }
    }
}

#[test]
fn every_alert_names_metrics_that_exist_and_says_what_to_do() {
    let rules = yaml("prometheus/wharf.rules.yml");
    let groups = rules["groups"].as_vec().unwrap();
    let mut alerts = BTreeSet::new();
    for rule in groups
        .iter()
        .flat_map(|group| group["rules"].as_vec().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        assert!(alerts.insert(name), "{name} is there twice");
        let expression = rule["expr"].as_str().unwrap();
        let named = metrics_in(expression);
        assert!(
            !named.is_empty() || expression.starts_with("up{"),
            "{name}: {expression}"
        );
        for metric in named {
            assert!(find(&metric).is_some(), "{name}: {metric} is no metric");
        }
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()));
        for said in ["summary", "description"] {
            assert!(
                rule["annotations"][said].as_str().unwrap().len() > 10,
                "{name}"
            );
        }
    }
    assert!(alerts.len() >= 8, "{alerts:?}");
    let scraped = yaml("prometheus/prometheus.yml");
    let file = scraped["rule_files"][0].as_str().unwrap();
    assert!(path("prometheus").join(file).exists(), "{file}");
}
