//! Sources: what each file says, how long it is, what it may touch.

use std::collections::BTreeSet;

use super::{assert_none, shipped, sources};

/// Ceiling of a source file. Aim at half of it.
const MAX_LINES: usize = 600;

#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    let offenders = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path} has {lines} lines"))
        .collect();
    assert_none(offenders, "split by concept");
}

#[test]
fn every_module_says_what_it_is() {
    let offenders = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path.clone())
        .collect();
    assert_none(offenders, "a module starts with `//!`");
}

#[test]
fn nothing_is_left_for_later() {
    // In two pieces, or this file would find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut offenders = vec![];
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if marks.iter().any(|mark| line.contains(mark)) {
                offenders.push(format!("{}:{number}", source.path));
            }
        }
    }
    assert_none(offenders, "finish it, or write an ADR that says when");
}

#[test]
fn modules_are_folders_with_a_mod_rs() {
    let sources = sources();
    let paths: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let offenders = paths
        .iter()
        .filter_map(|path| path.strip_suffix("/mod.rs"))
        .map(|folder| format!("{folder}.rs"))
        .filter(|twin| paths.contains(twin.as_str()))
        .collect();
    assert_none(offenders, "`foo.rs` beside `foo/mod.rs`");
}

#[test]
fn inv02_domain_does_no_io() {
    let forbidden = [
        "SystemTime",
        "time::Instant",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "now_v7",
        "new_v4",
        "now_utc",
        "std::env",
        "env::var",
        "std::fs",
        "fs::",
        "File::",
        "std::net",
        "std::process",
        "std::thread",
        "thread::",
        "rand::",
        "getrandom",
        "println!",
        "stdout",
        "stderr",
    ];
    let offenders = shipped()
        .iter()
        .filter(|source| source.path.starts_with("domain/"))
        .flat_map(|source| source.uses(&forbidden))
        .collect();
    assert_none(
        offenders,
        "the domain asks no clock, no dice and no machine",
    );
}

#[test]
fn inv05_only_the_runtime_makes_commits() {
    let offenders = shipped()
        .iter()
        .filter(|source| !source.path.starts_with("domain/"))
        .filter(|source| !source.path.starts_with("infra/runtime/"))
        .flat_map(|source| source.uses(&["NewCommit"]))
        .collect();
    assert_none(
        offenders,
        "dispatch appends decisions, work appends journals, nobody else",
    );
}

#[test]
fn inv05_only_projectors_write_views() {
    let verbs = [
        "insert into",
        "insert or",
        "replace into",
        "delete from",
        "update ",
    ];
    let writes = |line: &str| {
        let line = line.trim_start().to_lowercase();
        verbs
            .iter()
            .any(|verb| line.starts_with(verb) || line.contains(&format!("\"{verb}")))
    };
    let layers = ["api/", "adapters/", "infra/runtime/", "infra/egress/"];
    let mut offenders = vec![];
    for source in shipped() {
        if layers.iter().any(|layer| source.path.starts_with(layer))
            || source.path.ends_with("/query.rs")
        {
            for (number, line) in source.code().filter(|(_, line)| writes(line)) {
                offenders.push(format!("{}:{number} {}", source.path, line.trim()));
            }
        }
    }
    assert_none(offenders, "rows are written by their projector only");
}

#[test]
fn inv05_only_egress_opens_outbound_connections() {
    let clients = [
        "reqwest::",
        "hyper::client",
        "TcpStream::connect",
        "TcpSocket",
        "UdpSocket",
        "lookup_host",
    ];
    let offenders = shipped()
        .iter()
        .filter(|source| !source.path.starts_with("infra/egress/"))
        // Asks the log's own servers how they sync; their addresses are an operator's, never a caller's.
        .filter(|source| source.path != "infra/eventlog/src/jetstream/monitor/mod.rs")
        .flat_map(|source| source.uses(&clients))
        .collect();
    assert_none(offenders, "outbound HTTP goes through ports::Http");
}

#[test]
fn inv09_no_queue_is_unbounded() {
    // `Bound::Unbounded` is a range's; std's channel without a capacity has no end either.
    let endless = |line: &str| {
        line.contains("unbounded")
            || line.contains("UnboundedSender")
            || line.contains("UnboundedReceiver")
            || line.contains("mpsc::channel()")
            || (line.contains("mpsc::channel::<") && line.contains(">()"))
    };
    let mut offenders = vec![];
    for source in shipped() {
        for (number, _) in source.code().filter(|(_, line)| endless(line)) {
            offenders.push(format!("{}:{number}", source.path));
        }
    }
    assert_none(
        offenders,
        "name a capacity, and say what happens when it is full",
    );
}

#[test]
fn inv10_only_the_supervisor_starts_tasks() {
    let spawns = ["tokio::spawn(", "task::spawn(", "spawn_local(", "detach("];
    let offenders = shipped()
        .iter()
        .filter(|source| !source.path.starts_with("infra/runtime/src/supervisor"))
        .flat_map(|source| source.uses(&spawns))
        .collect();
    assert_none(offenders, "a task that nobody watches does not stop either");
}

#[test]
fn only_the_server_reads_the_environment_and_the_clock() {
    let offenders = shipped()
        .iter()
        .filter(|source| !source.path.starts_with("infra/server/"))
        .filter(|source| source.path != "infra/runtime/src/clock.rs")
        .flat_map(|source| {
            source.uses(&[
                "env::var",
                "env::set_var",
                "env::args",
                "SystemTime::now",
                "Timestamp::now",
                "Zoned::now",
                "now_v7",
            ])
        })
        .collect();
    assert_none(
        offenders,
        "configuration and time are passed in, so that tests choose them",
    );
}

/// What follows a failed attempt or a refused page is decided in the domain; workers ask, and nobody else
/// tries again.
#[test]
fn inv06_only_workers_ask_the_process_managers_what_follows() {
    let mut offenders = vec![];
    let mut asked = BTreeSet::new();
    for source in shipped() {
        let decides = source.path.starts_with("domain/");
        let works = source.path.starts_with("infra/runtime/src/work/");
        for question in ["after_attempt(", "after_refusal("] {
            if source.text.contains(question) && !decides {
                asked.insert(question);
                if !works {
                    offenders.push(format!("{} calls {question}", source.path));
                }
            }
        }
        // The names under which libraries offer retries of their own.
        for helper in ["backoff", "RetryPolicy", "retry::", "retry_notify"] {
            // Both name it to say never.
            let says_never = source.path.starts_with("infra/egress/")
                || source.path == "infra/server/src/telemetry/trace/export.rs";
            if source.text.contains(helper) && !decides && !says_never {
                offenders.push(format!("{} names {helper}", source.path));
            }
        }
    }
    assert_eq!(asked.len(), 2, "both are asked somewhere");
    assert_none(offenders, "decide what follows in the domain");
}
