//! Operations: what the hub tells a collector, the files that it is deployed with, copies of its log, and moving
//! all of it to other storage.

mod deploy;
mod foreign;
mod promote;
mod tls;
mod traces;
mod transfer;
