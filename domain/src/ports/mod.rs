//! Ports: what the domain and its runtime need of the world, and nothing about who provides it.

mod answers;
mod clock;
mod connector;
mod dispatch;
mod http;
mod lease;
mod log;
mod snapshots;
mod spool;
mod vault;

pub use answers::{Answer, Answers};
pub use clock::{Clock, Ids};
pub use connector::{
    Connector, ConnectorError, Connectors, Import, ImportError, ImportPage, ImportProgress,
    ImportSource, Pull, PulledPage, ReadSeek, SkipReason,
};
pub use dispatch::{Context, Dispatch, DispatchError, Receipt};
pub use http::{Http, HttpError, HttpRequest, HttpResponse, TrustClass};
pub use lease::{Lease, LeaseError, Leases};
pub use log::{
    Append, Committed, Consumer, ConsumerSpec, Durability, EventLog, LogError, READ_BYTES, Refusal,
    StartAt,
};
pub use snapshots::{NoSnapshots, Snapshot, Snapshots};
pub use spool::{Spool, SpoolError, Upload};
pub use vault::{DataKey, Scope, SecretRef, Vault, VaultError};
