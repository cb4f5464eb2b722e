//! A request body that knows whether it was asked for.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The bytes of a request in one piece, of known length (so that they go with `Content-Length`: a gateway of version 1.5
/// takes a chunked body that was cut for a whole one).
///
/// The HTTP library asks for a body when it writes the request to a connection, and not while it still connects. So
/// `taken` tells a request that may have been applied from one that was never sent. Nobody asks for a body that is empty:
/// that counts as taken from the start.
pub struct TrackedBody {
    bytes: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl TrackedBody {
    /// A body, and the flag that says whether it was taken.
    pub fn new(bytes: Bytes) -> (Self, Arc<AtomicBool>) {
        let taken = Arc::new(AtomicBool::new(bytes.is_empty()));
        (Self { bytes: Some(bytes), taken: Arc::clone(&taken) }, taken)
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.store(true, Ordering::Relaxed);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
