//! Two nodes on three NATS servers and a PostgreSQL, under load, and one fault after the other.
//!
//! After each fault both nodes have to become ready and take writes again, by themselves; at the end `check` asks
//! for everything that was accepted.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use futures::TryStreamExt as _;
use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::{
    client::Client,
    nats::{Nats, Sync},
    postgres::Server,
    process::{Home, Wharf},
    storage::Storage,
    wire::{Mode, Wire},
};

use super::{
    Dice, blocking, check,
    deck::{Deck, Fault},
    files,
    load::Load,
    shaky::Shaky,
};

/// How many, unless `WHARF_CHAOS_FAULTS` says so: each kind once.
const FAULTS: u64 = Deck::KINDS as u64;
/// How long the hub may take to be itself again after a fault.
const RECOVERY: Duration = Duration::from_secs(60);

/// Everything that can fail.
struct Plant {
    servers: Vec<Nats>,
    database: Server,
    /// Of each node, one to each server.
    wires: [Vec<Wire>; 2],
    nodes: Vec<Wharf>,
}

impl Plant {
    async fn start() -> Self {
        let (servers, database) = blocking(|| {
            let servers = Vec::from(Nats::cluster(Sync::Always));
            (servers, Server::start(&[]))
        })
        .await;
        let mut wires = [vec![], vec![]];
        for wires in &mut wires {
            for server in &servers {
                wires.push(Wire::to(server.address()).await);
            }
        }
        let home = Home::on(Storage::served(&servers, database.url("postgres")));
        let first = serve(home.clone(), &wires[0]).await;
        let second = serve(another(&home), &wires[1]).await;
        Self {
            servers,
            database,
            wires,
            nodes: vec![first, second],
        }
    }

    fn clients(&self) -> Vec<Client> {
        let client = |node: &Wharf| node.client("p", Role::Admin);
        self.nodes.iter().map(client).collect()
    }

    async fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::KillNode(node) => {
                let killed = self.nodes.remove(node);
                let home = killed.home.clone();
                blocking(move || killed.kill()).await;
                let started = serve(home, &self.wires[node]).await;
                self.nodes.insert(node, started);
            }
            Fault::PauseNode(node, lasting) => pause(self.nodes[node].pid(), lasting).await,
            Fault::PauseServer(server, lasting) => {
                pause(self.servers[server].pid().expect("it runs"), lasting).await;
            }
            Fault::KillServer(server, lasting) => {
                let mut killed = self.servers.remove(server);
                let killed = blocking(move || {
                    killed.kill();
                    std::thread::sleep(lasting);
                    killed.run();
                    killed
                });
                let started = killed.await;
                self.servers.insert(server, started);
            }
            Fault::KillServers => {
                let mut servers = std::mem::take(&mut self.servers);
                self.servers = blocking(move || {
                    servers.iter_mut().for_each(Nats::kill);
                    // Each waits for the others.
                    std::thread::scope(|scope| {
                        for server in &mut servers {
                            scope.spawn(|| server.run());
                        }
                    });
                    servers
                })
                .await;
            }
            Fault::CrashDatabase => {
                let server = self.database.pid();
                blocking(move || signal(backend(server), "KILL")).await;
            }
            Fault::Wire(node, mode, lasting) => {
                let set = |mode| self.wires[node].iter().for_each(|wire| wire.set(mode));
                set(mode);
                tokio::time::sleep(lasting).await;
                set(Mode::Whole);
            }
        }
    }

    /// Waits until every node says that its views are caught up with the log.
    async fn recover(&self, from: Fault) {
        for (n, client) in self.clients().iter().enumerate() {
            let ready = tokio::time::timeout(RECOVERY, check::ready(client)).await;
            assert!(ready.is_ok(), "node {n} is not ready after {from:?}");
        }
    }
}

/// Waits until the consumers that the nodes share have handed out everything, and all of it was acknowledged.
async fn nothing_left(servers: &[Nats]) {
    let urls: Vec<_> = servers.iter().map(Nats::url).collect();
    let client = async_nats::connect(urls).await.expect("they answer");
    let context = jetstream::new(client);
    let waiting = async {
        // A cluster that has just lost a server may take a while to answer.
        while !left(&context).await.is_ok_and(|left| left.is_empty()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(RECOVERY, waiting).await.is_err() {
        panic!("stuck consumers: {:?}", left(&context).await);
    }
}

/// How much each consumer still has to hand out or to be acknowledged, if anything.
async fn left(context: &jetstream::Context) -> Result<BTreeMap<String, u64>, async_nats::Error> {
    let mut left = BTreeMap::new();
    let names: Vec<String> = context.stream_names().try_collect().await?;
    if names.is_empty() {
        return Err("there is no stream".into());
    }
    for name in names {
        let stream = context.get_stream(name).await?;
        let consumers: Vec<_> = stream.consumers().try_collect().await?;
        left.extend(consumers.into_iter().filter_map(|consumer| {
            let waiting = consumer.num_pending + consumer.num_ack_pending as u64;
            (waiting > 0).then_some((consumer.name, waiting))
        }));
    }
    Ok(left)
}

/// Starts a node that reaches the NATS servers by `wires`.
async fn serve(home: Home, wires: &[Wire]) -> Wharf {
    let urls: Vec<_> = wires.iter().map(Wire::url).collect();
    blocking(move || {
        let urls = urls.join(",");
        home.serve_with(&BTreeMap::from([("WHARF_LOG__NATS_URL", &*urls)]))
    })
    .await
}

/// A folder for another node, with the uploads on a volume that they share: whichever node works on an import
/// has to find its file.
fn another(home: &Home) -> Home {
    let other = home.another_node();
    let uploads = |home: &Home| home.data().join("uploads");
    std::os::unix::fs::symlink(uploads(home), uploads(&other)).expect("a link");
    other
}

/// SIGSTOP, and SIGCONT after a while.
async fn pause(process: u32, lasting: Duration) {
    blocking(move || signal(process, "STOP")).await;
    tokio::time::sleep(lasting).await;
    blocking(move || signal(process, "CONT")).await;
}

fn signal(process: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(process.to_string());
    assert!(kill.status().expect("kill runs").success());
}

/// A process that serves a connection of the PostgreSQL with this process id, else any other of its own.
fn backend(server: u32) -> u32 {
    let children = format!("/proc/{server}/task/{server}/children");
    let children = std::fs::read_to_string(children).expect("it runs");
    let children: Vec<u32> = children
        .split_whitespace()
        .map(|child| child.parse().expect("a process id"))
        .collect();
    let serves = |child: &&u32| {
        let name = std::fs::read_to_string(format!("/proc/{child}/cmdline"));
        name.is_ok_and(|name| name.contains("[local]"))
    };
    *children.iter().find(serves).unwrap_or(&children[0])
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gate has less time than a night"
)]
fn faults() -> u64 {
    match std::env::var("WHARF_CHAOS_FAULTS") {
        Ok(text) => text.parse().expect("WHARF_CHAOS_FAULTS is a number"),
        Err(_) => FAULTS,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes and more, with nothing beside it: run `just chaos`"]
async fn inv11_no_accepted_write_is_lost_or_doubled_by_faults_of_any_part() {
    let mut dice = Dice::new();
    let faults = faults();
    let receiver = Shaky::start(Dice(dice.between(0, u64::MAX))).await;
    let export = files::export(400_000, 7);
    let mut plant = Plant::start().await;
    let clients = plant.clients();
    let webhook = json!({
        "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
        "retry_config": { "max_retries": 20, "retry_delay": 1 },
    });
    clients[0].post("/api/v1/webhooks", &webhook).await.ok();
    let load = Load::prepare(&clients[0], export.clone().into()).await;
    load.up(clients, false);

    let began = Instant::now();
    let suffering = async {
        let mut deck = Deck::default();
        for n in 1..=faults {
            // This is the experiment itself: the instant is what is random.
            tokio::time::sleep(Duration::from_millis(dice.between(5, 400))).await;
            let fault = deck.draw(&mut dice);
            let struck = Instant::now();
            plant.suffer(fault).await;
            let mended = Instant::now();
            plant.recover(fault).await;
            eprintln!(
                "{n}/{faults} {fault:?}: mended after {:?}, all well {:?} later",
                mended - struck,
                mended.elapsed()
            );
            load.up(plant.clients(), n == faults);
            if n < faults {
                let goes_on = tokio::time::timeout(RECOVERY, load.goes_on()).await;
                assert!(goes_on.is_ok(), "nothing is accepted after {fault:?}");
            }
        }
        plant
    };
    let (mut plant, ()) = tokio::join!(suffering, load.run());
    eprintln!("{faults} faults took {} s", began.elapsed().as_secs());
    nothing_left(&plant.servers).await;
    // A node that saw none of it has to read the same.
    let fresh = another(&plant.nodes[0].home);
    let fresh = blocking(move || fresh.serve()).await;
    let mut nodes = std::mem::take(&mut plant.nodes);
    nodes.push(fresh);
    check::everything(nodes, &receiver, &load, &export).await;
    eprintln!("with all checks {} s", began.elapsed().as_secs());
}
