//! What is counted.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use wharf_domain::ports::{HttpError, HttpResponse, TrustClass};

use crate::outcome;

/// Keeps the names and labels of what is recorded.
#[derive(Default)]
struct Seen(Arc<Mutex<BTreeSet<String>>>);

impl Seen {
    fn note(&self, key: &Key) {
        let labels: Vec<String> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        self.0
            .lock()
            .unwrap()
            .insert(format!("{} {}", key.name(), labels.join(" ")));
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

fn status(status: u16) -> Result<HttpResponse, HttpError> {
    Ok(HttpResponse {
        status,
        headers: Vec::new(),
        body: Bytes::new(),
        truncated: false,
    })
}

#[test]
fn a_request_is_counted_and_timed_by_its_outcome_and_nothing_more_is_said() {
    let seen = Seen::default();
    let results = [
        status(204),
        status(503),
        Err(HttpError::Blocked("ERROR-TEXT".to_owned())),
    ];
    with_local_recorder(&seen, || {
        for result in &results {
            outcome::count(TrustClass::Caller, result, Duration::from_millis(5));
        }
        outcome::count(TrustClass::Hub, &status(200), Duration::ZERO);
    });
    let lines: Vec<String> = seen.0.lock().unwrap().iter().cloned().collect();
    assert_eq!(
        lines,
        [
            "wharf_egress_request_seconds trust=caller outcome=2xx",
            "wharf_egress_request_seconds trust=caller outcome=5xx",
            "wharf_egress_request_seconds trust=caller outcome=blocked",
            "wharf_egress_request_seconds trust=hub outcome=2xx",
            "wharf_egress_requests_total trust=caller outcome=2xx",
            "wharf_egress_requests_total trust=caller outcome=5xx",
            "wharf_egress_requests_total trust=caller outcome=blocked",
            "wharf_egress_requests_total trust=hub outcome=2xx",
        ]
    );
}

#[test]
fn each_outcome_has_its_label() {
    let text = String::new;
    for (result, label) in [
        (status(200), "2xx"),
        (status(302), "3xx"),
        (status(404), "4xx"),
        (status(500), "5xx"),
        (status(999), "other"),
        (Err(HttpError::Blocked(text())), "blocked"),
        (Err(HttpError::BadUrl(text())), "bad_url"),
        (Err(HttpError::Connect(text())), "connect"),
        (Err(HttpError::Timeout), "timeout"),
        (Err(HttpError::Broken(text())), "broken"),
    ] {
        assert_eq!(outcome::label(&result), label);
    }
}
