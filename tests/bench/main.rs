//! `just bench`: measures and prints one table, a row a figure, each row ending in `ok` or `short`. Every
//! comparison is a ratio within this run. It reports; no test waits on a clock.
//!
//! `just bench NAME…` measures only these: append, jetstream, cluster, dispatch, replay, deliver, streams, import, idle.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails, fails the run"
)]

mod append;
mod deliver;
mod dispatch;
mod idle;
mod import;
mod jetstream;
mod pace;
mod parts;
mod replay;
mod streams;
mod table;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    table::head()?;
    let mut rows = vec![];
    macro_rules! measure {
        ($($name:literal => $run:expr;)+) => {$(
            if chosen($name) {
                for row in $run.await? {
                    row.print()?;
                    rows.push(row);
                }
            }
        )+};
    }
    measure! {
        "append" => append::run();
        "jetstream" => jetstream::one();
        "cluster" => jetstream::three();
        "dispatch" => dispatch::run();
        "replay" => replay::run();
        "deliver" => deliver::run();
        "streams" => streams::run();
        "import" => import::run();
        "idle" => idle::run();
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "nothing was measured: append, jetstream, cluster, dispatch, replay, deliver, streams, import, idle"
    );
    Ok(())
}
