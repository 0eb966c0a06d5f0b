//! The delivery worker: messages from the log, retries from the tick, attempts by egress, outcomes into
//! the journals of the webhooks.
//!
//! One loop drives everything as futures: planning (which webhooks), attempting (one POST), recording
//! (a batch of outcomes a commit). A message is acknowledged once each of its deliveries has an outcome
//! in the log; after a crash the rest is sent again, and receivers drop copies by `webhook-id`.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    kernel::{Category, Position, ProjectId, StoredCommit, StreamId, WebhookId, with_causes},
    ports::{Consumer, ConsumerSpec, Context, LogError, StartAt},
    webhooks::DeliveryEvent,
};
use wharf_projections::timers::Timer;

use super::attempt::{Courier, Delivery, PlanError};
use crate::{
    journal::{JournalError, REST, rest},
    patience::{farewell, patient},
};

/// POSTs under way to one webhook.
const ATTEMPTS_PER_WEBHOOK: usize = 32;
/// Deliveries that wait for their POST or are still being looked up; above, no further message is taken from
/// the log, and no further retry from the tick.
const QUEUE: usize = 2048;
/// Messages that are asked of the log at once.
const FETCH: usize = 64;
/// Outcomes in one commit.
const BATCH: usize = 128;

const DELIVER: ConsumerSpec = ConsumerSpec {
    name: "deliver",
    from: StartAt::First,
    categories: &[Category::Message],
    max_in_flight: 1024,
};

/// The worker.
pub(crate) struct Deliverer {
    pub(crate) courier: Courier,
    /// Deliveries whose timer fired.
    pub(crate) retries: mpsc::Receiver<Timer>,
    /// POSTs under way at once.
    pub(crate) in_flight: usize,
    /// How long an attempt may take after the hub was asked to stop.
    pub(crate) grace: Duration,
}

/// What became of one future.
enum Step {
    Planned {
        commit: StoredCommit,
        plan: Result<Vec<Delivery>, PlanError>,
    },
    Retried(Option<Retry>),
    Attempted(Landed),
    Recorded {
        batch: Vec<Landed>,
        result: Result<(), JournalError>,
    },
}

/// What a fired timer turned out to be.
pub(super) enum Retry {
    /// Send it again.
    Send(Delivery),
    /// It is over; say so.
    Over(Landed),
}

/// An outcome that is not in the log yet.
pub(super) struct Landed {
    pub(super) project: ProjectId,
    pub(super) webhook: WebhookId,
    /// The message's commit, if its acknowledgement waits for this outcome.
    pub(super) message: Option<Position>,
    pub(super) context: Context,
    pub(super) events: Vec<DeliveryEvent>,
}

/// The loop's state.
#[derive(Default)]
struct Desk {
    /// POSTs that may be under way at once.
    in_flight: usize,
    /// How many deliveries the last message became, at least 1.
    fan_out: usize,
    /// Deliveries that wait, by webhook.
    waiting: HashMap<WebhookId, VecDeque<Delivery>>,
    /// Webhooks that may send, in turn.
    ready: VecDeque<WebhookId>,
    /// POSTs under way, by webhook.
    sending: HashMap<WebhookId, usize>,
    /// Deliveries that wait, in all.
    queued: usize,
    /// Those of them that wait for a webhook which has as many POSTs under way as it may have.
    blocked: usize,
    /// Messages and retries that are being looked up.
    planning: usize,
    /// POSTs under way, in all.
    attempts: usize,
    /// Deliveries left of a message's commit.
    open: HashMap<Position, usize>,
    /// Outcomes to be recorded.
    landed: Vec<Landed>,
    /// A recording is under way.
    recording: bool,
}

impl Deliverer {
    /// Delivers until `stop`; then lets attempts under way finish within the grace period.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), LogError> {
        let log = self.courier.journal.log.clone();
        let clock = self.courier.journal.clock.clone();
        let consumer = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            consumer = patient(&*clock, || log.consumer(DELIVER)) => consumer?,
        };
        let courier = Arc::new(self.courier.clone());
        let mut steps: FuturesUnordered<BoxFuture<'static, Step>> = FuturesUnordered::new();
        let mut desk = Desk::new(self.in_flight);
        loop {
            desk.start(&courier, &mut steps);
            let appetite = desk.appetite();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(step) = steps.next() => desk.step(step, &courier, &*consumer).await?,
                Some(timer) = self.retries.recv(), if desk.has_room() => {
                    desk.planning += 1;
                    let courier = courier.clone();
                    steps.push(async move { Step::Retried(courier.retried(&timer).await) }.boxed());
                }
                commits = patient(&*clock, || consumer.fetch(appetite)), if appetite > 0 => {
                    // Where the log ends by now, asked once for those that come again.
                    let tail = Arc::new(OnceCell::new());
                    for commit in commits? {
                        desk.planning += 1;
                        let again = consumer.comes_again(commit.position);
                        let (courier, tail) = (courier.clone(), tail.clone());
                        steps.push(async move {
                            let plan = courier.plan(&commit, again.then_some(&tail)).await;
                            Step::Planned { commit, plan }
                        }.boxed());
                    }
                }
            }
        }
        self.drain(desk, &courier, steps, &*consumer).await
    }

    /// Lets attempts under way end and records their outcomes.
    async fn drain(
        &self,
        mut desk: Desk,
        courier: &Arc<Courier>,
        mut steps: FuturesUnordered<BoxFuture<'static, Step>>,
        consumer: &dyn Consumer,
    ) -> Result<(), LogError> {
        desk.waiting.clear();
        desk.ready.clear();
        desk.blocked = 0;
        let grace = rest(&*courier.journal.clock, self.grace);
        tokio::pin!(grace);
        loop {
            desk.start(courier, &mut steps);
            if desk.attempts == 0 && desk.landed.is_empty() && !desk.recording {
                break;
            }
            tokio::select! {
                () = &mut grace => {
                    tracing::warn!(
                        attempts = desk.attempts + desk.landed.len(),
                        "stopping with attempts that are not in the log; they are made again"
                    );
                    break;
                }
                Some(step) = steps.next() => {
                    if !matches!(step, Step::Planned { .. } | Step::Retried(_)) {
                        desk.step(step, courier, consumer).await?;
                    }
                }
            }
        }
        farewell(&*courier.journal.clock, consumer).await
    }
}

impl Desk {
    fn new(in_flight: usize) -> Self {
        Self {
            in_flight,
            // The first message tells.
            fan_out: 2 * in_flight,
            ..Self::default()
        }
    }

    fn has_room(&self) -> bool {
        self.queued + self.planning < QUEUE
    }

    /// How many messages to ask the log for: what keeps this node busy, and as much again. What one node has taken
    /// no other can deliver.
    fn appetite(&self) -> usize {
        let ahead = 2 * self.in_flight;
        let taken = self.queued - self.blocked + self.planning * self.fan_out;
        if taken < ahead && self.has_room() {
            ((ahead - taken) / self.fan_out).clamp(1, FETCH)
        } else {
            0
        }
    }

    /// Starts what may start.
    fn start(
        &mut self,
        courier: &Arc<Courier>,
        steps: &mut FuturesUnordered<BoxFuture<'static, Step>>,
    ) {
        while self.attempts < self.in_flight {
            let Some(webhook) = self.ready.pop_front() else {
                break;
            };
            let Some(queue) = self.waiting.get_mut(&webhook) else {
                continue;
            };
            let sending = self.sending.entry(webhook).or_default();
            if *sending >= ATTEMPTS_PER_WEBHOOK {
                continue;
            }
            let Some(delivery) = queue.pop_front() else {
                self.waiting.remove(&webhook);
                continue;
            };
            *sending += 1;
            self.attempts += 1;
            self.queued -= 1;
            if *sending < ATTEMPTS_PER_WEBHOOK {
                self.ready.push_back(webhook);
            } else {
                self.blocked += queue.len();
            }
            let courier = courier.clone();
            steps.push(async move { Step::Attempted(courier.attempt(delivery).await) }.boxed());
        }
        if !self.recording && !self.landed.is_empty() {
            self.recording = true;
            let batch: Vec<_> = self.landed.drain(..self.landed.len().min(BATCH)).collect();
            let courier = courier.clone();
            steps.push(
                async move {
                    let result = courier.record(&batch).await;
                    Step::Recorded { batch, result }
                }
                .boxed(),
            );
        }
    }

    async fn step(
        &mut self,
        step: Step,
        courier: &Courier,
        consumer: &dyn Consumer,
    ) -> Result<(), LogError> {
        match step {
            Step::Planned { commit, plan } => {
                self.planning -= 1;
                if let Ok(deliveries) = &plan {
                    self.fan_out = deliveries.len().max(1);
                }
                match plan {
                    Ok(deliveries) if deliveries.is_empty() => {
                        consumer.ack(&[commit.position]).await?;
                    }
                    Ok(deliveries) => {
                        self.open.insert(commit.position, deliveries.len());
                        for delivery in deliveries {
                            self.enqueue(delivery);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(position = %commit.position, error = %with_causes(&error), "a message waits");
                        consumer.nak(commit.position, REST).await?;
                    }
                }
            }
            Step::Retried(retry) => {
                self.planning -= 1;
                match retry {
                    Some(Retry::Send(delivery)) => self.enqueue(delivery),
                    Some(Retry::Over(landed)) => self.landed.push(landed),
                    None => {}
                }
            }
            Step::Attempted(landed) => {
                self.attempts -= 1;
                if let Some(sending) = self.sending.get_mut(&landed.webhook) {
                    *sending -= 1;
                    if *sending + 1 == ATTEMPTS_PER_WEBHOOK {
                        let waiting = self.waiting.get(&landed.webhook);
                        self.blocked -= waiting.map_or(0, VecDeque::len);
                        self.ready.push_back(landed.webhook);
                    }
                    if *sending == 0 {
                        self.sending.remove(&landed.webhook);
                    }
                }
                self.landed.push(landed);
            }
            Step::Recorded {
                batch,
                result: Ok(()),
            } => {
                self.recording = false;
                let mut done = vec![];
                for position in batch.iter().filter_map(|landed| landed.message) {
                    if let Some(left) = self.open.get_mut(&position) {
                        *left -= 1;
                        if *left == 0 {
                            self.open.remove(&position);
                            done.push(position);
                        }
                    }
                }
                if !done.is_empty() {
                    consumer.ack(&done).await?;
                }
            }
            Step::Recorded {
                batch,
                result: Err(error),
            } => {
                self.recording = false;
                tracing::warn!(error = %with_causes(&error), "outcomes wait to be recorded");
                drop(self.landed.splice(..0, batch));
                rest(&*courier.journal.clock, REST).await;
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, delivery: Delivery) {
        let webhook = delivery.webhook;
        let queue = self.waiting.entry(webhook).or_default();
        let idle = queue.is_empty();
        queue.push_back(delivery);
        self.queued += 1;
        let sending = self.sending.get(&webhook).copied().unwrap_or_default();
        if sending >= ATTEMPTS_PER_WEBHOOK {
            self.blocked += 1;
        } else if idle {
            self.ready.push_back(webhook);
        }
    }
}

impl Courier {
    /// What a fired timer asks for, once that can be found out: the timer fires only once.
    async fn retried(&self, timer: &Timer) -> Option<Retry> {
        loop {
            let error = match self.retry(timer).await {
                Ok(retry) => return retry,
                Err(error) => error,
            };
            if error.is_for_ever() {
                tracing::error!(error = %with_causes(&error), "a retry cannot be made");
                return None;
            }
            tracing::warn!(error = %with_causes(&error), "a retry waits");
            rest(&*self.journal.clock, REST).await;
        }
    }

    /// Appends the outcomes, those of one webhook in one commit.
    async fn record(&self, batch: &[Landed]) -> Result<(), JournalError> {
        let mut commits: HashMap<WebhookId, (&Landed, Vec<DeliveryEvent>)> = HashMap::new();
        for landed in batch.iter().filter(|landed| !landed.events.is_empty()) {
            let (_, events) = commits
                .entry(landed.webhook)
                .or_insert_with(|| (landed, Vec::new()));
            events.extend(landed.events.iter().cloned());
        }
        let appends = commits.into_values().map(|(landed, events)| async move {
            let stream = StreamId::deliveries(&landed.project, landed.webhook);
            let id = self.ids.uuid();
            self.journal
                .append(&stream, id, &events, &landed.context)
                .await
        });
        for result in futures::future::join_all(appends).await {
            result?;
        }
        Ok(())
    }
}
