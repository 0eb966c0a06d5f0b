//! `wharf log repair`: a new stream on the servers, made from this node's mirror, in place of one that they
//! damaged or lost.

use std::{fmt::Write as _, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use serde_json::json;
use wharf_eventlog::{Moved, Progress, RepairStep, Repaired, Step, Strangers, next_prefix, repair};
use wharf_runtime::clock::SystemClock;

use super::print::{Out, bar};
use crate::{config::Config, storage};

pub(super) async fn run(
    config: &Config,
    prefix: Option<String>,
    leave_out: bool,
    out: Out,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !config.log.nats_url.is_empty(),
        "the log is in a file of this node; restore a backup with wharf restore"
    );
    let options = storage::jetstream(&config.log.nats_url, config);
    let prefix = prefix.unwrap_or_else(|| next_prefix(&options.prefix));
    let bar = bar(out, 0, "commits");
    let clock = Arc::new(SystemClock);
    let strangers = if leave_out {
        Strangers::LeaveOut
    } else {
        Strangers::Refuse
    };
    let repaired = repair(&options, &prefix, strangers, clock, &mut |step| {
        let (what, Progress { done, tail }) = match step {
            RepairStep::Mirror(progress) => ("verifying the mirror".to_owned(), progress),
            RepairStep::Server(name, progress) => (format!("comparing {name}"), progress),
            RepairStep::Copy(Moved { step, done, tail }) => {
                let what = match step {
                    Step::Compare => "comparing what is there",
                    Step::Copy => "copying",
                    Step::ReadBack => "reading back",
                };
                (what.to_owned(), Progress { done, tail })
            }
        };
        bar.set_message(what);
        bar.set_length(tail.0);
        bar.set_position(done.0);
    })
    .await;
    bar.finish_and_clear();
    let repaired = repaired.context("nothing was repaired")?;
    let machine = json!({
        "nats_prefix": repaired.prefix,
        "tail": repaired.report.tail,
        "events": repaired.report.events,
        "chain": repaired.report.chain,
        "consumers": repaired.consumers,
        "lost": repaired.lost,
    });
    out.say(&machine, || told(&repaired))?;
    Ok(ExitCode::SUCCESS)
}

fn told(repaired: &Repaired) -> String {
    let Repaired { prefix, report, .. } = repaired;
    let mut text = format!(
        "the new stream is whole up to position {}: {} events, chain {}\n",
        report.tail, report.events, report.chain
    );
    if !repaired.consumers.is_empty() {
        let _ = writeln!(
            text,
            "consumers go on where they were: {}",
            repaired.consumers.join(", ")
        );
    }
    if repaired.consumers.is_empty() || !repaired.lost.is_empty() {
        let _ = writeln!(
            text,
            "the servers lost the checkpoints of {}: they look at the whole log again, and leave alone what \
             has its outcome there",
            match repaired.lost.as_slice() {
                [] => "all consumers".to_owned(),
                lost => lost.join(", "),
            }
        );
    }
    let _ = write!(
        text,
        "\nSet this on every node, then start this one:\n\n  [log]\n  nats_prefix = \"{prefix}\"\n\n\
         Move the mirrors of the other nodes away (mirror/ in their data folders) before they start: they \
         are made again. Subscribers' subjects begin with {prefix}. from now on. Keep the damaged stream \
         until all of that is done; then delete it."
    );
    text
}
