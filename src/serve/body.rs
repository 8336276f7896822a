use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::Method,
};
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc::Receiver;

use super::desk::Desk;

/// Pieces that another thread makes, and then nothing as a sign that these were all. Without that sign the body breaks off, so
/// that nobody takes a part for the whole.
pub(super) struct Pieces(pub(super) Receiver<Option<Bytes>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| match piece {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => None,
            None => Some(Err(io::ErrorKind::BrokenPipe.into())),
        })
    }
}

/// One request, for the log.
pub(super) struct Seen {
    pub(super) desk: Arc<Desk>,
    pub(super) since: Instant,
    /// Client, name of the token, method and path.
    pub(super) asked: String,
    pub(super) method: Method,
    pub(super) status: u16,
    /// Bytes that came, if it is an upload.
    pub(super) received: Option<u64>,
}

/// An answer that is counted, and logged when it has gone out or its client is gone.
pub(super) struct Counted {
    pub(super) body: Body,
    pub(super) seen: Seen,
    pub(super) sent: u64,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.sent += length;
            self.seen.desk.metrics.sent.fetch_add(length, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Seen { desk, since, asked, method, status, received } = &self.seen;
        desk.metrics.request(method, *status);
        let bytes = received.unwrap_or(self.sent);
        desk.say(&format!("{asked} {status} {bytes} {}", since.elapsed().as_millis()));
    }
}
