//! A wire between a node and its server that can be cut, or lose what the server says.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

/// What reaches the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything.
    Whole = 0,
    /// What the node says; the server's answers are lost.
    Unanswered = 1,
    /// Nothing: neither side hears the other.
    Silent = 2,
}

/// A proxy in front of one server. Its threads end with the test's process.
#[derive(Debug)]
pub(super) struct Wire {
    port: u16,
    mode: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// A wire to the server at `address`.
    pub(super) fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let wire = Self {
            port: listener.local_addr().expect("its number").port(),
            mode: Arc::default(),
            open: Arc::default(),
        };
        let (mode, open) = (Arc::clone(&wire.mode), Arc::clone(&wire.open));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&address) else {
                    continue;
                };
                let both = [client, server];
                let [(from, to), (back_from, back_to)] = [[0, 1], [1, 0]].map(|[from, to]| {
                    let half = |side: &TcpStream| side.try_clone().expect("it can be shared");
                    (half(&both[from]), half(&both[to]))
                });
                open.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(both);
                let (there, back) = (Arc::clone(&mode), Arc::clone(&mode));
                thread::spawn(move || carry(from, to, &there, &[Mode::Whole, Mode::Unanswered]));
                thread::spawn(move || carry(back_from, back_to, &back, &[Mode::Whole]));
            }
        });
        wire
    }

    /// Where the node finds the server.
    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on.
    pub(super) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Cuts every connection; new ones are whole.
    pub(super) fn mend(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for side in open.drain(..) {
            let _ = side.shutdown(Shutdown::Both);
        }
        self.set(Mode::Whole);
    }
}

/// Carries bytes while the mode is one of `modes`, and loses them otherwise.
fn carry(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8, modes: &[Mode]) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let now = mode.load(Ordering::SeqCst);
        if modes.iter().any(|&mode| mode as u8 == now) && to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
