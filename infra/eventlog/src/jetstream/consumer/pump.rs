//! What one open consumer has to say to the server, and hear from it.
//!
//! Runs on the consumers' thread until its handle is dropped or the log is closed; then it gives back
//! what is held, so that other nodes need not wait until the server misses this one.

use std::{sync::Arc, time::Duration};

use async_nats::{Request, Subject, Subscriber, jetstream::AckKind};
use futures::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};
use wharf_domain::{kernel::Position, ports::LogError};

use super::{
    Shared, provision,
    pull::{self, Arrived, SILENCE},
    state::AckTo,
};
use crate::jetstream::api::{Api, unavailable};

/// How often what is held is renewed: three times before the server gives it to somebody else.
const RENEW: Duration = Duration::from_secs(provision::ACK_WAIT.as_secs() / 3);
/// What lies between two tries to be heard.
const PAUSE: Duration = Duration::from_millis(200);
/// Tries to have an acknowledgement confirmed; after them the commit comes again.
const TRIES: u32 = 50;
/// The longest that giving back takes.
const FAREWELL: Duration = Duration::from_secs(3);

/// See the module.
pub(super) struct Pump {
    api: Api,
    shared: Arc<Shared>,
    inbox: Subject,
    messages: Subscriber,
}

impl Pump {
    /// Subscribes to an inbox of its own.
    pub(super) async fn new(api: Api, shared: Arc<Shared>) -> Result<Self, LogError> {
        let inbox = Subject::from(api.client.new_inbox());
        let messages = api.client.subscribe(inbox.clone()).await;
        Ok(Self {
            messages: messages.map_err(unavailable)?,
            api,
            shared,
            inbox,
        })
    }

    /// Until its handle is dropped or the log is closed.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<()>) {
        let mut confirming = FuturesUnordered::new();
        let mut renewal = tokio::time::interval_at(Instant::now() + RENEW, RENEW);
        // When a question that nothing was heard of counts as lost, or the next one may be asked.
        let mut heard = Instant::now();
        let mut rest_until = Instant::now();
        while !self.shared.state().is_dropped() {
            let acks = self.shared.state().take_acks();
            for (position, ack_to) in acks {
                confirming.push(confirm(self.api.clone(), position, ack_to));
            }
            if rest_until <= Instant::now() && self.ask().await {
                heard = Instant::now();
            }
            tokio::select! {
                // Nothing is ever sent: it changes when its sender goes.
                _ = stopped.changed() => break,
                () = self.shared.work.notified() => {}
                Some(position) = confirming.next(), if !confirming.is_empty() => {
                    self.shared.state().confirmed(position);
                    self.shared.changed.notify_waiters();
                }
                message = self.messages.next() => {
                    let Some(message) = message else { break };
                    heard = Instant::now();
                    if !self.hear(message).await {
                        rest_until = Instant::now() + PAUSE;
                    }
                }
                _ = renewal.tick() => self.renew().await,
                () = tokio::time::sleep_until(heard + SILENCE) => {
                    heard = Instant::now();
                    self.shared.state().answered();
                    self.shared.changed.notify_waiters();
                }
                () = tokio::time::sleep_until(rest_until), if rest_until > Instant::now() => {}
            }
        }
        let confirmed = async { while confirming.next().await.is_some() {} };
        let farewell = async { tokio::join!(confirmed, self.give_back()) };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        self.shared.state().set_dropped();
        self.shared.changed.notify_waiters();
    }

    /// Asks for what a fetch wants; whether there was anything to ask.
    async fn ask(&self) -> bool {
        let question = self.shared.state().take_question();
        let Some(batch) = question else {
            return false;
        };
        let asked = pull::ask(
            &self.api.client,
            &self.api,
            self.shared.name,
            &self.inbox,
            batch,
        );
        if let Err(error) = asked.await {
            tracing::debug!(consumer = self.shared.name, %error, "a fetch could not be sent");
            self.shared.state().answered();
        }
        true
    }

    /// Takes a message; `false`: the server could do nothing with the question.
    async fn hear(&self, message: async_nats::Message) -> bool {
        match pull::read(&self.api, message) {
            Arrived::Heartbeat => return true,
            Arrived::Commit {
                position,
                ack_to,
                again,
            } => self.shared.state().arrive(position, ack_to, again),
            Arrived::End => self.shared.state().answered(),
            Arrived::Deleted => self.shared.state().set_lost(),
            Arrived::Refused => {
                self.shared.state().answered();
                // Nobody answers for a consumer that is gone, or whose leader is.
                if provision::is_gone(&self.api, self.shared.name).await {
                    self.shared.state().set_lost();
                }
                self.shared.changed.notify_waiters();
                return false;
            }
        }
        self.shared.changed.notify_waiters();
        true
    }

    /// Tells the server that what is held is being worked on, and asks what others hold.
    async fn renew(&mut self) {
        let happened = self.shared.state().happened();
        let held = self.shared.state().held();
        for ack_to in held {
            let renewed = self.api.client.publish(ack_to, AckKind::Progress.into());
            if let Err(error) = renewed.await {
                tracing::debug!(consumer = self.shared.name, %error, "nothing could be renewed");
                return;
            }
        }
        if let Ok(Ok(info)) = provision::info(&self.api, self.shared.name).await {
            // What was sent before that answer is here by now.
            while let Some(Some(message)) = self.messages.next().now_or_never() {
                self.hear(message).await;
            }
            self.shared.state().look_elsewhere(&info, happened);
        }
    }

    /// Gives everything back, in order, and waits until the server knows.
    async fn give_back(&self) {
        let held = self.shared.state().held();
        let given = held.into_iter().map(|ack_to| {
            let nak = Request::new()
                .payload(AckKind::Nak(None).into())
                .timeout(Some(self.api.patience));
            self.api.client.send_request(ack_to, nak)
        });
        for failed in join_all(given)
            .await
            .iter()
            .filter_map(|given| given.as_ref().err())
        {
            tracing::debug!(consumer = self.shared.name, error = %failed, "not given back");
        }
    }
}

/// Acknowledges until the server confirms it.
async fn confirm(api: Api, position: Position, ack_to: AckTo) -> Position {
    for _ in 0..TRIES {
        let ack = Request::new()
            .payload(AckKind::Ack.into())
            .timeout(Some(api.patience));
        match api.client.send_request(ack_to.clone(), ack).await {
            Ok(_) => return position,
            Err(error) => tracing::debug!(%position, %error, "not confirmed yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(%position, "an acknowledgement was not confirmed; the commit comes again");
    position
}
