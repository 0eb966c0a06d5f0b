//! An idle hub: how soon it is ready, and how much memory it takes.

use std::time::Instant;

use wharf_tests::{client::Client, process::Home};

use crate::table::Row;

/// Measures.
///
/// # Errors
/// Never; a hub that does not start fails the run.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let home = Home::default();
    // Building the binary is not starting it.
    let _ = home.run(&["keygen"]);
    let begin = Instant::now();
    let wharf = home.serve();
    let client = Client::new(&wharf.url, None);
    client
        .until("/api/v1/health/ready", |answer| answer.is_object())
        .await;
    let ready = begin.elapsed().as_secs_f64();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let resident = wharf.memory_kib("VmRSS") as f64 / 1024.0;
    Ok(vec![
        Row::at_most(
            "idle wharf serve, first start: ready in",
            ready,
            1.0,
            "s",
            "",
        ),
        Row::at_most(
            "idle wharf serve: resident memory",
            resident,
            50.0,
            "MiB",
            "",
        ),
    ])
}
