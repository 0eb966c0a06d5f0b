//! The example in Python, on nats-py: code that shares nothing with ours.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;
use wharf_domain::access::Role;
use wharf_tests::peers;

use super::{Followed, Program, blocking, expected, follow_py, live, path, run, send};

fn place(event: &Value) -> (u64, u64) {
    let number = |key: &str| event[key].as_u64().unwrap();
    (number("position"), number("index"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_reads_what_the_api_shows_in_the_same_order() {
    let followed = Followed::start().await;
    live(&followed.hub, "acme", 12).await;
    live(&followed.hub, "other", 7).await;
    let (ours, theirs) = (
        expected(&followed.hub, "acme").await,
        expected(&followed.hub, "other").await,
    );
    // One project and nothing of the other.
    let args = followed.args("acme", &followed.file("acme"), &["--once"]);
    assert_eq!(run(follow_py(args)).await, ours);
    // The whole log: every project, every position.
    let more = ["--once", "--name", "auditor"];
    let whole = run(follow_py(followed.args("*", &followed.file("all"), &more))).await;
    let mut both = [ours, theirs].concat();
    both.sort_by_key(place);
    assert_eq!(whole, both);
    let positions: BTreeSet<_> = whole.iter().map(|event| place(event).0).collect();
    let tail = positions.last().copied().unwrap();
    assert!(positions.into_iter().eq(1..=tail), "a position is missing");
    let types: BTreeSet<_> = whole
        .iter()
        .map(|event| event["event"]["type"].as_str().unwrap())
        .collect();
    for kind in ["sync_run.page_recorded", "message.accepted"] {
        assert!(types.contains(kind), "{kind} is not among {types:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_goes_on_at_the_position_that_it_saved() {
    let followed = Followed::start().await;
    live(&followed.hub, "acme", 20).await;
    let position = followed.file("position");
    let args = |more: &[&str]| followed.args("acme", &position, more);

    // From a position that somebody chose.
    let whole = expected(&followed.hub, "acme").await;
    let middle = place(&whole[whole.len() / 2]).0;
    std::fs::write(&position, middle.to_string()).unwrap();
    let rest: Vec<_> = whole
        .iter()
        .filter(|event| place(event).0 > middle)
        .cloned()
        .collect();
    assert_eq!(run(follow_py(args(&["--once"]))).await, rest);
    std::fs::remove_file(&position).unwrap();

    // Ended and started, thrice, while more comes in.
    let mut seen = run(follow_py(args(&["--limit", "5"]))).await;
    send(&followed.hub.client("acme", Role::Admin), 5).await;
    seen.extend(run(follow_py(args(&["--limit", "7"]))).await);
    seen.extend(run(follow_py(args(&["--once"]))).await);
    assert_eq!(seen, expected(&followed.hub, "acme").await);
    assert_eq!(run(follow_py(args(&["--once"]))).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_killed_repeats_at_most_the_commit_that_it_was_at() {
    let followed = Followed::start().await;
    live(&followed.hub, "acme", 30).await;
    let position = followed.file("position");
    let killed = follow_py(followed.args("acme", &position, &[]));
    let mut seen = blocking(move || {
        let program = Program::start(killed);
        (0..9)
            .map(|_| program.next().expect("it goes on"))
            .collect::<Vec<_>>()
    })
    .await;
    // It may have got further than was read here: what it saved counts.
    let saved: u64 = std::fs::read_to_string(&position)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let whole = expected(&followed.hub, "acme").await;
    assert_eq!(seen, whole[..9]);
    let last = place(&seen[8]).0;
    let before = seen.iter().map(|event| place(event).0);
    let before = before.filter(|&position| position < last).max();
    assert!(before <= Some(saved), "what was handled was saved");
    let rest = run(follow_py(followed.args("acme", &position, &["--once"]))).await;
    assert!(rest.iter().all(|event| place(event).0 > saved));
    seen = whole
        .iter()
        .filter(|event| place(event).0 <= saved)
        .cloned()
        .collect();
    seen.extend(rest);
    assert_eq!(seen, whole, "no gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_follows_what_comes_and_survives_a_lost_consumer() {
    let followed = Followed::start().await;
    live(&followed.hub, "acme", 3).await;
    let args = followed.args("acme", &followed.file("position"), &[]);
    let program = blocking(move || Program::start(follow_py(args))).await;
    let before = expected(&followed.hub, "acme").await;
    let (program, mut seen) = take(program, before.len()).await;
    // As when the server forgot it.
    let client = async_nats::connect(&followed.url).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    let stream = stream.get_stream_no_info(format!("{}_WHARF", followed.prefix));
    let stream = stream.await.unwrap();
    assert!(stream.delete_consumer("acme-reader").await.unwrap().success);
    send(&followed.hub.client("acme", Role::Admin), 4).await;
    let after = expected(&followed.hub, "acme").await;
    let (_program, more) = take(program, after.len() - before.len()).await;
    seen.extend(more);
    assert_eq!(seen, after);
}

async fn take(program: Program, n: usize) -> (Program, Vec<Value>) {
    blocking(move || {
        let events = (0..n)
            .map(|_| program.next().expect("it goes on"))
            .collect();
        (program, events)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_may_want_some_types_only() {
    let followed = Followed::start().await;
    live(&followed.hub, "acme", 6).await;
    let wanted = ["sync_run.completed", "message.accepted"];
    let mut more = vec!["--once"];
    more.extend(wanted.iter().flat_map(|&kind| ["--type", kind]));
    let args = followed.args("acme", &followed.file("position"), &more);
    let mut events = expected(&followed.hub, "acme").await;
    events.retain(|event| wanted.contains(&event["event"]["type"].as_str().unwrap()));
    assert!(events.len() > 6);
    assert_eq!(run(follow_py(args)).await, events);

    // By the header: the body is not looked at.
    let check = "
import follow
class Message:
    headers = {'Wharf-Types': 'message.accepted,sync_run.completed'}
    data = b'no JSON'
assert list(follow.events(Message, {'webhook.created'})) == []
try:
    list(follow.events(Message, {'sync_run.completed'}))
except ValueError:
    print(1)
";
    let mut command = Command::new(peers::program("python3").unwrap());
    command
        .args(["-B", "-c", check])
        .current_dir(path("subscribers/python"));
    assert_eq!(run(command).await, [1]);
}
