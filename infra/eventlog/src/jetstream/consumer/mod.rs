//! Durable consumers, shared by all nodes: the server keeps what is acknowledged, the mirror what they
//! say.
//!
//! A consumer of the server hands every commit of its categories to one of the nodes. A node asks for
//! as many as a fetch wants, and only for headers: the commits come from its mirror. What it holds it
//! renews, so that nobody else gets it; what it gives back waits here, by the port's clock. If it dies,
//! the server gives what it held to the others.
//!
//! [`State`](state::State) knows what this node holds of one consumer; a *pump* asks, renews and
//! confirms, on a thread of its own; the handle is the port. `provision` makes the consumer and notices
//! when one is gone that was there before.

mod handle;
mod provision;
mod pull;
mod pump;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::{Notify, mpsc, watch};
use wharf_domain::ports::{Clock, Consumer, ConsumerSpec, LogError};

use super::{api::Api, mirror::Mirror};
use crate::{consumer::closed, locks::lock};
use handle::Handle;
pub(super) use provision::{all, carry, in_use, marked};
use pump::Pump;
use state::State;

/// Consumers that wait to be taken on; opening one waits while they are more.
const OPENED: usize = 16;

/// The consumers of one log. Dropping it gives back what they hold.
#[derive(Debug)]
pub(super) struct Consumers {
    api: Api,
    patience: Duration,
    open: Mutex<Vec<Arc<Shared>>>,
    pumps: mpsc::Sender<Pump>,
    /// Dropped to stop the pumps.
    stop: Mutex<Option<watch::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One open consumer: shared by its handle and its pump.
#[derive(Debug)]
struct Shared {
    name: &'static str,
    state: Mutex<State>,
    /// Something arrived, was acknowledged or given back: a fetch may go on.
    changed: Notify,
    /// There is something for the pump to do.
    work: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Consumers {
    /// Starts the thread of the pumps.
    pub(super) fn start(api: Api, patience: Duration) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let (stop, stopped) = watch::channel(());
        let (pumps, opened) = mpsc::channel(OPENED);
        let thread = std::thread::Builder::new()
            .name("wharf-consumers".to_owned())
            .spawn(move || runtime.block_on(run(opened, stopped)))?;
        Ok(Self {
            api,
            patience,
            open: Mutex::default(),
            pumps,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// See [`EventLog::consumer`](wharf_domain::ports::EventLog::consumer). What an earlier handle of
    /// this process holds comes again at once.
    pub(super) async fn open(
        &self,
        spec: &ConsumerSpec,
        mirror: Arc<Mirror>,
        clock: Arc<dyn Clock>,
    ) -> Result<Box<dyn Consumer>, LogError> {
        let info = provision::open(&self.api, spec).await?;
        let shared = match self.known(spec.name) {
            Some(shared) => shared,
            None => self.take_on(spec, State::new(&info)).await?,
        };
        let opened_at = self.api.last(self.patience).await?;
        let opener = shared.state().take_over(spec.max_in_flight);
        shared.changed.notify_waiters();
        Ok(Box::new(Handle {
            shared,
            opener,
            opened_at,
            api: self.api.clone(),
            mirror,
            clock,
            patience: self.patience,
        }))
    }

    /// Gives back what is held and stops.
    pub(super) async fn close(&self) {
        drop(lock(&self.stop).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Fails only if the thread panicked, which has been reported by then.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// A consumer that is open; those that were dropped are forgotten.
    fn known(&self, name: &str) -> Option<Arc<Shared>> {
        let mut open = lock(&self.open);
        open.retain(|shared| !shared.state().is_dropped());
        open.iter().find(|shared| shared.name == name).cloned()
    }

    async fn take_on(&self, spec: &ConsumerSpec, state: State) -> Result<Arc<Shared>, LogError> {
        let shared = Arc::new(Shared {
            name: spec.name,
            state: Mutex::new(state),
            changed: Notify::new(),
            work: Notify::new(),
        });
        let pump = Pump::new(self.api.clone(), Arc::clone(&shared)).await?;
        self.pumps.send(pump).await.map_err(|_| closed())?;
        lock(&self.open).push(Arc::clone(&shared));
        Ok(shared)
    }
}

impl Drop for Consumers {
    fn drop(&mut self) {
        drop(lock(&self.stop).take());
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

/// The thread: until the log is closed and every pump has given back what it holds.
async fn run(mut opened: mpsc::Receiver<Pump>, stopped: watch::Receiver<()>) {
    let mut pumps = FuturesUnordered::new();
    let mut stopping = stopped.clone();
    loop {
        tokio::select! {
            // Nothing is ever sent: it changes when its sender goes.
            _ = stopping.changed() => break,
            pump = opened.recv() => match pump {
                Some(pump) => pumps.push(pump.run(stopped.clone())),
                None => break,
            },
            Some(()) = pumps.next(), if !pumps.is_empty() => {}
        }
    }
    // Those that were still waiting to be taken on stop as well, and say so.
    opened.close();
    while let Some(pump) = opened.recv().await {
        pumps.push(pump.run(stopped.clone()));
    }
    while let Some(()) = pumps.next().await {}
}
