//! Commands per second of cqrs-es with sqlite-es as published: its own pool, its own store.
//!
//! `peer-sqlite-es FILE WRITERS SECONDS` prints `{"commands_per_second": …}`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use serde::{Deserialize, Serialize};

/// Commands to one aggregate before the next one; the other side of the benchmark does the same.
const COMMANDS: u64 = 10;

#[derive(Default, Serialize, Deserialize)]
struct Counter {
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Renamed {
    text: String,
}

impl DomainEvent for Renamed {
    fn event_type(&self) -> String {
        "counter.renamed".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Command = String;
    type Event = Renamed;
    type Error = Never;
    type Services = ();

    async fn handle(
        &mut self,
        text: String,
        _services: &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Never> {
        sink.write(Renamed { text }, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Renamed) {
        self.text = event.text;
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, writers, seconds] = arguments.as_slice() else {
        panic!("peer-sqlite-es FILE WRITERS SECONDS");
    };
    let (writers, seconds): (u64, u64) = (writers.parse().unwrap(), seconds.parse().unwrap());
    let pool = sqlite_es::default_sqlite_pool(&format!("sqlite://{file}")).await;
    sqlx::query(
        "create table if not exists events (aggregate_type text not null, aggregate_id text not null,
         sequence integer not null, event_type text not null, event_version text not null,
         payload text not null, metadata text not null,
         primary key (aggregate_type, aggregate_id, sequence)) strict",
    )
    .execute(&pool)
    .await
    .unwrap();
    let cqrs = Arc::new(sqlite_es::sqlite_cqrs::<Counter>(pool, vec![], ()));
    let done = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let deadline = begin + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (cqrs, done) = (cqrs.clone(), done.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    if Instant::now() >= deadline {
                        return;
                    }
                    let id = format!("{writer}-{}", n / COMMANDS);
                    // SQLITE_BUSY is an answer too: it counts as no command.
                    if cqrs.execute(&id, format!("{n:0>300}")).await.is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rate = done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    println!("{{\"commands_per_second\": {rate:.0}}}");
}
