//! [`JetStreamLog`]: the port, put together from appends, the mirror and the consumers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use async_nats::{ConnectOptions, Event, ServerAddr};
use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use wharf_domain::{
    kernel::{Commit, CommitId, Head, Position, StoredCommit, StreamId},
    ports::{Append, Clock, Consumer, ConsumerSpec, Durability, EventLog, LogError, Refusal},
};

use super::{
    api::{Api, unavailable},
    append::Appender,
    consumer::Consumers,
    ends::Ends,
    mirror::{Identity, Mirror, end_of},
    monitor,
    names::Names,
    options::JetStreamOptions,
    stream::{check_options, check_server, provision, provision_marks},
};
use crate::{consumer::closed, error::Error, measure, verdict::admit};

/// The event log in a `JetStream` stream. Cheap to clone; it ends with the last clone, or by
/// [`JetStreamLog::close`], and its consumers with it.
#[derive(Clone)]
pub struct JetStreamLog {
    inner: Arc<Inner>,
}

struct Inner {
    api: Api,
    appender: Appender,
    mirror: Arc<Mirror>,
    consumers: Consumers,
    durability: Durability,
    clock: Arc<dyn Clock>,
    closed: AtomicBool,
    options: JetStreamOptions,
}

impl JetStreamLog {
    /// Connects, makes the stream if there is none, and begins to follow it into the mirror. From then
    /// on it reconnects for ever. Needs the runtime on which it is called for as long as it lives.
    ///
    /// # Errors
    /// Nobody answers, the server or the stream cannot keep the log's promises, or the mirror is not
    /// one of this stream.
    pub async fn open(options: JetStreamOptions, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let api = connect(&options, check_options(&options)?).await?;
        check_server(&api.client.server_info())?;
        let info = provision(&api, &options).await?;
        provision_marks(&api, &options).await?;
        let durability = monitor::durability(&options.monitoring, options.replicas).await;
        let mirror = open_mirror(&api, &options, &info).await?;
        let consumers =
            Consumers::start(api.clone(), options.deadline).map_err(|source| Error::Directory {
                dir: options.mirror.clone(),
                source,
            })?;
        tracing::info!(
            stream = api.names.stream,
            replicas = options.replicas,
            ?durability,
            "the event log is open"
        );
        Ok(Self {
            inner: Arc::new(Inner {
                appender: Appender {
                    api: api.clone(),
                    ends: Ends::default(),
                    deadline: options.deadline,
                    duplicate_window: options.duplicate_window,
                    trusted: AtomicU64::new(0),
                },
                api,
                mirror: Arc::new(mirror),
                consumers,
                durability,
                clock,
                closed: AtomicBool::new(false),
                options,
            }),
        })
    }

    /// Takes no more commits, gives back what its consumers hold and stops following. Reads of what the
    /// mirror has go on working.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.consumers.close().await;
        self.inner.mirror.close().await;
    }

    /// Commits that the stream has and this node's mirror has not; `None` while it cannot be followed.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        self.inner.mirror.behind()
    }

    /// The commit at `position`, if there is one. Asks the servers for what the mirror has not yet, so a node
    /// whose mirror is new need not wait for it.
    ///
    /// # Errors
    /// The servers cannot be asked.
    pub async fn at(&self, position: Position) -> Result<Option<StoredCommit>, LogError> {
        match self.inner.mirror.at(position).await? {
            Some(mirrored) => Ok(Some(mirrored)),
            None => self.inner.api.at(position).await,
        }
    }

    pub(super) fn api(&self) -> &Api {
        &self.inner.api
    }

    /// Somebody was told of `position`.
    pub(super) fn tell(&self, position: Position) {
        self.inner.mirror.tell(position);
    }

    /// How it was opened.
    #[must_use]
    pub fn options(&self) -> &JetStreamOptions {
        &self.inner.options
    }
}

impl fmt::Debug for JetStreamLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamLog")
            .field("stream", &self.inner.api.names.stream)
            .field("mirror", &self.inner.options.mirror)
            .finish_non_exhaustive()
    }
}

/// Connects to the servers of `options`, and again whenever the connection is lost.
pub(super) async fn connect(options: &JetStreamOptions, names: Names) -> Result<Api, Error> {
    let mut servers = Vec::new();
    for server in &options.servers {
        servers.push(server.parse::<ServerAddr>().map_err(|_| {
            Error::Setting("a NATS server is given as nats://host:4222 or tls://host:4222")
        })?);
    }
    // Without what the URLs may say besides: passwords.
    let shown: Vec<_> = servers
        .iter()
        .map(|server| format!("{}:{}", server.host(), server.port()))
        .collect();
    let mut connect = ConnectOptions::new()
        .name("wharf")
        .request_timeout(Some(options.attempt))
        .event_callback(|event| async move { report(&event) });
    // The client does not take it from the URLs itself.
    let login = servers
        .iter()
        .find_map(|server| Some((server.username()?, server.password())));
    if let Some((user, password)) = login {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        connect = match password {
            Some(password) => connect.user_and_password(decoded(user), decoded(password)),
            None => connect.token(decoded(user)),
        };
    }
    if let Some(roots) = &options.roots {
        connect = connect.add_root_certificates(roots.clone());
    }
    let client = connect.connect(servers).await;
    let client = client.map_err(|source| Error::Unreachable {
        servers: shown.join(", "),
        source: source.into(),
    })?;
    Ok(Api::new(client, names, options.attempt))
}

/// The life of the connection, for operators.
fn report(event: &Event) {
    match event {
        Event::Disconnected => {
            measure::disconnected();
            tracing::warn!("the connection to the NATS server is lost; connecting again");
        }
        Event::Connected => tracing::info!("connected to the NATS server"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::info!(%event, "the connection to the NATS server ends");
        }
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!(%event, "the connection to the NATS server is in trouble");
        }
    }
}

async fn open_mirror(
    api: &Api,
    options: &JetStreamOptions,
    info: &async_nats::jetstream::stream::Info,
) -> Result<Mirror, Error> {
    let failed = |source: LogError| Error::Stream {
        stream: api.names.stream.clone(),
        source: source.into(),
    };
    let dir = options.mirror.clone();
    let end = blocking(move || end_of(&dir)).await.map_err(failed)??;
    let at_mirrors_end = match end {
        Position::START => None,
        end => api.at(end).await.map_err(failed)?,
    };
    let identity = Identity {
        stream: api.names.stream.clone(),
        created: info.created.to_string(),
        last: Position(info.state.last_sequence),
        at_mirrors_end: at_mirrors_end.map(|commit| (commit.id, commit.hash)),
    };
    let (api, options) = (api.clone(), options.clone());
    let opened = blocking(move || {
        Mirror::open(
            &options.mirror,
            options.readers,
            &identity,
            api,
            options.deadline,
        )
    });
    opened.await.map_err(failed)?
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.map_err(unavailable)
}

#[async_trait]
impl EventLog for JetStreamLog {
    async fn append(&self, commit: Commit) -> Append {
        let started = Instant::now();
        let inner = &self.inner;
        let answer = if let Err(invalid) = admit(&commit) {
            Append::Refused(Refusal::Invalid(invalid))
        } else if inner.closed.load(Ordering::Acquire) {
            Append::Refused(Refusal::Closed("it is closed"))
        } else if inner.mirror.is_damaged() {
            Append::Refused(Refusal::Closed(
                "it is damaged; stop every node and run wharf log verify",
            ))
        } else {
            inner
                .appender
                .append(&commit, &inner.mirror, &*inner.clock)
                .await
        };
        measure::appended(&answer, started.elapsed());
        answer
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let inner = &self.inner;
        let own = inner.appender.ends.reach(stream);
        inner.mirror.stream(stream, own, after, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.inner.mirror.all(after, limit).await
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.inner.mirror.wait_beyond(after).await?;
        self.inner.mirror.all(after, limit).await
    }

    async fn tail(&self) -> Result<Position, LogError> {
        let tail = self.inner.api.last(self.inner.options.deadline).await?;
        self.inner.mirror.tell(tail);
        Ok(tail)
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        self.inner.mirror.find(id).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        self.inner.mirror.head(stream).await
    }

    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        let inner = &self.inner;
        if inner.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        let (mirror, clock) = (Arc::clone(&inner.mirror), Arc::clone(&inner.clock));
        inner.consumers.open(&spec, mirror, clock).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability
    }
}
