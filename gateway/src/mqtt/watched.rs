//! The stream below the client library, with a memory for what went wrong on it: a TLS 1.3 server
//! judges our certificate only after our handshake is done, and its alert would otherwise reach us as
//! a text in somebody else's error.

use super::tls;
use super::trouble::Trouble;
use crate::ports::BrokerStream;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first fault of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Trouble>>>);

impl Seen {
    /// Takes it.
    pub(super) fn take(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, e: &io::Error) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get_or_insert_with(|| tls::of_io(e));
    }
}

/// A stream that remembers its first fault.
pub(super) struct Watched {
    inner: Box<dyn BrokerStream>,
    seen: Seen,
}

impl Watched {
    /// Watches a stream.
    pub(super) fn new(inner: Box<dyn BrokerStream>, seen: Seen) -> Self {
        Self { inner, seen }
    }

    fn watch<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(e)) = &poll {
            self.seen.keep(e);
        }
        poll
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.watch(poll)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(poll)
    }
}
