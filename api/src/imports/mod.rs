//! Imports: a platform's export file, uploaded in one go or in pieces, then imported by a run.
//!
//! The pieces follow the IETF draft "Resumable Uploads for HTTP": a POST that says `Upload-Complete: ?0`
//! begins, `HEAD` tells how far it came, `PATCH` goes on from there, `Upload-Complete: ?1` ends it. What
//! arrived before a connection broke is kept.

pub(crate) mod handlers;
mod receive;
#[cfg(test)]
mod tests;
mod upload;
