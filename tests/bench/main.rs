//! `just bench`: measures and prints one table, a row a figure, each row ending in `ok` or `short`. Every
//! comparison is a ratio within this run. It reports; no test waits on a clock.
//!
//! `just bench NAME…` measures only these: append, jetstream, dispatch, replay, import, idle.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that fails, fails the run"
)]

mod append;
mod dispatch;
mod idle;
mod import;
mod jetstream;
mod parts;
mod replay;
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
        "jetstream" => jetstream::run();
        "dispatch" => dispatch::run();
        "replay" => replay::run();
        "import" => import::run();
        "idle" => idle::run();
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "nothing was measured: append, jetstream, dispatch, replay, import, idle"
    );
    Ok(())
}
