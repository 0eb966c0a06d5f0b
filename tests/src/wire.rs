//! A wire between a node and a server: a proxy that cuts, delays, holds back and half-closes.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They arrive.
    Whole,
    /// Open connections are closed, and new ones at once.
    Cut,
    /// They arrive later by so much.
    Slow(Duration),
    /// They arrive once it is whole again, as TCP sends them again after a silence; see [`Wire::mend`].
    Silent,
    /// The same of what the server says; it hears the node.
    Unanswered,
    /// Each open connection ends in this direction and goes on in the other; new ones are whole.
    Half(Direction),
}

impl Mode {
    fn holds_back(self, direction: Direction) -> bool {
        match self {
            Self::Silent => true,
            Self::Unanswered => direction == Direction::Back,
            Self::Whole | Self::Cut | Self::Slow(_) | Self::Half(_) => false,
        }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The node.
    There,
    /// The server.
    Back,
}

/// A proxy in front of one server; it goes on until the test ends.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    now: watch::Sender<Now>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    mode: Mode,
    /// How often what was open ended, there and back.
    ends: [u64; 2],
}

impl Now {
    const fn ends(&self, direction: Direction) -> u64 {
        self.ends[direction as usize]
    }
}

impl Wire {
    /// A wire to the server at `address`.
    pub async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let now = Now {
            mode: Mode::Whole,
            ends: [0; 2],
        };
        let wire = Self {
            port: listener.local_addr().expect("its number").port(),
            now: watch::Sender::new(now),
        };
        let now = wire.now.subscribe();
        spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                // What ended before does not concern this connection.
                let since = *now.borrow();
                if since.mode != Mode::Cut
                    && let Ok(server) = TcpStream::connect(&address).await
                {
                    let (node, server) = (node.into_split(), server.into_split());
                    spawn(carry(
                        node.0,
                        server.1,
                        Direction::There,
                        since,
                        now.clone(),
                    ));
                    spawn(carry(server.0, node.1, Direction::Back, since, now.clone()));
                }
            }
        });
        wire
    }

    /// Where the node finds the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.now.send_modify(|now| {
            now.mode = mode;
            let ended = |direction| mode == Mode::Cut || mode == Mode::Half(direction);
            for direction in [Direction::There, Direction::Back] {
                now.ends[direction as usize] += u64::from(ended(direction));
            }
        });
    }

    /// Closes every connection, and what they held back is lost; new ones are whole.
    pub fn mend(&self) {
        self.set(Mode::Cut);
        self.set(Mode::Whole);
    }
}

/// Carries until one side ends, or the wire does; the other side then reads an end, too.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    since: Now,
    mut now: watch::Receiver<Now>,
) {
    let over = |now: &Now| now.ends(direction) > since.ends(direction);
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = now.wait_for(over) => return,
        };
        let Ok(read @ 1..) = read else {
            return;
        };
        let mode = now.borrow().mode;
        if let Mode::Slow(by) = mode {
            tokio::time::sleep(by).await;
        }
        let passes = |now: &Now| over(now) || !now.mode.holds_back(direction);
        match now.wait_for(passes).await {
            Ok(now) if !over(&now) => {}
            Ok(_) | Err(_) => return,
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no supervisor")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
