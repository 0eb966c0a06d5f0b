//! The gauges of what is stored: looked at now and then, since nothing passes by when nothing moves.
//!
//! A loop of the hub. It also folds what histograms have gathered, which otherwise grows until somebody
//! scrapes.

use std::{path::PathBuf, time::Duration};

use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use wharf_domain::kernel::Position;
use wharf_projections::{overview, timers};

use super::{Observer, meter::Consumers};
use crate::{
    admin::{COUNTED, LATE},
    boot::App,
    disk,
};

/// How often.
pub const SAMPLED_EVERY: Duration = Duration::from_secs(5);

/// Samples `app` until its hub stops.
pub fn start_sampling(app: &App, metrics: PrometheusHandle, observer: &Observer) {
    let sampler = Sampler {
        api: app.api.clone(),
        dir: app.config.data.dir.clone(),
        consumers: observer.consumers.clone(),
    };
    let stop = app.hub.supervisor().stop_token();
    app.hub.supervisor().spawn("sample", async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok::<_, std::convert::Infallible>(()),
                () = sampler.sample() => metrics.run_upkeep(),
            }
            let next = sampler.api.clock.now().saturating_add(SAMPLED_EVERY);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // The end of time cannot be passed.
                () = sampler.api.clock.sleep_until(next.unwrap_or_default()) => {}
            }
        }
    });
}

struct Sampler {
    api: wharf_api::ApiState,
    dir: PathBuf,
    consumers: Consumers,
}

impl Sampler {
    /// What cannot be read now keeps its last value; whoever needs it says so elsewhere.
    async fn sample(&self) {
        if let Ok(tail) = self.api.log.tail().await {
            self.positions(tail);
        }
        for (consumer, commits) in self.consumers.backlogs().await {
            gauge!("wharf_consumer_backlog", "consumer" => consumer).set(commits as f64);
        }
        self.counts().await;
        let dir = self.dir.clone();
        let machine = tokio::task::spawn_blocking(move || {
            (disk::space(&dir).ok(), Process::read().unwrap_or_default())
        });
        if let Ok((disk, process)) = machine.await {
            if let Some(disk) = disk {
                gauge!("wharf_disk_free_bytes").set(disk.free_bytes as f64);
            }
            gauge!("process_resident_memory_bytes").set(process.resident_bytes as f64);
            gauge!("process_open_fds").set(process.open_fds as f64);
        }
    }

    fn positions(&self, tail: Position) {
        let behind = |at: Position| tail.0.saturating_sub(at.0) as f64;
        let views = self.api.views.position();
        gauge!("wharf_log_position").set(tail.0 as f64);
        gauge!("wharf_views_position").set(views.0 as f64);
        gauge!("wharf_views_lag").set(behind(views));
    }

    async fn counts(&self) {
        let db = self.api.views.db();
        if let Ok(counts) = overview::counts(&db).await {
            gauge!("wharf_views_parked").set(counts.parked as f64);
            gauge!("wharf_integrations_active").set(counts.integrations_active as f64);
            gauge!("wharf_webhooks_active").set(counts.webhooks_active as f64);
        }
        let late = self.api.clock.now().saturating_sub(LATE);
        if let Ok(overdue) = timers::overdue(&db, late.unwrap_or_default(), COUNTED).await {
            gauge!("wharf_timers_overdue").set(overdue as f64);
        }
    }
}

/// What Linux says of this process; zeros elsewhere.
#[derive(Debug, Default)]
struct Process {
    resident_bytes: u64,
    open_fds: usize,
}

impl Process {
    fn read() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let resident_kib: u64 = status
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmRSS:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or_default();
        Ok(Self {
            resident_bytes: resident_kib * 1024,
            open_fds: std::fs::read_dir("/proc/self/fd")?.count(),
        })
    }
}
