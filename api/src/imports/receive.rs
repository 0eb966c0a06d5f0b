//! Receiving: a body of any size into the spool, in bounded memory.

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use wharf_domain::kernel::UploadId;

use crate::{
    problem::{Code, Error},
    state::App,
};

/// Bytes written to the spool at once, if so many are there.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Appends `body` to the upload from `offset` on, leaving out its first `skip` bytes. Answers the new
/// offset. What arrived is in the spool before more is read.
///
/// # Errors
/// `F40000` if the body breaks off or sends nothing for too long; those of the spool.
pub(super) async fn receive(
    app: &App,
    id: UploadId,
    offset: u64,
    skip: u64,
    body: Body,
) -> Result<u64, Error> {
    let mut chunks = body.into_data_stream();
    let mut offset = offset;
    let mut skip = usize::try_from(skip).unwrap_or(usize::MAX);
    loop {
        let (mut block, broken) = block(app, &mut chunks).await;
        let skipped = skip.min(block.len());
        skip -= skipped;
        let bytes = block.split_off(skipped);
        if !bytes.is_empty() {
            offset = app.api.spool.append(id, offset, bytes).await?;
        } else if block.is_empty() && broken.is_none() {
            return Ok(offset);
        }
        if let Some(error) = broken {
            return Err(error);
        }
    }
}

/// What is there by now, at least one chunk unless the body is over; and why no more will come.
async fn block(app: &App, chunks: &mut BodyDataStream) -> (Bytes, Option<Error>) {
    let deadline = app.later(app.api.options.upload_idle);
    let first = tokio::select! {
        first = chunks.next() => first,
        () = app.api.clock.sleep_until(deadline) => {
            let idle = Error::new(Code::Malformed).detail("the upload sent nothing for too long");
            return (Bytes::new(), Some(idle));
        }
    };
    let mut block = match first {
        None => return (Bytes::new(), None),
        Some(Ok(chunk)) => chunk,
        Some(Err(error)) => return (Bytes::new(), Some(cut(error))),
    };
    let mut more = BytesMut::new();
    while block.len() + more.len() < BLOCK_BYTES {
        match chunks.next().now_or_never().flatten() {
            Some(Ok(chunk)) => {
                if more.is_empty() {
                    more.reserve(BLOCK_BYTES - block.len().min(BLOCK_BYTES));
                }
                more.extend_from_slice(&chunk);
            }
            Some(Err(error)) => return (join(block, more), Some(cut(error))),
            None => break,
        }
    }
    block = join(block, more);
    (block, None)
}

fn join(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() {
        return first;
    }
    let mut all = BytesMut::from(first);
    all.unsplit(more);
    all.freeze()
}

fn cut(error: axum::Error) -> Error {
    Error::new(Code::Malformed)
        .detail("the upload broke off; what arrived is kept, go on from its Upload-Offset")
        .because(error)
}
