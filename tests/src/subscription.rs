//! A subscriber by server-sent events.

use reqwest::Method;
use serde_json::Value;

use crate::client::Client;

/// A subscription to `/api/v1/events/stream`.
#[derive(Debug)]
pub struct Subscription {
    response: reqwest::Response,
    buffer: String,
}

impl Subscription {
    /// Subscribes; `query` begins with `?` or is empty.
    pub async fn open(client: &Client, query: &str, last_event_id: Option<&str>) -> Self {
        let path = format!("/api/v1/events/stream{query}");
        let mut request = client.request(Method::GET, &path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let buffer = String::new();
        Self { response, buffer }
    }

    /// The next event; none at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((message, rest)) = self.buffer.split_once("\n\n") {
                let message = message.to_owned();
                self.buffer = rest.to_owned();
                let field = |name: &str| {
                    message
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::trim)
                };
                // A comment keeps the connection and says nothing.
                let Some(data) = field("data:") else { continue };
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(
                    field("id:"),
                    event["id"].as_str(),
                    "the id is the event's own"
                );
                return Some(event);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next `n` events.
    pub async fn take(&mut self, n: usize) -> Vec<Value> {
        let mut events = vec![];
        while events.len() < n {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }
}
