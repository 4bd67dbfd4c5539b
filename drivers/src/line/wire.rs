//! The connected wire and its receive buffer.
//!
//! ```text
//! buffer   | shown: reply as it came .......... | received, not judged yet | free |
//!          0        reply.start..reply.end      taken                     len    RECEIVE_MAX
//! ```

use crate::transport::Stream;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that a line keeps: several of the longest frames.
pub const RECEIVE_MAX: usize = 2048;

/// What an attempt to receive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// Bytes.
    Bytes,
    /// The deadline came first.
    Deadline,
    /// There is no room for more.
    Full,
    /// The other side closed the connection.
    Closed,
}

pub(super) struct Wire {
    stream: Stream,
    buffer: Box<[u8; RECEIVE_MAX]>,
    len: usize,
    /// Bytes in front that belong to the reply taken last.
    taken: usize,
    reply: Range<usize>,
    alarm: Alarm,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Box::new([0; RECEIVE_MAX]),
            len: 0,
            taken: 0,
            reply: 0..0,
            alarm: Alarm::default(),
        }
    }

    /// The bytes that are not judged yet.
    pub(super) fn received(&self) -> &[u8] {
        self.buffer.get(self.taken..self.len).unwrap_or_default()
    }

    /// All that is worth showing: the last reply, or what came in place of one.
    pub(super) fn shown(&self) -> &[u8] {
        if self.taken > 0 { self.reply() } else { self.received() }
    }

    pub(super) fn reply(&self) -> &[u8] {
        self.buffer.get(self.reply.clone()).unwrap_or_default()
    }

    /// Bytes that came behind the reply.
    pub(super) fn more(&self) -> usize {
        self.len.saturating_sub(self.taken)
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= RECEIVE_MAX
    }

    /// Marks a reply; it stays readable until [`Self::forget_reply`] or [`Self::clear`].
    pub(super) fn take_reply(&mut self, start: usize, len: usize) {
        let start = self.taken.saturating_add(start);
        self.reply = start..start.saturating_add(len).min(self.len);
        self.taken = self.reply.end;
    }

    /// Drops the reply taken last, so that what came behind it is in front.
    pub(super) fn forget_reply(&mut self) {
        self.discard(0);
    }

    /// Drops the reply taken last and `bytes` more.
    pub(super) fn discard(&mut self, bytes: usize) {
        let from = self.taken.saturating_add(bytes).min(self.len);
        if from > 0 {
            self.buffer.copy_within(from..self.len, 0);
            self.len -= from;
        }
        self.taken = 0;
        self.reply = 0..0;
    }

    /// Drops everything received.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.taken = 0;
        self.reply = 0..0;
    }

    /// Writes all bytes; false when the deadline came first.
    pub(super) async fn write_all(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<bool> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let Self { stream, alarm, .. } = self;
            let step = poll_fn(|cx| match stream.poll_write(cx, rest) {
                Poll::Ready(result) => Poll::Ready(result.map(Some)),
                Poll::Pending => alarm.poll(cx, deadline).map(|()| Ok(None)),
            });
            match step.await? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(bytes) => written += bytes,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Waits for bytes until the deadline.
    pub(super) async fn fill(&mut self, deadline: Instant) -> io::Result<Filled> {
        poll_fn(|cx| match self.poll_fill(cx) {
            Poll::Ready(filled) => Poll::Ready(filled),
            Poll::Pending => self.alarm.poll(cx, deadline).map(|()| Ok(Filled::Deadline)),
        })
        .await
    }

    /// Takes what is there, without waiting. On a socket that the reactor knows to be idle this is
    /// no system call.
    pub(super) async fn fill_ready(&mut self) -> Option<io::Result<Filled>> {
        poll_fn(|cx| {
            Poll::Ready(match self.poll_fill(cx) {
                Poll::Ready(filled) => Some(filled),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        let free = self.buffer.get_mut(self.len..).unwrap_or_default();
        if free.is_empty() {
            return Poll::Ready(Ok(Filled::Full));
        }
        let mut buf = ReadBuf::new(free);
        ready!(self.stream.poll_read(cx, &mut buf))?;
        let bytes = buf.filled().len();
        self.len += bytes;
        Poll::Ready(Ok(if bytes == 0 { Filled::Closed } else { Filled::Bytes }))
    }
}

/// A timer that is set for every exchange and hardly ever fires. It stays registered at an earlier
/// deadline and is moved only when that one passes, so that a line of many fast exchanges touches
/// the timer wheel once per timeout and not once per request.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
