//! A wire between a node and its NATS server: a proxy that cuts, delays, holds back and half-closes.

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
pub(super) enum Mode {
    /// They arrive.
    Whole,
    /// Open connections are closed, and new ones at once.
    Cut,
    /// They arrive later by so much.
    Slow(Duration),
    /// They arrive once it is whole again, as TCP sends them again after a silence.
    Silent,
    /// Each open connection ends in this direction and goes on in the other; new ones are whole.
    Half(Direction),
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The node.
    There,
    /// The server.
    Back,
}

/// A proxy in front of one server; it goes on until the test ends.
pub(super) struct Wire {
    port: u16,
    mode: watch::Sender<Mode>,
}

impl Wire {
    /// A wire to the server at `address`.
    pub(super) async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let wire = Self {
            port: listener.local_addr().expect("its number").port(),
            mode: watch::Sender::new(Mode::Whole),
        };
        let mode = wire.mode.subscribe();
        spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                if *mode.borrow() != Mode::Cut
                    && let Ok(server) = TcpStream::connect(&address).await
                {
                    carry(node, server, &mode);
                }
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
        self.mode.send_replace(mode);
    }
}

fn carry(node: TcpStream, server: TcpStream, mode: &watch::Receiver<Mode>) {
    let ((said, hears), (answers, asked)) = (node.into_split(), server.into_split());
    // What was before this connection does not concern it.
    let [mut there, mut back] = [mode.clone(), mode.clone()];
    there.mark_unchanged();
    back.mark_unchanged();
    spawn(carry_one(said, asked, Direction::There, there));
    spawn(carry_one(answers, hears, Direction::Back, back));
}

/// Carries until one side ends, or the wire does; the other side then reads an end, too.
async fn carry_one(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut mode: watch::Receiver<Mode>,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            changed = mode.changed() => {
                let now = *mode.borrow_and_update();
                if changed.is_err() || now == Mode::Cut || now == Mode::Half(direction) {
                    return;
                }
                continue;
            }
        };
        let Ok(read @ 1..) = read else {
            return;
        };
        let now = *mode.borrow();
        match now {
            Mode::Slow(by) => tokio::time::sleep(by).await,
            Mode::Silent => {
                let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
            }
            Mode::Whole | Mode::Cut | Mode::Half(_) => {}
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
