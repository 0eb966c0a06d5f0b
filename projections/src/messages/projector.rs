//! Owner of the table `message`. The first message of an id is kept, copies are dropped.

use wharf_domain::webhooks::{Accepted, MessageEvent};

use super::Row;
use crate::{Error, bulk::Bulk, db::Conn, decode::Origin};

static WRITE: Bulk = Bulk::new(
    "insert into message (id, project, topic, time, bytes, only_webhook, position, idx) ",
    8,
    " on conflict (id, project) do nothing",
);

/// Collects the messages of a batch.
#[derive(Default)]
pub(crate) struct Projector {
    rows: Vec<Row>,
}

impl Projector {
    pub(crate) fn fold(&mut self, at: &Origin, index: u32, event: MessageEvent) {
        let MessageEvent::Accepted(Accepted {
            message_id,
            topic,
            time,
            sealed: _,
            bytes,
            only,
        }) = event;
        self.rows.push(Row {
            message_id,
            project: at.project.clone(),
            topic,
            time,
            bytes,
            only,
            position: at.position,
            index,
        });
    }

    pub(crate) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        WRITE
            .execute(to, &self.rows, |row, to| {
                to.uuid(row.message_id.0);
                to.text(row.project.as_str());
                to.text(&row.topic);
                to.time(row.time);
                to.int(i64::from(row.bytes));
                to.opt_uuid(row.only.map(|id| id.0));
                to.count(row.position.0);
                to.int(i64::from(row.index));
            })
            .await?;
        Ok(())
    }

    pub(crate) fn committed(&mut self) {
        self.rows.clear();
    }
}
