//! The catalogue itself.

use wharf_domain::{
    credentials::CredentialEvent,
    integrations::IntegrationEvent,
    kernel::EventSet,
    syncs::SyncRunEvent,
    webhooks::{DeliveryEvent, MessageEvent, WebhookEvent},
};

use super::{Kind, Label, Metric, Unit, Values};

const METHODS: Label = label(
    "method",
    &[
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
    ],
);
const ROUTE: Label = Label {
    name: "route",
    values: Values::Routes,
};
const CONSUMER: Label = Label {
    name: "consumer",
    values: Values::Consumers,
};
const APPENDED: Label = label(
    "outcome",
    &["committed", "duplicate", "conflict", "in_doubt", "refused"],
);
const TRUST: Label = label("trust", &["caller", "hub"]);
const ANSWERED: Label = label(
    "outcome",
    &[
        "2xx", "3xx", "4xx", "5xx", "other", "blocked", "bad_url", "connect", "timeout", "broken",
    ],
);
const OPERATION: Label = label("operation", &["put", "get", "data_key", "shred"]);
const VAULT_OUTCOME: Label = label(
    "outcome",
    &["ok", "absent", "shredded", "sealed", "unavailable"],
);

/// All of them, by subject.
pub const METRICS: &[Metric] = &[
    // HTTP
    counter(
        "wharf_http_requests_total",
        &[
            METHODS,
            ROUTE,
            Label {
                name: "status",
                values: Values::Statuses,
            },
        ],
        "Requests answered.",
    ),
    seconds(
        "wharf_http_request_seconds",
        &[METHODS, ROUTE],
        "From the request's head to the answer's head.",
    ),
    // The event log
    gauge(
        "wharf_log_position",
        Unit::Positions,
        &[],
        "Position of the log's last commit.",
    ),
    counter(
        "wharf_log_appends_total",
        &[APPENDED],
        "Appends answered by this node. A `conflict` is decided again; `in_doubt` and `refused` need a look.",
    ),
    seconds(
        "wharf_log_append_seconds",
        &[APPENDED],
        "From handing a commit over until it is durable, or not.",
    ),
    gauge(
        "wharf_log_appends_in_flight",
        Unit::Count,
        &[],
        "Commits handed over and not answered: how full the way to the log is.",
    ),
    histogram(
        "wharf_log_group_commits",
        Unit::Count,
        "Commits that shared one fsync of the embedded log.",
    ),
    seconds(
        "wharf_log_group_seconds",
        &[],
        "One group of the embedded log, its fsync included.",
    ),
    counter(
        "wharf_log_failed_groups_total",
        &[],
        "Groups that the embedded log could not write. Above 0: the disk.",
    ),
    counter(
        "wharf_log_append_retries_total",
        &[],
        "Tries of appends to JetStream after the first one.",
    ),
    counter(
        "wharf_log_disconnects_total",
        &[],
        "Connections to the NATS servers that were lost.",
    ),
    gauge(
        "wharf_log_mirror_position",
        Unit::Positions,
        &[],
        "How far this node's mirror of a JetStream log is.",
    ),
    gauge(
        "wharf_log_mirror_behind",
        Unit::Positions,
        &[],
        "Commits that the stream has and the mirror has not.",
    ),
    counter(
        "wharf_events_total",
        &[Label {
            name: "type",
            values: Values::EventTypes,
        }],
        "Events that this node appended, by type: runs begun and ended, pages, messages, attempts.",
    ),
    // Consumers of the log
    gauge(
        "wharf_consumer_backlog",
        Unit::Positions,
        &[CONSUMER],
        "Commits that a consumer has still to finish, on all nodes together. Growing: that part of the hub is stuck.",
    ),
    gauge(
        "wharf_consumer_in_flight",
        Unit::Count,
        &[CONSUMER],
        "Commits that a consumer took and did not acknowledge yet: how full its queue is.",
    ),
    // Views and timers
    gauge(
        "wharf_views_position",
        Unit::Positions,
        &[],
        "How far the views are.",
    ),
    gauge(
        "wharf_views_lag",
        Unit::Positions,
        &[],
        "Commits that the views do not show yet.",
    ),
    counter(
        "wharf_views_parked_total",
        &[],
        "Events that no view could read, as they were met. Above 0: someone must look.",
    ),
    gauge(
        "wharf_views_parked",
        Unit::Count,
        &[],
        "Events that no view could read, in all.",
    ),
    gauge(
        "wharf_timers_overdue",
        Unit::Count,
        &[],
        "Timers due for more than a minute and not settled; counted up to 1000.",
    ),
    gauge(
        "wharf_integrations_active",
        Unit::Count,
        &[],
        "Integrations that work.",
    ),
    gauge(
        "wharf_webhooks_active",
        Unit::Count,
        &[],
        "Webhooks that are sent to.",
    ),
    // Deliveries
    counter(
        "wharf_webhook_attempts_total",
        &[label("outcome", &["succeeded", "failed", "exhausted"])],
        "Attempts to deliver a message, by what became of them.",
    ),
    seconds(
        "wharf_webhook_attempt_seconds",
        &[],
        "One attempt, from opening the secret to the receiver's answer.",
    ),
    // Outbound requests
    counter(
        "wharf_egress_requests_total",
        &[TRUST, ANSWERED],
        "Outbound requests. `blocked`: the guard refused the address.",
    ),
    seconds(
        "wharf_egress_request_seconds",
        &[TRUST, ANSWERED],
        "One outbound request, its answer's body included.",
    ),
    gauge(
        "wharf_egress_in_flight",
        Unit::Count,
        &[],
        "Outbound requests under way.",
    ),
    // The vault
    counter(
        "wharf_vault_operations_total",
        &[OPERATION, VAULT_OUTCOME],
        "What the vault was asked. `sealed`: wrong master key, or altered bytes.",
    ),
    seconds(
        "wharf_vault_operation_seconds",
        &[OPERATION],
        "One question to the vault.",
    ),
    // Traces
    counter(
        "wharf_trace_spans_total",
        &[label("outcome", &["exported", "dropped", "failed"])],
        "Spans given to the collector, dropped because the queue was full, or not taken by it.",
    ),
    // The process and its disk
    gauge(
        "wharf_disk_free_bytes",
        Unit::Bytes,
        &[],
        "Bytes free where the data folder is.",
    ),
    gauge(
        "wharf_build_info",
        Unit::Count,
        &[Label {
            name: "version",
            values: Values::Version,
        }],
        "1, with the version of the binary.",
    ),
    gauge(
        "process_resident_memory_bytes",
        Unit::Bytes,
        &[],
        "Memory of the process.",
    ),
    gauge(
        "process_open_fds",
        Unit::Count,
        &[],
        "Files and sockets that the process has open.",
    ),
];

const fn label(name: &'static str, values: &'static [&'static str]) -> Label {
    Label {
        name,
        values: Values::Of(values),
    }
}

const fn counter(name: &'static str, labels: &'static [Label], meaning: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels,
        meaning,
    }
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    labels: &'static [Label],
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        unit,
        labels,
        meaning,
    }
}

const fn seconds(name: &'static str, labels: &'static [Label], meaning: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        labels,
        meaning,
    }
}

const fn histogram(name: &'static str, unit: Unit, meaning: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        unit,
        labels: &[],
        meaning,
    }
}

/// The metric of a scraped series: a histogram's are its name and a suffix.
#[must_use]
pub fn find(series: &str) -> Option<&'static Metric> {
    let named = |name: &str| METRICS.iter().find(|metric| metric.name == name);
    named(series).or_else(|| {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| series.strip_suffix(suffix))?;
        named(base).filter(|metric| metric.kind == Kind::Histogram)
    })
}

/// The types of events that this version knows.
#[must_use]
pub fn event_types() -> Vec<&'static str> {
    [
        IntegrationEvent::TYPES,
        CredentialEvent::TYPES,
        WebhookEvent::TYPES,
        SyncRunEvent::TYPES,
        MessageEvent::TYPES,
        DeliveryEvent::TYPES,
    ]
    .concat()
    .into_iter()
    .map(|(tag, _)| tag)
    .collect()
}
