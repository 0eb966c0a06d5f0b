//! The catalogue of metrics against what a running hub answers, and against what is written about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use wharf_domain::access::Role;
use wharf_server::telemetry::catalogue::{METRICS, Metric, Values, find};
use wharf_tests::{
    process::{Home, workspace},
    receiver::Receiver,
};

use super::{integration, ok};

/// A scraped series: its name and labels.
type Series = (String, BTreeMap<String, String>);

/// Reads the Prometheus text format as far as we write it: no label value here holds a quote or a comma.
fn series(text: &str) -> Vec<Series> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (series, _value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.trim_end_matches('}').split(',');
            let labels = labels.filter(|label| !label.is_empty()).map(|label| {
                let (name, value) = label.split_once('=').unwrap();
                (name.to_owned(), value.trim_matches('"').to_owned())
            });
            (name.to_owned(), labels.collect())
        })
        .collect()
}

/// Whether `value` is one that the catalogue allows.
fn allowed(values: Values, value: &str) -> bool {
    match values {
        Values::Of(_) | Values::EventTypes | Values::Version => {
            values.known().unwrap().contains(&value)
        }
        // A template, never what a caller put into it.
        Values::Routes => {
            value == "unmatched"
                || (value.starts_with('/')
                    && !value.chars().any(|c| c.is_ascii_digit() && c != '1'))
        }
        Values::Statuses => value.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)),
        Values::Consumers => {
            value.len() < 20 && value.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_hub_answers_the_whole_catalogue_and_nothing_else() {
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    // Something of everything, and what a stranger could try to write into a label.
    let id = integration(&client, "one").await;
    client.get(&format!("/api/v1/integrations/{id}")).await.ok();
    client.get("/no/such/path/0123456789?token=planted").await;
    let strange = reqwest::Method::from_bytes(b"INVENTED").unwrap();
    let _ = wharf_tests::client::Client::try_send(client.request(strange, "/")).await;
    let receiver = Receiver::start().await;
    let webhook = json!({ "project_id": "p", "name": "w", "url": receiver.url, "events": ["*"] });
    client.post("/api/v1/webhooks", &webhook).await.ok();
    client
        .post("/api/v1/webhooks/events/task.created", &json!({}))
        .await
        .ok();
    receiver.wait(1).await;

    // No consumer is left behind, also those for whom nothing of it was.
    let has_sampled = |text: &str| {
        let mut backlogs = text
            .lines()
            .filter(|line| line.starts_with("wharf_consumer_backlog{"));
        let caught_up = backlogs.clone().count() >= 4 && backlogs.all(|line| line.ends_with(" 0"));
        caught_up && text.contains("attempts_total{outcome=\"succeeded\"} 1")
    };
    let mut text = wharf.stranger().get("/metrics").await.text;
    while !has_sampled(&text) {
        tokio::task::yield_now().await;
        text = wharf.stranger().get("/metrics").await.text;
    }
    let mut seen = BTreeSet::new();
    for (name, labels) in series(&text) {
        let metric = find(&name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        seen.insert(metric.name);
        let ours: BTreeMap<_, _> = metric.labels.iter().map(|l| (l.name, l.values)).collect();
        for (label, value) in labels.iter().filter(|(label, _)| *label != "le") {
            let values = ours.get(label.as_str());
            let values = values.unwrap_or_else(|| panic!("{name} has a label {label}"));
            assert!(allowed(*values, value), "{name}{{{label}={value:?}}}");
        }
        let told: BTreeSet<_> = labels.keys().filter(|label| *label != "le").collect();
        assert_eq!(told.len(), ours.len(), "{name}{labels:?} lacks a label");
    }
    let missing: Vec<_> = METRICS
        .iter()
        .filter(|metric| !seen.contains(metric.name))
        .collect();
    assert!(missing.is_empty(), "never answered: {missing:?}");
    for Metric {
        name,
        kind,
        meaning,
        ..
    } in METRICS
    {
        assert!(
            text.contains(&format!("# TYPE {name} {}\n", kind.name())),
            "{name}"
        );
        assert!(
            text.contains(&format!("# HELP {name} {meaning}\n")),
            "{name}"
        );
    }
    assert!(
        !text.contains(&id) && !text.contains("planted"),
        "no id, nothing from outside"
    );
}

#[test]
fn the_document_is_what_the_catalogue_prints() {
    let home = Home::files();
    let printed = ok(&home, &["metrics"]);
    let path = workspace().join("docs/operations/metrics.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        printed == written,
        "write it anew: cargo run -- metrics > docs/operations/metrics.md"
    );
}

#[test]
fn names_in_the_catalogue_are_one_each_and_follow_the_convention() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        use wharf_server::telemetry::catalogue::{Kind, Unit};
        let name = metric.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            name.starts_with("wharf_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(
            metric.kind == Kind::Counter,
            name.ends_with("_total"),
            "{name}"
        );
        assert_eq!(
            metric.unit == Unit::Seconds,
            name.ends_with("_seconds"),
            "{name}"
        );
        assert_eq!(
            metric.unit == Unit::Bytes,
            name.ends_with("_bytes"),
            "{name}"
        );
        assert!(metric.meaning.ends_with('.'), "{name}");
    }
}
