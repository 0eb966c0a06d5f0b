//! The metrics of the log, all of them. Labels are bounded: never an id, never a stream.

use std::time::Duration;

use metrics::{counter, histogram};
use wharf_domain::ports::Append;

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
