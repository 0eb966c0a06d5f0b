//! What webhooks do: the aggregate, what follows an attempt, the shape of what is signed.

mod process;
mod signature;
mod webhook;
