//! The connector against the platform itself, over a fake network.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use wharf_domain::{
    kernel::Secret,
    ports::{HttpError, HttpResponse},
    syncs::SyncType,
};

use super::{
    world::{Options, World},
    *,
};

const BASE: &str = "http://127.0.0.1:8080/sandbox/v1";

/// The network: nothing on it but the sandbox.
struct Network {
    world: Mutex<World>,
    sent: Mutex<Vec<HttpRequest>>,
    now: Timestamp,
}

impl Network {
    fn new(options: Options) -> Self {
        Self {
            world: Mutex::new(World::new(Options {
                burst: 100_000,
                ..options
            })),
            sent: Mutex::default(),
            now: "2026-01-05T08:00:00Z".parse().unwrap(),
        }
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> HttpResponse {
        let mut request = ::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (response, _) = self
            .world
            .lock()
            .unwrap()
            .answer(&request.body(body).unwrap(), self.now);
        HttpResponse {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: response.body().clone(),
            truncated: false,
        }
    }

    /// Does something as a person with a token.
    fn by_hand(&self, method: &str, path: &str, body: &Value) {
        let headers = [("authorization".to_owned(), "Bearer sandbox_one".to_owned())];
        let answer = self.ask(
            method,
            &format!("/sandbox/v1{path}"),
            &headers,
            body.to_string().into(),
        );
        assert!(answer.status < 300, "{:?}", answer.body);
    }

    fn fault(&self, kind: &str) {
        self.by_hand("PUT", "/faults", &json!({"kind": kind, "count": 1}));
    }
}

#[async_trait]
impl Http for Network {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.sent.lock().unwrap().push(request.clone());
        let path = request
            .url
            .strip_prefix("http://127.0.0.1:8080")
            .ok_or_else(|| HttpError::Connect("nothing there".to_owned()))?;
        Ok(self.ask(request.method, path, &request.headers, request.body))
    }

    fn check(&self, _url: &str, _trust: TrustClass) -> Result<(), HttpError> {
        Ok(())
    }
}

/// The fake network answers at once, so one poll is enough.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the fake network never waits"),
    }
}

/// A client of the connector, as the engine is one.
struct Client<'n> {
    network: &'n Network,
    configuration: Value,
    secret: Secret<Vec<u8>>,
    cursor: Option<Value>,
    /// Key → native id and data; what is deleted is gone.
    records: BTreeMap<String, (String, Value)>,
}

impl<'n> Client<'n> {
    fn new(network: &'n Network) -> Self {
        Self {
            network,
            configuration: json!({}),
            secret: Secret::new(br#"{"access_token":"sandbox_one"}"#.to_vec()),
            cursor: None,
            records: BTreeMap::new(),
        }
    }

    /// One page; answers whether it was the last.
    fn pull(&mut self, sync_type: SyncType) -> Result<bool, ConnectorError> {
        let connector = Sandbox::new(BASE.to_owned());
        let pulled = at_once(connector.pull(
            self.network,
            Pull {
                configuration: &self.configuration,
                credential: Some(&self.secret),
                sync_type,
                cursor: self.cursor.as_ref(),
                now: self.network.now,
            },
        ))?;
        for line in pulled
            .page
            .lines
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
        {
            let record: Value = serde_json::from_slice(line).unwrap();
            assert_eq!(record["model"], "sandbox_item");
            let key = record["key"].as_str().unwrap().to_owned();
            if record["deleted"] == true {
                assert_eq!(record["data"], Value::Null);
                self.records.remove(&key);
            } else {
                let id = record["native_id"].as_str().unwrap().to_owned();
                self.records.insert(key, (id, record["data"].clone()));
            }
        }
        self.cursor = Some(pulled.cursor);
        Ok(pulled.last)
    }

    fn sync(&mut self, sync_type: SyncType) -> u32 {
        let mut pages = 1;
        while !self.pull(sync_type).unwrap() {
            pages += 1;
        }
        pages
    }

    /// The items that are there, as the platform tells them.
    #[track_caller]
    fn assert_same_as_platform(&self) {
        let mut there = BTreeMap::new();
        let mut path = "/sandbox/v1/items?limit=100".to_owned();
        let headers = [("authorization".to_owned(), "Bearer sandbox_one".to_owned())];
        loop {
            let answer = self.network.ask("GET", &path, &headers, Bytes::new());
            let page: ItemsPage = serde_json::from_slice(&answer.body).unwrap();
            for item in page.items {
                let data = json!({"title": item.title, "body": item.body, "amount": item.amount, "tags": item.tags});
                there.insert(item.id, data);
            }
            match page.next_page_token {
                Some(token) => path = format!("/sandbox/v1/items?limit=100&page_token={token}"),
                None => break,
            }
        }
        let here: BTreeMap<_, _> = self.records.values().cloned().collect();
        assert_eq!(here, there);
    }
}

#[test]
fn a_first_sync_brings_every_item_and_later_ones_what_changed() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    assert_eq!(client.sync(SyncType::Full), 5);
    assert_eq!(client.records.len(), 250);
    assert_eq!(
        client.cursor,
        Some(json!({"mode": "changes", "since": 250}))
    );
    client.assert_same_as_platform();

    assert_eq!(client.sync(SyncType::Incremental), 1, "nothing changed");
    network.by_hand("POST", "/advance", &json!({"steps": 300}));
    network.by_hand("POST", "/items", &json!({"title": "mine"}));
    assert!(client.sync(SyncType::Delta) > 1);
    client.assert_same_as_platform();
    assert_eq!(client.sync(SyncType::Incremental), 1);
}

#[test]
fn what_changes_between_two_pages_is_not_missed() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    while !client.pull(SyncType::Full).unwrap() {
        network.by_hand("POST", "/advance", &json!({"steps": 20}));
    }
    client.sync(SyncType::Incremental);
    client.assert_same_as_platform();
}

#[test]
fn a_cursor_goes_on_in_the_middle_of_items_and_of_changes() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    client.pull(SyncType::Full).unwrap();
    client.pull(SyncType::Full).unwrap();
    let middle = json!({"mode": "items", "page_token": "after_100", "since": 250});
    assert_eq!(client.cursor, Some(middle));
    // A crash: another process goes on with what was recorded.
    let mut other = Client::new(&network);
    other.records = client.records;
    other.cursor = client.cursor;
    assert_eq!(other.sync(SyncType::Full), 3);
    other.assert_same_as_platform();

    network.by_hand("POST", "/advance", &json!({"steps": 200}));
    assert!(!other.pull(SyncType::Incremental).unwrap());
    let mut third = Client::new(&network);
    third.records = other.records;
    third.cursor = other.cursor;
    third.sync(SyncType::Incremental);
    third.assert_same_as_platform();
}

#[test]
fn every_fault_is_told_apart_and_the_same_page_comes_afterwards() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    client.pull(SyncType::Full).unwrap();
    let mut refused = |kind: &str| {
        network.fault(kind);
        let cursor = client.cursor.clone();
        let error = client.pull(SyncType::Full).unwrap_err();
        assert_eq!(client.cursor, cursor);
        error
    };
    assert_eq!(
        refused("server_error"),
        ConnectorError::Transient("it answered 500".to_owned())
    );
    let wait = Some(Duration::from_secs(1));
    assert_eq!(
        refused("rate_limit"),
        ConnectorError::RateLimited { retry_after: wait }
    );
    assert_eq!(refused("unauthorized"), ConnectorError::Unauthorized);
    assert!(matches!(refused("malformed"), ConnectorError::Malformed(_)));
    assert_eq!(
        refused("drop_page"),
        ConnectorError::Malformed("it announces 50 items and brings 0".to_owned())
    );
    network.fault("slow");
    assert_eq!(client.sync(SyncType::Full), 4);
    client.assert_same_as_platform();
}

#[test]
fn a_dropped_page_of_changes_is_noticed() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    client.sync(SyncType::Full);
    network.by_hand("POST", "/advance", &json!({"steps": 5}));
    network.fault("drop_page");
    assert!(matches!(
        client.pull(SyncType::Delta),
        Err(ConnectorError::Malformed(_))
    ));
    client.sync(SyncType::Delta);
    client.assert_same_as_platform();
}

#[test]
fn a_feed_that_has_forgotten_us_is_answered_by_reading_everything() {
    let network = Network::new(Options {
        tombstones_max: 2,
        ..Options::default()
    });
    let mut client = Client::new(&network);
    client.sync(SyncType::Full);
    for n in 1..=4 {
        network.by_hand("DELETE", &format!("/items/itm_{n:06}"), &Value::Null);
    }
    assert_eq!(client.sync(SyncType::Incremental), 5);
    assert_eq!(
        client.cursor,
        Some(json!({"mode": "changes", "since": 254}))
    );
}

#[test]
fn requests_carry_the_secret_the_seed_and_the_page_size_to_the_right_place() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    client.configuration = json!({"page_size": 10, "seed": 7});
    client.pull(SyncType::Full).unwrap();
    client.pull(SyncType::Full).unwrap();
    let sent = network.sent.lock().unwrap();
    let request = sent.last().unwrap();
    assert_eq!(request.method, "GET");
    assert_eq!(
        request.url,
        format!("{BASE}/items?limit=10&page_token=after_10")
    );
    assert_eq!(request.trust, TrustClass::Hub);
    let header = |name: &str| {
        request
            .headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(header("authorization"), Some("Bearer sandbox_one"));
    assert_eq!(header("x-sandbox-seed"), Some("7"));
}

#[test]
fn an_address_of_a_caller_is_never_trusted_as_ours() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    client.configuration = json!({"base_url": "http://127.0.0.1:8080/sandbox/v1/"});
    client.pull(SyncType::Full).unwrap();
    let sent = network.sent.lock().unwrap();
    assert_eq!(sent[0].trust, TrustClass::Caller);
    assert_eq!(sent[0].url, format!("{BASE}/items?limit=50"));
}

#[test]
fn a_missing_secret_and_a_foreign_cursor_are_said_without_a_request() {
    let network = Network::new(Options::default());
    let mut client = Client::new(&network);
    client.cursor = Some(json!({"mode": "nonsense"}));
    assert!(matches!(
        client.pull(SyncType::Full),
        Err(ConnectorError::Permanent(_))
    ));
    client.cursor = None;
    client.secret = Secret::new(b"{}".to_vec());
    assert_eq!(
        client.pull(SyncType::Full),
        Err(ConnectorError::Unauthorized)
    );
    client.secret = Secret::new(br#"{"access_token":"other"}"#.to_vec());
    assert!(network.sent.lock().unwrap().is_empty());
    assert_eq!(
        client.pull(SyncType::Full),
        Err(ConnectorError::Unauthorized)
    );
}

#[test]
fn a_record_says_what_when_and_which_version() {
    let network = Network::new(Options {
        items: 0,
        ..Options::default()
    });
    network.by_hand(
        "POST",
        "/items",
        &json!({"title": "A", "body": "b", "amount": 1.5, "tags": ["x"]}),
    );
    network.by_hand("PATCH", "/items/itm_000001", &json!({"amount": 2}));
    let connector = Sandbox::new(BASE.to_owned());
    let client = Client::new(&network);
    let pulled = at_once(connector.pull(
        &network,
        Pull {
            configuration: &client.configuration,
            credential: Some(&client.secret),
            sync_type: SyncType::Full,
            cursor: None,
            now: network.now,
        },
    ))
    .unwrap();
    assert!(pulled.last);
    let record: Value = serde_json::from_slice(&pulled.page.lines).unwrap();
    assert_eq!(
        record["data"],
        json!({"title": "A", "body": "b", "amount": 2.0, "tags": ["x"]})
    );
    assert_eq!(record["native_id"], "itm_000001");
    assert_eq!(record["native_version"], "2");
    assert_eq!(record["start_us"], network.now.as_microsecond());
    assert_eq!(record["civil_date"], "2026-01-05");
    assert_eq!(record["source"]["app"], "sandbox");
}
