//! One question at a time to one controller, and the judgement of what comes back.
//!
//! The protocol has no authentication and no number that ties an answer to its question. So, before a
//! question is sent, what lies in the socket is thrown away; an answer counts only when it comes from
//! the controller's own address, bears its serial number and code, and echoes the index or card where
//! it can. Everything else is refused and counted. What a stranger could forge beyond that is an answer
//! at the very moment from the very address; nothing in this program opens a door because of an answer.

use super::{BadReply, Reply, Request, read};
use crate::door::Refused;
use crate::transport::Datagrams;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing that counts came in time.
    Timeout,
    /// The socket failed.
    Io(io::Error),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout => f.write_str("the controller does not answer"),
            Self::Io(error) => write!(f, "the controller cannot be reached: {error}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

/// How often a question that may be repeated is sent.
const TRIES: u32 = 3;

/// Late answers that are waited for; what comes beyond is not late any more.
const OPEN_MAX: u64 = 8;

/// The way to one controller.
#[derive(Debug)]
pub struct Client {
    serial: u32,
    wire: Datagrams,
    timeout: Duration,
    /// What was refused so far.
    pub refused: Refused,
    /// Answers that came after their time: the network or the controller is slow.
    pub late: u64,
    /// Questions of which no answer has come yet.
    open: u64,
    /// Requests that were sent so far, repetitions included.
    pub sent: u64,
}

impl Client {
    /// A client of the controller of a serial number. `timeout` is for one try.
    #[must_use]
    pub fn new(serial: u32, wire: Datagrams, timeout: Duration) -> Self {
        Self { serial, wire, timeout, refused: Refused::default(), late: 0, open: 0, sent: 0 }
    }

    /// Asks, and gives the answer. A question is repeated when nothing comes; an order to open is not:
    /// the first may have been carried out.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask(&mut self, request: &Request) -> Result<Reply, NoAnswer> {
        let tries = if matches!(request, Request::Open(_)) { 1 } else { TRIES };
        for _ in 0..tries {
            self.drain();
            self.wire.send(&request.encode(self.serial)).await.map_err(NoAnswer::Io)?;
            self.sent = self.sent.saturating_add(1);
            if let Some(reply) = self.await_reply(request).await? {
                return Ok(reply);
            }
            self.open = self.open.saturating_add(1).min(OPEN_MAX);
        }
        Err(NoAnswer::Timeout)
    }

    /// What came before the question was asked cannot be its answer.
    fn drain(&mut self) {
        let mut buffer = [0; 128];
        while let Some((_, whose)) = self.wire.try_receive(&mut buffer) {
            if whose == self.wire.far() {
                self.came_again();
            } else {
                self.refused.strangers = self.refused.strangers.saturating_add(1);
            }
        }
    }

    /// An answer to something else: the late one of a question that timed out, or a recorded one.
    fn came_again(&mut self) {
        if self.open > 0 {
            self.open = self.open.saturating_sub(1);
            self.late = self.late.saturating_add(1);
        } else {
            self.refused.replayed = self.refused.replayed.saturating_add(1);
        }
    }

    async fn await_reply(&mut self, request: &Request) -> Result<Option<Reply>, NoAnswer> {
        let until = Instant::now() + self.timeout;
        let mut buffer = [0; 128];
        loop {
            let received = tokio::time::timeout_at(until, self.wire.receive(&mut buffer)).await;
            let Ok(received) = received else { return Ok(None) };
            let (n, whose) = match received {
                Ok(received) => received,
                // A port that is closed comes back as an error of the socket: nobody is there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(NoAnswer::Io(error)),
            };
            if whose != self.wire.far() {
                self.refused.strangers = self.refused.strangers.saturating_add(1);
                continue;
            }
            match read(request, self.serial, buffer.get(..n).unwrap_or_default()) {
                Ok(reply) => return Ok(Some(reply)),
                Err(BadReply::Stale) => self.came_again(),
                Err(
                    BadReply::Length(_)
                    | BadReply::Start(_)
                    | BadReply::Serial(_)
                    | BadReply::Code(_)
                    | BadReply::Field(_),
                ) => self.refused.forged = self.refused.forged.saturating_add(1),
            }
        }
    }
}
