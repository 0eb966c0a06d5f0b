//! TLS to the servers of the log and of the views: a certificate of an authority that was named is taken, any other
//! is not.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use wharf_domain::access::Role;
use wharf_tests::{
    certificates::Certificates,
    nats::{Nats, free_port},
    postgres::Server,
    process::{Home, Wharf},
};

/// A hub with these settings writes, and shows what it wrote.
async fn works(wharf: Wharf) {
    let client = wharf.client("p", Role::Admin);
    let path = "/api/v1/webhooks/events/task.created";
    let position = client.post(path, &json!({})).await.position();
    let list = format!("/api/v1/integrations?after={position}");
    client.until(&list, |list| list["total"] == 0).await;
    let stopped = tokio::task::spawn_blocking(move || wharf.stop());
    assert_eq!(stopped.await.unwrap(), 0);
}

async fn serve(home: &Home, settings: &BTreeMap<&'static str, String>) -> Wharf {
    let (home, settings) = (home.clone(), settings.clone());
    let serving = tokio::task::spawn_blocking(move || {
        let settings: BTreeMap<_, _> = settings.iter().map(|(k, v)| (*k, &**v)).collect();
        home.serve_with(&settings)
    });
    serving.await.unwrap()
}

/// A hub with these settings does not start.
fn refused(home: &Home, settings: &BTreeMap<&'static str, String>) -> String {
    let refused = home.command(&["serve"]).envs(settings).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    String::from_utf8(refused.stderr).unwrap()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_on_servers_whose_certificate_is_signed_by_the_named_authority() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let nats = Nats::with_tls(&ours.certificate(), &ours.key());
    let home = Home::files();
    let mut settings = BTreeMap::from([
        ("WHARF_LOG__NATS_URL", format!("tls://{}", nats.address())),
        ("WHARF_LOG__NATS_CA", text(&ours.authority())),
    ]);
    works(serve(&home, &settings).await).await;
    settings.insert("WHARF_LOG__NATS_CA", text(&theirs.authority()));
    let errors = refused(&home, &settings);
    assert!(errors.contains("certificate"), "{errors}");
    settings.remove("WHARF_LOG__NATS_CA");
    let errors = refused(&home, &settings);
    assert!(errors.contains("certificate"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn views_and_vault_are_on_a_server_whose_certificate_is_verified() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let port = free_port();
    let (server, at_socket) = tokio::task::spawn_blocking(move || {
        let server = Server::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
        let at_socket = server.url("postgres");
        (server, format!("{at_socket}&port={port}"))
    })
    .await
    .unwrap();
    // The server reads its key only if nobody else can.
    let folder = at_socket.split("host=").nth(1).unwrap();
    let folder = Path::new(folder.split('&').next().unwrap());
    let owner = fs::metadata(folder).unwrap();
    for (from, name) in [(ours.certificate(), "tls.pem"), (ours.key(), "tls.key")] {
        let to = folder.join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let mut admin = PgConnection::connect(&at_socket).await.unwrap();
    for set in [
        format!(
            "alter system set ssl_cert_file = '{}'",
            text(&folder.join("tls.pem"))
        ),
        format!(
            "alter system set ssl_key_file = '{}'",
            text(&folder.join("tls.key"))
        ),
        "alter system set ssl = on".to_owned(),
        "select pg_reload_conf()".to_owned(),
    ] {
        sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&mut admin)
            .await
            .unwrap();
    }
    let url = |authority: &Path| {
        let (host, root) = (format!("127.0.0.1:{port}"), text(authority));
        format!("postgres://postgres@{host}/postgres?sslmode=verify-full&sslrootcert={root}")
    };
    // It reloads in its own time.
    while PgConnection::connect(&url(&ours.authority()))
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    let home = Home::files();
    let mut settings = BTreeMap::from([("WHARF_DATABASE__URL", url(&ours.authority()))]);
    let wharf = serve(&home, &settings).await;
    let (plain,): (i64,) = sqlx::query_as(
        "select count(*) from pg_stat_activity join pg_stat_ssl using (pid)
         where application_name like 'wharf%' and not ssl",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(plain, 0, "every connection of the hub is encrypted");
    works(wharf).await;
    settings.insert("WHARF_DATABASE__URL", url(&theirs.authority()));
    let errors = refused(&home, &settings);
    assert!(errors.contains("certificate"), "{errors}");
    drop(server);
}
