//! The metrics of the log, all of them. Labels are bounded: never an id, never a stream.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use wharf_domain::{kernel::Position, ports::Append};

/// Seconds from handing a commit over to its answer, by `outcome`.
const APPEND_SECONDS: &str = "wharf_log_append_seconds";
/// Answers of appends, by `outcome`.
const APPENDS: &str = "wharf_log_appends_total";
/// Commits that shared one fsync.
const GROUP_COMMITS: &str = "wharf_log_group_commits";
/// Seconds of one group's transaction, fsync included.
const GROUP_SECONDS: &str = "wharf_log_group_seconds";
/// Groups that could not be written.
const FAILED_GROUPS: &str = "wharf_log_failed_groups_total";

/// Tries of appends after the first one.
const RETRIES: &str = "wharf_log_append_retries_total";
/// Position up to which the mirror has the stream.
const MIRRORED: &str = "wharf_log_mirror_position";
/// Commits that the stream has and the mirror has not.
const BEHIND: &str = "wharf_log_mirror_behind";
/// Connections to the servers that were lost.
const DISCONNECTS: &str = "wharf_log_disconnects_total";

/// One append was answered.
pub(crate) fn appended(answer: &Append, took: Duration) {
    let outcome = match answer {
        Append::Committed(committed) if committed.duplicate => "duplicate",
        Append::Committed(_) => "committed",
        Append::Conflict { .. } => "conflict",
        Append::InDoubt { .. } => "in_doubt",
        Append::Refused(_) => "refused",
    };
    counter!(APPENDS, "outcome" => outcome).increment(1);
    histogram!(APPEND_SECONDS, "outcome" => outcome).record(took);
}

/// A group was written.
pub(crate) fn group(commits: u64, took: Duration) {
    histogram!(GROUP_COMMITS).record(commits as f64);
    histogram!(GROUP_SECONDS).record(took);
}

/// A group was not written.
pub(crate) fn group_failed() {
    counter!(FAILED_GROUPS).increment(1);
}

/// An append is tried once more.
pub(crate) fn append_retried() {
    counter!(RETRIES).increment(1);
}

/// The mirror reached `position`; the stream has `behind` more.
pub(crate) fn mirrored(position: Position, behind: u64) {
    gauge!(MIRRORED).set(position.0 as f64);
    gauge!(BEHIND).set(behind as f64);
}

/// The connection to the servers was lost.
pub(crate) fn disconnected() {
    counter!(DISCONNECTS).increment(1);
}
