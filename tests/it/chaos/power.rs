//! Power cuts: the disk of a hub, or of everything, stops at a random instant under load, and what was not
//! synced is gone. kill -9 leaves that to the kernel, so no other fault tells synced from unsynced.
//!
//! The disk is an ext4 file system in a file, shut down without flushing; its own cache is not modelled. It
//! takes root: where there is none, these tests are skipped, and say so.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::{
    client::Client,
    disk::Disk,
    nats::{Nats, Sync},
    process::{Home, Wharf},
    storage::Storage,
};

use super::{Dice, blocking, check, files, load::Load, shaky::Shaky};

/// How often.
const CUTS: u64 = 6;
/// MiB of a disk; what nobody writes takes no room.
const DISK_MIB: u64 = 2048;

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    let name = "a_power_cut_takes_what_was_not_synced_and_nothing_else";
    let Some(disk) = Disk::or_skip(name, 64) else {
        return;
    };
    let write = |name: &str, synced: bool| {
        let mut file = std::fs::File::create(disk.path().join(name)).unwrap();
        file.write_all(name.as_bytes()).unwrap();
        if synced {
            file.sync_all().unwrap();
        }
    };
    let read = |name: &str| std::fs::read(disk.path().join(name)).unwrap_or_default();
    write("synced", true);
    write("unsynced", false);
    assert_eq!(read("unsynced"), b"unsynced");
    disk.cut(&[], || {});
    assert_eq!(read("synced"), b"synced");
    assert_ne!(read("unsynced"), b"unsynced");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_no_accepted_write_of_an_embedded_hub_is_lost_by_a_power_cut() {
    let name = "inv11_no_accepted_write_of_an_embedded_hub_is_lost_by_a_power_cut";
    let Some(disk) = Disk::or_skip(name, DISK_MIB) else {
        return;
    };
    let home = Home::in_folder(&disk.path(), Storage::default());
    survive(
        home,
        Plant {
            disk: Some(disk),
            servers: vec![],
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_no_accepted_write_is_lost_when_hub_and_three_nats_servers_lose_their_power() {
    let name = "inv11_no_accepted_write_is_lost_when_hub_and_three_nats_servers_lose_their_power";
    let Some(disk) = Disk::or_skip(name, DISK_MIB) else {
        return;
    };
    let place = disk.path();
    let servers = cluster(Some(place.clone())).await;
    let home = Home::in_folder(&place, Storage::on_servers(&servers));
    survive(
        home,
        Plant {
            disk: Some(disk),
            servers,
        },
    )
    .await;
}

/// Without a disk of its own: whatever the processes had written is there again.
#[tokio::test(flavor = "multi_thread")]
async fn inv11_no_accepted_write_is_lost_when_hub_and_three_nats_servers_are_killed_at_once() {
    let servers = cluster(None).await;
    let home = Home::on(Storage::on_servers(&servers));
    survive(
        home,
        Plant {
            disk: None,
            servers,
        },
    )
    .await;
}

async fn cluster(place: Option<std::path::PathBuf>) -> Vec<Nats> {
    blocking(move || Vec::from(Nats::cluster_in(Sync::Always, place.as_deref()))).await
}

/// All that loses its power together.
struct Plant {
    disk: Option<Disk>,
    servers: Vec<Nats>,
}

impl Plant {
    /// Ends everything at once, and starts it again.
    fn fail(&mut self, wharf: Wharf) -> Wharf {
        let home = wharf.home.clone();
        let mut processes: Vec<_> = self.servers.iter().filter_map(Nats::pid).collect();
        processes.push(wharf.pid());
        let servers = &mut self.servers;
        let kill = || {
            wharf.kill();
            servers.iter_mut().for_each(Nats::kill);
        };
        match &self.disk {
            Some(disk) => disk.cut(&processes, kill),
            None => kill(),
        }
        // Each waits for the others.
        std::thread::scope(|scope| {
            for server in &mut self.servers {
                scope.spawn(|| server.run());
            }
        });
        home.serve()
    }
}

/// Load, one failure after the other at random instants, and then every check.
async fn survive(home: Home, mut plant: Plant) {
    let mut dice = Dice::new();
    let began = Instant::now();
    let receiver = Shaky::start(Dice(dice.between(0, u64::MAX))).await;
    let export = files::export(1_000_000, 7);
    let mut wharf = blocking({
        let home = home.clone();
        move || home.serve()
    })
    .await;
    let admin = |wharf: &Wharf| -> Client { wharf.client("p", Role::Admin) };
    let webhook = json!({
        "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
        "retry_config": { "max_retries": 20, "retry_delay": 1 },
    });
    let client = admin(&wharf);
    client.post("/api/v1/webhooks", &webhook).await.ok();
    let load = Load::prepare(&client, export.clone().into()).await;
    load.up(vec![client], false);

    let cuts = async {
        for cut in 1..=CUTS {
            let lives = Duration::from_millis(dice.between(5, 1500));
            // This is the experiment itself: the instant is what is random.
            tokio::time::sleep(lives).await;
            (wharf, plant) = blocking(move || {
                let wharf = plant.fail(wharf);
                (wharf, plant)
            })
            .await;
            load.down();
            // Views are not synced, and what they lost is read from the log again: until then the hub says
            // that it is not ready, and no balancer asks it.
            check::ready(&admin(&wharf)).await;
            load.up(vec![admin(&wharf)], cut == CUTS);
            eprintln!("cut {cut}/{CUTS} after {} s", began.elapsed().as_secs());
        }
        (wharf, plant)
    };
    let ((wharf, plant), ()) = tokio::join!(cuts, load.run());
    check::everything(vec![wharf], &receiver, &load, &export).await;
    eprintln!(
        "{CUTS} cuts and all checks took {} s",
        began.elapsed().as_secs()
    );
    drop(plant);
}
