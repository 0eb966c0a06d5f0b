//! kill -9 at 200 random instants, in one data folder, under load.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::process::Home;

use super::{Dice, blocking, check, files, load::Load, shaky::Shaky};

/// How often.
const KILLS: u64 = 200;
/// Every so many kills, the next start is killed as well before it is through.
const STARTS: u64 = 8;
/// Every so many kills, the hub lives for a while before: long enough to save its checkpoints.
const LIVES: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn inv11_no_accepted_write_is_lost_by_kill_9_at_two_hundred_instants() {
    let mut dice = Dice::new();
    let began = Instant::now();
    let home = Home::default();
    let receiver = Shaky::start(Dice(dice.between(0, u64::MAX))).await;
    let export = files::export(2_000_000, 7);

    let mut wharf = blocking({
        let home = home.clone();
        move || home.serve()
    })
    .await;
    let client = wharf.client("p", Role::Admin);
    let webhook = json!({
        "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
        "retry_config": { "max_retries": 20, "retry_delay": 1 },
    });
    client.post("/api/v1/webhooks", &webhook).await.ok();
    let load = Load::prepare(&client, export.clone().into()).await;
    load.up(vec![client], false);

    let kills = async {
        for kill in 1..=KILLS {
            let most = if kill % LIVES == 0 { 2000 } else { 400 };
            let lives = Duration::from_millis(dice.between(5, most));
            // This is the experiment itself: the instant is what is random.
            tokio::time::sleep(lives).await;
            blocking(move || wharf.kill()).await;
            load.down();
            if kill % STARTS == 0 {
                let after = Duration::from_millis(dice.between(0, 200));
                let home = home.clone();
                blocking(move || killed_while_starting(&home, after)).await;
            }
            let home = home.clone();
            wharf = blocking(move || home.serve()).await;
            load.up(vec![wharf.client("p", Role::Admin)], kill == KILLS);
            if kill % 20 == 0 {
                eprintln!("kill {kill}/{KILLS} after {} s", began.elapsed().as_secs());
            }
        }
        wharf
    };
    let (wharf, ()) = tokio::join!(kills, load.run());
    check::everything(vec![wharf], &receiver, &load, &export).await;
    eprintln!(
        "{KILLS} kills and all checks took {} s",
        began.elapsed().as_secs()
    );
}

fn killed_while_starting(home: &Home, after: Duration) {
    let mut starting = home
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("wharf starts");
    std::thread::sleep(after);
    starting.kill().expect("it runs");
    starting.wait().expect("it ends");
}
