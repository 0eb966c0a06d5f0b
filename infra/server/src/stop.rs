//! Being asked to stop: SIGTERM and Ctrl-C. Commands that run until then take one before they say that
//! they are up, so that whoever heard it can stop them and be obeyed.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From when this exists, neither signal ends the process by itself.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system takes no handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal; one that came since [`Self::listen`] counts.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
