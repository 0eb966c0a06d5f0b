//! Follows one project in the event log: a line of JSON for each event, in the log's order.
//!
//! ```sh
//! cargo run -p wharf-eventlog --example follow -- nats://user:password@host:4222 PROJECT POSITION_FILE
//! ```
//!
//! The file keeps the position of the last commit that was handled, so that the next start goes on there. It
//! names nothing of the hub's own code: to begin a program with it, take `async-nats`, `futures`, `serde_json` and
//! `tokio`, and replace `handle` by what yours does with an event.

#![expect(clippy::print_stdout, reason = "it prints what it reads")]

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use async_nats::{
    ConnectOptions, Message, ServerAddr,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
        stream::ConsumerErrorKind,
    },
};
use futures::StreamExt as _;
use serde_json::{Value, json};

type Failure = Box<dyn Error + Send + Sync>;

/// The server forgets a consumer that nobody asked for so long.
const FORGET: Duration = Duration::from_mins(5);
/// How long it waits before it opens a consumer again.
const PAUSE: Duration = Duration::from_secs(1);

/// What it was told.
struct Args {
    url: String,
    project: String,
    position_file: String,
    /// Only events of these types; of all if there are none.
    types: Vec<String>,
    /// Stop at the end of the log.
    once: bool,
    /// Where the account finds `JetStream`.
    api: String,
    /// The hub's `log.nats_prefix`.
    prefix: String,
}

impl Args {
    const USAGE: &str = "usage: follow URL PROJECT POSITION_FILE [--once] [--type TYPE]... \
                         [--api PREFIX] [--prefix PREFIX]";

    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (mut places, mut types) = (vec![], vec![]);
        let (mut once, mut api, mut prefix) = (false, "$JS.API".to_owned(), String::new());
        while let Some(word) = words.next() {
            match word.as_str() {
                "--once" => once = true,
                "--type" => types.push(words.next().ok_or(Self::USAGE)?),
                "--api" => api = words.next().ok_or(Self::USAGE)?,
                "--prefix" => prefix = words.next().ok_or(Self::USAGE)?,
                _ => places.push(word),
            }
        }
        let [url, project, position_file] = places.try_into().map_err(|_| Self::USAGE)?;
        Ok(Self {
            url,
            project,
            position_file,
            types,
            once,
            api,
            prefix,
        })
    }
}

/// What you do with an event. It is repeated if the program ends before its position is saved.
fn handle(position: u64, index: usize, event: &Value) {
    println!(
        "{}",
        json!({ "position": position, "index": index, "event": event })
    );
}

/// The position to go on after; 0 is before everything.
fn load(path: &Path) -> Result<u64, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file as a whole: it holds the old position or the new one, never half of either.
fn save(path: &Path, position: u64) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    writeln!(file, "{position}")?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// Handles the wanted events of a commit.
fn handle_commit(message: &Message, position: u64, types: &[String]) -> Result<(), Failure> {
    // The header spares parsing what is not wanted. It is left out where it would be too long.
    let header = message
        .headers
        .as_ref()
        .and_then(|headers| headers.get("Wharf-Types"));
    let is_wanted = |found: &str| types.is_empty() || types.iter().any(|wanted| wanted == found);
    if header.is_some_and(|header| !header.as_str().split(',').any(is_wanted)) {
        return Ok(());
    }
    let events: Vec<Value> = serde_json::from_slice(&message.payload)?;
    for (index, event) in events.iter().enumerate() {
        let kind = event.get("type").and_then(Value::as_str);
        if kind.is_some_and(is_wanted) {
            handle(position, index, event);
        }
    }
    Ok(())
}

/// A consumer that begins after `position`. There is one of its name: only one program may use it.
async fn open(js: &Context, args: &Args, position: u64) -> Result<Consumer<pull::Config>, Failure> {
    let (stream, subjects) = match args.prefix.as_str() {
        "" => ("WHARF".to_owned(), "evt".to_owned()),
        prefix => (format!("{prefix}_WHARF"), format!("{prefix}.evt")),
    };
    let stream = js.get_stream_no_info(stream).await?;
    let name = format!("{}-reader", args.project);
    if let Err(error) = stream.delete_consumer(&name).await {
        let is_missing = matches!(error.kind(), ConsumerErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND);
        if !is_missing {
            return Err(error.into());
        }
    }
    let config = pull::Config {
        name: Some(name),
        filter_subject: format!("{subjects}.*.{}.>", args.project),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: position + 1,
        },
        // The position is kept here and not by the server: there is nothing to acknowledge.
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGET,
        ..pull::Config::default()
    };
    Ok(stream.create_consumer(config).await?)
}

/// Follows from the saved position on until the consumer is lost; or to the end, if it is to stop there.
async fn follow(js: &Context, args: &Args) -> Result<(), Failure> {
    let path = Path::new(&args.position_file);
    let consumer = open(js, args, load(path)?).await?;
    if args.once && consumer.cached_info().num_pending == 0 {
        return Ok(());
    }
    let mut messages = consumer.messages().await?;
    let mut number = 0;
    while let Some(message) = messages.next().await {
        let message = message?;
        let place = message.info()?;
        number += 1;
        if place.consumer_sequence != number {
            // They are not sent again: go back to where we were.
            return Err("messages were lost with a connection".into());
        }
        handle_commit(&message, place.stream_sequence, &args.types)?;
        save(path, place.stream_sequence)?;
        if args.once && place.pending == 0 {
            return Ok(());
        }
    }
    Err("the consumer ended".into())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse(std::env::args().skip(1))?;
    let server: ServerAddr = args.url.parse()?;
    // The library does not take them from the URL by itself.
    let options = match (server.username(), server.password()) {
        (Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        (_, _) => ConnectOptions::new(),
    };
    let client = options.name("follow").connect(server).await?;
    let js = jetstream::with_prefix(client, &args.api);
    while let Err(error) = follow(&js, &args).await {
        eprintln!("opening the consumer again: {error}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
