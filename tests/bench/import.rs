//! Importing a generated Apple Health export through the command line, beside `healthkit-to-sqlite`
//! (`PyPI`) on the same file. Ours ends when the records are in the views and can be queried.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use wharf_adapters::health::apple_health::generate::write_export;
use wharf_domain::access::Role;
use wharf_tests::process::{Home, memory_kib, workspace};

use crate::table::Row;

const MIB: u64 = 1024 * 1024;

/// Measures.
///
/// # Errors
/// The export cannot be written, or the peer is not installed.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let small = export(dir.path(), 200 * MIB)?;
    let (seconds, peak) = ours(&small).await?;
    let peer = healthkit_to_sqlite(&small)?;
    let large = export(dir.path(), 1024 * MIB)?;
    let (large_seconds, large_peak) = ours(&large).await?;
    let how = format!("{seconds:.1} s to {peer:.1} s");
    Ok(vec![
        Row::at_most(
            "import of a 200 MiB export: peak memory",
            peak,
            150.0,
            "MiB",
            "",
        ),
        Row::at_most(
            "import of a 1 GiB export: peak memory",
            large_peak,
            150.0,
            "MiB",
            &format!("{large_seconds:.1} s"),
        ),
        Row::at_least(
            "import of 200 MiB beside healthkit-to-sqlite",
            peer / seconds,
            20.0,
            how,
        ),
    ])
}

fn export(dir: &Path, bytes: u64) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("export-{bytes}.xml"));
    let mut file = BufWriter::new(File::create(&path)?);
    write_export(&mut file, bytes, 7)?;
    file.flush()?;
    repair(&path)?;
    Ok(path)
}

/// Closes the declaration that exports of iOS 16 and later leave open: the peer's XML parser stops there.
fn repair(path: &Path) -> anyhow::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut head = [0; 1024];
    file.read_exact_at(&mut head, 0)?;
    let open = b"#REQUIRED\n]>";
    let at = head.windows(open.len()).position(|window| window == open);
    let at = at.context("the export has no open declaration any more: drop this repair")?;
    file.write_all_at(b"#REQUIRED>]>", at as u64)?;
    Ok(())
}

/// Seconds from the command to records that can be queried, and the peak memory of the whole process
/// in MiB.
async fn ours(file: &Path) -> anyhow::Result<(f64, f64)> {
    let home = Home::default();
    let _ = home.run(&["keygen"]);
    let begin = Instant::now();
    let mut child = home
        .command(&["import", "apple_health", "--json"])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = child.id();
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(memory_kib(pid, "VmHWM"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let id = said["integration_id"]
        .as_str()
        .context("the import says where the records are")?;
    // Not part of the time: the records are there.
    let wharf = home.serve();
    let client = wharf.client("default", Role::Viewer);
    let records = client
        .get(&format!("/api/v1/integrations/{id}/records?size=1"))
        .await
        .ok();
    anyhow::ensure!(
        records["records"]
            .as_array()
            .is_some_and(|records| records.len() == 1)
    );
    Ok((seconds, peak as f64 / 1024.0))
}

fn healthkit_to_sqlite(file: &Path) -> anyhow::Result<f64> {
    let peer = workspace().join("tests/.peers/bin/healthkit-to-sqlite");
    anyhow::ensure!(
        peer.exists(),
        "healthkit-to-sqlite is missing: run sh tests/peers.sh bench"
    );
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let begin = Instant::now();
    let status = Command::new(peer)
        .arg("--xml")
        .arg(file)
        .arg(dir.path().join("peer.db"))
        .stdout(Stdio::null())
        .status()?;
    anyhow::ensure!(status.success(), "healthkit-to-sqlite failed");
    Ok(begin.elapsed().as_secs_f64())
}
