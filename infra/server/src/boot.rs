//! Boot: from a configuration to a running hub. The only place that names concrete implementations.

use std::{fs, future::IntoFuture as _, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Bytes};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wharf_adapters::{
    catalogue,
    sandbox::world::{self, SharedWorld, World},
};
use wharf_api::{
    ApiOptions, ApiState,
    auth::{TokenRules, Verifier},
};
use wharf_domain::ports::{Clock, Connectors, Ids};
use wharf_egress::Egress;
use wharf_eventlog::SqliteLog;
use wharf_runtime::{
    Hub, Parts,
    clock::{SystemClock, SystemIds},
    spool::FileSpool,
};
use wharf_vault::MasterKey;

use crate::{
    config::Config,
    keys,
    stop::StopSignals,
    storage::{self, Storage},
    telemetry::{self, Observer},
};

/// The parts of an opened data folder and the hub that runs on them.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The running loops.
    pub hub: Hub,
    /// What the API is made of.
    pub api: ApiState,
    /// Addresses that are listened on; empty in a command that runs without a server.
    pub addresses: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
}

impl App {
    /// Binds the addresses (if `listening`), opens the data folder, starts the hub.
    ///
    /// # Errors
    /// The folder is in use, a key is missing or wrong, a port is taken: each says what to do.
    pub async fn open(
        config: Config,
        metrics: PrometheusHandle,
        listening: bool,
    ) -> anyhow::Result<Self> {
        let mut listeners = vec![];
        let mut addresses = vec![];
        for address in config.server.listen.iter().filter(|_| listening) {
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}; set server.listen to a free address")
            })?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let public = public_url(&config, &addresses);

        let dir = &config.data.dir;
        create_private(dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn Ids> = Arc::new(SystemIds);
        let observer = Observer::default();
        let master = master_key(&config, &*ids)?;
        let Storage {
            log,
            snapshots,
            views,
            vault: answers,
            leases,
        } = Storage::open(&config, master, clock.clone(), ids.clone()).await?;
        let log = observer.log(log);
        let vault = observer.vault(answers.clone());
        let egress = Egress::new(wharf_egress::Options {
            allow: allowed(&config)?,
            ..wharf_egress::Options::default()
        })?;
        let http = observer.http(Arc::new(egress));
        let spool = Arc::new(FileSpool::open(
            uploads_dir(&config),
            config.import.max_upload_bytes,
        )?);
        let connectors: Connectors = catalogue::connectors(catalogue::Options {
            sandbox_base_url: format!("{public}/sandbox/v1"),
        });
        let verifier = verifier(&config, &*ids)?;

        let rendered = metrics.clone();
        let hub = Hub::start(Parts {
            log: log.clone(),
            snapshots,
            views: views.clone(),
            leases,
            vault: vault.clone(),
            http: http.clone(),
            spool: spool.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            connectors: connectors.clone(),
            grace: Duration::from_secs(config.server.shutdown_grace_seconds),
            deliveries: config.webhooks.in_flight,
        });
        let api = ApiState {
            dispatch: hub.dispatch.clone(),
            log,
            views,
            vault,
            answers,
            spool,
            http,
            clock,
            ids,
            connectors,
            auth: verifier,
            metrics: Arc::new(move || rendered.render()),
            shutdown: hub.supervisor().stop_token(),
            options: ApiOptions {
                public_base_url: public,
                max_in_flight: config.server.max_concurrent_requests,
                ..ApiOptions::default()
            },
        };
        let app = Self {
            config,
            hub,
            api,
            addresses,
            listeners,
        };
        telemetry::start_sampling(&app, metrics, &observer);
        Ok(app)
    }

    /// The API, and the sandbox platform if it is switched on.
    pub fn router(&self) -> Router {
        let router = wharf_api::router(self.api.clone())
            .layer(axum::middleware::from_fn(telemetry::trace_requests));
        if !self.config.sandbox.enabled {
            return router;
        }
        let world = SharedWorld::new(World::new(world::Options::default()));
        let platform = move |request: &axum::http::Request<Bytes>, now| world.answer(request, now);
        router.merge(wharf_api::sandbox::router(
            self.api.clock.clone(),
            Arc::new(platform),
        ))
    }

    /// Serves `router` until the hub stops or `signals` ask it to, then drains.
    ///
    /// # Errors
    /// A loop failed, or did not stop in time.
    pub async fn serve(self, router: Router, mut signals: StopSignals) -> anyhow::Result<()> {
        let Self {
            config,
            hub,
            listeners,
            ..
        } = self;
        let stop = hub.supervisor().stop_token();
        let grace = Duration::from_secs(config.server.shutdown_grace_seconds);
        for listener in listeners {
            let service = router
                .clone()
                .into_make_service_with_connect_info::<SocketAddr>();
            let stop = stop.clone();
            hub.supervisor().spawn("serve", async move {
                let serving = axum::serve(listener, service)
                    .with_graceful_shutdown(stop.clone().cancelled_owned());
                tokio::select! {
                    served = serving.into_future() => served,
                    // A client that neither sends nor reads does not hold the hub.
                    () = elapsed(&stop, grace) => Ok(()),
                }
            });
        }
        tokio::select! {
            () = hub.stopped() => {}
            () = signals.asked() => tracing::info!("stopping: finishing what is under way"),
        }
        hub.shut_down()
            .await
            .context("the hub did not stop cleanly")?;
        Ok(())
    }
}

/// Waits until `grace` has passed since `stop`.
async fn elapsed(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// The log, to be read beside whoever writes it.
///
/// # Errors
/// There is none yet, or it is of another version.
pub fn read_log(config: &Config) -> Result<SqliteLog, wharf_eventlog::Error> {
    let options = wharf_eventlog::Options::default();
    SqliteLog::open_read_only(&storage::log_dir(config), options, Arc::new(SystemClock))
}

/// The master key: from the configuration, else from its file, made at the first start.
///
/// # Errors
/// It is no key, others can read its file, or the file is gone although there is a vault.
pub fn master_key(config: &Config, ids: &dyn Ids) -> anyhow::Result<MasterKey> {
    if !config.vault.master_key.is_empty() {
        return MasterKey::from_hex(&config.vault.master_key)
            .context("ENCRYPTION_KEY (vault.master_key) is not a key; make one with wharf keygen");
    }
    let file = key_file(config);
    // A new key would open nothing, and look like the right one.
    anyhow::ensure!(
        file.exists() || !config.data.dir.join("vault.db").exists(),
        "the key file {} is missing, but there is a vault; restore the file from a backup, or give \
         its key as ENCRYPTION_KEY",
        file.display()
    );
    Ok(MasterKey::load_or_create(&file, ids)?)
}

/// Where uploaded files lie until they are imported.
#[must_use]
pub fn uploads_dir(config: &Config) -> PathBuf {
    if config.import.dir.is_empty() {
        config.data.dir.join("uploads")
    } else {
        PathBuf::from(&config.import.dir)
    }
}

/// Where the master key's file is.
#[must_use]
pub fn key_file(config: &Config) -> PathBuf {
    if config.vault.key_file.is_empty() {
        config.data.dir.join("master.key")
    } else {
        PathBuf::from(&config.vault.key_file)
    }
}

/// Who signs the tokens: the operator's issuer by its key set, else this hub's own secret.
fn verifier(config: &Config, ids: &dyn Ids) -> anyhow::Result<Verifier> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let rules = TokenRules {
        issuer: given(&config.auth.issuer),
        audience: given(&config.auth.audience),
        ..TokenRules::default()
    };
    match config.auth.jwks_file.as_str() {
        "" => Ok(Verifier::hs256(&keys::jwt_secret(config, ids)?, rules)?),
        path => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("auth.jwks_file {path} cannot be read"))?;
            let set = serde_json::from_str(&text)
                .with_context(|| format!("auth.jwks_file {path} is no JSON"))?;
            Ok(Verifier::jwks(&set, rules).with_context(|| format!("auth.jwks_file {path}"))?)
        }
    }
}

fn allowed(config: &Config) -> anyhow::Result<Vec<ipnet::IpNet>> {
    config
        .egress
        .allow
        .iter()
        .map(|text| {
            text.parse()
                .with_context(|| format!("egress.allow: {text} is no network"))
        })
        .collect()
}

fn public_url(config: &Config, addresses: &[SocketAddr]) -> String {
    if !config.server.public_base_url.is_empty() {
        return config
            .server
            .public_base_url
            .trim_end_matches('/')
            .to_owned();
    }
    match addresses.first().or_else(|| config.server.listen.first()) {
        Some(address) if address.ip().is_unspecified() => {
            format!("http://127.0.0.1:{}", address.port())
        }
        Some(address) => format!("http://{address}"),
        None => String::new(),
    }
}

/// Makes the data folder, readable by its owner only.
pub(crate) fn create_private(dir: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("the data folder {} cannot be made", dir.display()))
}
