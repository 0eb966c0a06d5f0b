//! An HTTP server on loopback that behaves as badly as it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What it does with a connection, once it has read a request.
#[derive(Clone)]
pub(super) enum Behaviour {
    /// Answers each request with these bytes and keeps the connection.
    Answers(Vec<u8>),
    /// Sends these bytes and closes.
    Sends(Vec<u8>),
    /// Sends these bytes and goes on with zeros until the other side has enough.
    Floods(Vec<u8>),
    /// Sends these bytes and then nothing, without closing.
    Stalls(Vec<u8>),
    /// Resets the connection.
    Resets,
}

/// The server; it stops when dropped.
pub(super) struct Server {
    address: SocketAddr,
    hits: Arc<AtomicUsize>,
    requests: watch::Receiver<Vec<String>>,
    flooded: watch::Receiver<Option<usize>>,
    _running: JoinSet<()>,
}

/// An answer with this status and body.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Behaviour {
    Behaviour::Sends(
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}

impl Server {
    /// Listens on every IPv4 address of this machine, so that no form of loopback is missed.
    pub(super) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hits = Arc::new(AtomicUsize::new(0));
        let (request, requests) = watch::channel(Vec::new());
        let (flood, flooded) = watch::channel(None);
        let mut running = JoinSet::new();
        let counted = Arc::clone(&hits);
        running.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(
                    stream,
                    behaviour.clone(),
                    request.clone(),
                    flood.clone(),
                ));
            }
        });
        Self {
            address,
            hits,
            requests,
            flooded,
            _running: running,
        }
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its URL by `host`.
    pub(super) fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/hook?token=QUERY-SECRET", self.port())
    }

    /// Connections so far.
    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// The requests so far, as they came.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Bytes a flood could send before the other side had enough.
    pub(super) async fn flooded(&mut self) -> usize {
        self.flooded
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    requests: watch::Sender<Vec<String>>,
    flood: watch::Sender<Option<usize>>,
) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    requests.send_modify(|all| all.push(request));
    match behaviour {
        Behaviour::Answers(bytes) => {
            while stream.write_all(&bytes).await.is_ok() {
                let Some(request) = read_request(&mut stream).await else {
                    return;
                };
                requests.send_modify(|all| all.push(request));
            }
        }
        Behaviour::Sends(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Behaviour::Floods(bytes) => {
            let mut sent = bytes.len();
            let mut written = stream.write_all(&bytes).await;
            while written.is_ok() {
                written = stream.write_all(&[0; 4096]).await;
                sent += 4096;
            }
            flood.send_replace(Some(sent));
        }
        Behaviour::Stalls(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Behaviour::Resets => {
            stream.set_zero_linger().unwrap();
        }
    }
}

/// Head and body of one request; `None` if it breaks off.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .lines()
                .filter_map(|line| line.strip_prefix("content-length: "))
                .find_map(|length| length.parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
    }
}
