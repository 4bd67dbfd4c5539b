//! The wire. A [`Line`] owns it: nobody else reads or writes a byte of it.
//!
//! One exchange is: connect where there is no connection; wait out a quarantine; drain what lies in
//! the receive buffer; keep the silence; write the request; read until the codec's judge is content.
//!
//! # Invariants
//! 1. The line is marked unsettled *before* the first byte of a request is written, and settled only
//!    after a whole good exchange. A fault or a dropped future therefore leaves it unsettled.
//! 2. RTU framing has no identifier that ties a reply to its request. So an unsettled RTU line sends
//!    nothing until it was silent for `late_reply_max` (and 3.5 characters, and on a slow wire for one
//!    reply timeout more than was waited), counted from the last byte in either direction. This outlives a reconnect: a serial device server may keep a reply.
//!    A device that has shown how fast it answers, and was given up before the configured time, leaves the
//!    line settled for others: its late answer bears an address that nobody asks then ([`answers`],
//!    `held`, ADR 0022).
//! 3. MBAP replies carry the transaction's id: stale ones are skipped. The connection is dropped
//!    when it may be out of step: a request cut off, half a reply at the timeout, a wrong frame.
//! 4. What may grow is bounded: bytes received ([`RECEIVE_MAX`]), the quarantine
//!    (`quarantine_max`), the pause between attempts to connect.

pub mod answers;
mod held;
mod settings;
mod wire;

pub use answers::AnswerTimes;
pub use settings::{Framing, LineSettings};
pub use wire::RECEIVE_MAX;

use crate::address::Address;
use crate::hex::Hex;
use crate::modbus::frame::NOISE_MAX;
use crate::profile::SerialDefaults;
use crate::stream::Extent;
use crate::transport::{Connect, Target};
use blockgate_types::{FaultClass, ReadFault};
use held::Held;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use wire::{Filled, Wire};

/// What a codec says about the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The reply is not complete.
    More,
    /// The first bytes are not part of the reply: an echo, a stale transaction.
    Skip(usize),
    /// The reply, whole and right.
    Reply {
        /// Where it begins: noise may stand before it.
        start: usize,
        /// Its bytes.
        len: usize,
    },
    /// What came is damaged, or answers another question.
    Wrong(FaultClass, String),
}

/// The last exchange of a line, for the page's "test read" and the log.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The bytes sent.
    pub request: &'a [u8],
    /// The bytes received, as they came: the reply, or what there was of it.
    pub reply: &'a [u8],
    /// From the request's last byte handed to the system to the reply's last byte taken from it.
    pub round_trip: Duration,
}

/// A line: one wire, one master, one request at a time.
///
/// Every method may be cancelled by dropping its future; the next exchange settles the line first.
pub struct Line {
    settings: LineSettings,
    connect: Arc<dyn Connect>,
    wire: Option<Wire>,
    /// The request being sent, or the last one sent.
    pub(crate) request: Vec<u8>,
    /// MBAP transaction id of the last request.
    transaction: u16,
    unsettled: bool,
    writing: bool,
    /// Last byte in either direction; `None` before the first connection.
    last_byte: Option<Instant>,
    timeouts_in_a_row: u32,
    retry_at: Option<Instant>,
    backoff: Duration,
    round_trip: Duration,
    /// How long the last request's reply was waited for.
    waited: Duration,
    /// The last request held a password: none of its bytes is logged or kept.
    secret: bool,
    /// Every exchange is kept here while somebody wants to see them.
    trace: Option<Vec<RawExchange>>,
    /// Whom the requests go to, and how long it takes to answer; unknown where nobody says.
    paced: Option<(Address, AnswerTimes)>,
    held: Held,
    /// When the answer began that is being received.
    begun: Option<Instant>,
}

/// A line lent for requests to one device, so that what it shows is learned and it is not waited for
/// longer than need be. Ends when it is dropped.
pub(crate) struct Paced<'a> {
    pub(crate) line: &'a mut Line,
    times: &'a mut AnswerTimes,
}

impl Drop for Paced<'_> {
    fn drop(&mut self) {
        if let Some((_, learned)) = self.line.paced.take() {
            *self.times = learned;
        }
    }
}

/// The bytes of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawExchange {
    /// Sent.
    pub request: Vec<u8>,
    /// Received, good or bad; empty when nothing came.
    pub reply: Vec<u8>,
    /// From the last byte sent to the last byte received.
    pub round_trip: Duration,
}

/// After so many timeouts in a row an MBAP connection is suspected to be half open.
const TIMEOUTS_BEFORE_RECONNECT: u32 = 3;

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("target", &self.settings.target)
            .field("connected", &self.wire.is_some())
            .field("unsettled", &self.unsettled)
            .finish_non_exhaustive()
    }
}

impl Line {
    /// A line that will connect when it is first used.
    #[must_use]
    pub fn new(settings: LineSettings, connect: Arc<dyn Connect>) -> Self {
        Self {
            unsettled: settings.quarantine_at_open,
            backoff: settings.backoff_min,
            settings,
            connect,
            wire: None,
            request: Vec::with_capacity(64),
            transaction: 0,
            writing: false,
            last_byte: None,
            timeouts_in_a_row: 0,
            retry_at: None,
            round_trip: Duration::ZERO,
            waited: Duration::ZERO,
            secret: false,
            trace: None,
            paced: None,
            held: Held::default(),
            begun: None,
        }
    }

    /// Lends the line for requests to one device.
    pub(crate) fn paced<'a>(&'a mut self, to: Address, times: &'a mut AnswerTimes) -> Paced<'a> {
        self.paced = Some((to, *times));
        Paced { line: self, times }
    }

    /// Keeps every exchange from now on.
    pub(crate) fn keep_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Whether exchanges are kept.
    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Ends [`Self::keep_trace`] and gives what it kept.
    pub(crate) fn take_trace(&mut self) -> Vec<RawExchange> {
        self.trace.take().unwrap_or_default()
    }

    /// Notes what came to the last request kept.
    fn note_reply(&mut self, reply: &[u8]) {
        if let Some(exchange) = self.trace.as_mut().and_then(|trace| trace.last_mut()) {
            exchange.reply = reply.to_vec();
            exchange.round_trip = self.round_trip;
        }
    }

    /// How the line is set.
    #[must_use]
    pub fn settings(&self) -> &LineSettings {
        &self.settings
    }

    /// Whether there is a connection. It may be dead without anyone knowing yet.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.wire.is_some()
    }

    /// Whether the next exchange must wait out a quarantine first.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// The last request and what came back, good or bad.
    #[must_use]
    pub fn last_exchange(&self) -> Exchange<'_> {
        let reply = self.wire.as_ref().map(Wire::shown).unwrap_or_default();
        Exchange { request: &self.request, reply, round_trip: self.round_trip }
    }

    /// Closes the connection; the next exchange opens it again at once.
    pub fn close(&mut self) {
        self.wire = None;
        self.retry_at = None;
    }

    /// The way to its far end, for somebody who uses the wire in its place for a while.
    #[must_use]
    pub fn connector(&self) -> Arc<dyn Connect> {
        self.connect.clone()
    }

    /// Somebody else used the wire: an answer to them may still come, so the next exchange waits it out.
    pub fn unsettle(&mut self) {
        self.unsettled = true;
    }

    /// A fresh MBAP transaction id.
    pub(crate) fn next_transaction(&mut self) -> u16 {
        self.transaction = self.transaction.wrapping_add(1);
        self.transaction
    }

    /// Connects and waits out a quarantine now, so that the next exchange need not.
    ///
    /// # Errors
    /// Class timeout: there is no connection, or the line never falls silent.
    pub async fn settle(&mut self) -> Result<(), ReadFault> {
        self.connected().await?;
        match self.settings.framing {
            Framing::Rtu => {
                self.quarantine().await?;
                self.wait_for_held().await
            }
            Framing::Tcp => Ok(()),
        }
    }

    /// As [`Self::send`], for a request with a password in it. An adaptor may echo it, so that what comes
    /// back is not shown either.
    pub(crate) async fn send_secret(&mut self) -> Result<(), ReadFault> {
        self.secret = true;
        self.send_request().await
    }

    /// Sends [`Self::request`] after whatever must come before it.
    pub(crate) async fn send(&mut self) -> Result<(), ReadFault> {
        self.secret = false;
        self.send_request().await
    }

    async fn send_request(&mut self) -> Result<(), ReadFault> {
        self.settle().await?;
        self.drain().await?;
        self.keep_silence().await;
        if let Some((device, _)) = &self.paced {
            self.held.release(*device);
        }
        self.unsettled = true;
        self.writing = true;
        let started = Instant::now();
        let deadline = started + self.settings.reply_timeout;
        let Some(wire) = self.wire.as_mut() else { return Err(self.not_connected()) };
        match wire.write_all(&self.request, deadline).await {
            Ok(true) => {}
            Ok(false) => return Err(self.broken("the line takes no bytes")),
            Err(error) => return Err(self.broken(&error.to_string())),
        }
        self.writing = false;
        let seen = self.trace.as_mut().filter(|trace| trace.len() < TRACE_MAX && !self.secret);
        if let Some(trace) = seen {
            let (request, reply) = (self.request.clone(), Vec::new());
            trace.push(RawExchange { request, reply, round_trip: Duration::ZERO });
        }
        // RTU counts silences from here; for MBAP one look at the clock is enough.
        self.last_byte = Some(match self.settings.framing {
            Framing::Rtu => Instant::now(),
            Framing::Tcp => started,
        });
        tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "> {}", Hex(self.shown_request()));
        Ok(())
    }

    /// Reads until `judge` is content with what came, and lends the reply.
    ///
    /// `expected` is the length of the right reply; it only lengthens the deadline by the time these
    /// bytes need on a serial wire.
    pub(crate) async fn receive(
        &mut self,
        expected: usize,
        judge: impl Fn(&[u8]) -> Verdict,
    ) -> Result<&[u8], ReadFault> {
        self.receive_at(self.request.len() + expected, None, judge).await
    }

    /// As [`Self::receive`]: `bytes` go over the wire, request and reply together. A line over TCP
    /// does not know the speed of the wire behind it: there `speed` stands for it.
    pub(crate) async fn receive_at(
        &mut self,
        bytes: usize,
        speed: Option<SerialDefaults>,
        judge: impl Fn(&[u8]) -> Verdict,
    ) -> Result<&[u8], ReadFault> {
        self.unsettled = true;
        let sent = self.last_byte.unwrap_or_else(Instant::now);
        let on_wire = |bytes| match (&self.settings.target, speed) {
            (Target::Tcp { .. }, Some(speed)) => speed.characters(bytes),
            _ => self.settings.characters(bytes),
        };
        let gone = sent + on_wire(self.request.len());
        let waited = self.settings.reply_timeout + on_wire(bytes);
        let begin_by = self.shorter_wait().map(|wait| gone + wait);
        self.waited = waited;
        let deadline = sent + waited;
        self.begun = None;
        if let Some(wire) = self.wire.as_mut() {
            wire.forget_reply();
        }
        loop {
            let Some(wire) = self.wire.as_mut() else { return Err(self.not_connected()) };
            let late = match self.settings.framing {
                Framing::Rtu => self.held.late(wire.received()),
                Framing::Tcp => Extent::No,
            };
            let verdict = match late {
                Extent::Whole(bytes) => {
                    tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "< a late answer: {}", Hex(wire.received()));
                    Verdict::Skip(bytes)
                }
                Extent::Open => Verdict::More,
                Extent::No => judge(wire.received()),
            };
            match verdict {
                Verdict::Reply { start, len } => {
                    wire.take_reply(start, len);
                    return self.settled(sent, gone);
                }
                Verdict::Skip(bytes) => {
                    wire.discard(bytes);
                    self.begun = None;
                    continue;
                }
                Verdict::Wrong(class, what) => return Err(self.wrong(sent, class, what)),
                Verdict::More => {}
            }
            // Where nothing has come yet the answer must begin in time; one that has begun gets the rest.
            let early = begin_by.filter(|by| wire.received().is_empty() && *by < deadline);
            match wire.fill(early.unwrap_or(deadline)).await {
                Ok(Filled::Bytes) => {
                    self.last_byte = Some(Instant::now());
                    self.begun = self.begun.or(self.last_byte);
                }
                Ok(Filled::Deadline) if early.is_some() => return Err(self.given_up(sent)),
                Ok(Filled::Deadline) => return Err(self.timed_out(sent)),
                Ok(Filled::Full) => {
                    let what = "the line never stops talking".to_owned();
                    return Err(self.wrong(sent, FaultClass::Checksum, what));
                }
                Ok(Filled::Closed) => return Err(self.broken("closed by the other side")),
                Err(error) => return Err(self.broken(&error.to_string())),
            }
        }
    }

    /// A good reply has been taken: the line is settled, unless an RTU line went on talking.
    fn settled(&mut self, sent: Instant, gone: Instant) -> Result<&[u8], ReadFault> {
        self.round_trip = self.last_byte.unwrap_or(sent).saturating_duration_since(sent);
        self.timeouts_in_a_row = 0;
        if let (Some((_, times)), Some(begun)) = (&mut self.paced, self.begun) {
            times.answered(begun.saturating_duration_since(gone));
        }
        if self.trace.is_some() {
            let shown = self.shown_bytes();
            self.note_reply(&shown);
        }
        let Some(wire) = self.wire.as_ref() else { return Ok(&[]) };
        self.unsettled = match self.settings.framing {
            Framing::Rtu => wire.more() > NOISE_MAX,
            Framing::Tcp => false,
        };
        tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "< {}", Hex(if self.secret { &[] } else { wire.shown() }));
        Ok(wire.reply())
    }

    fn wrong(&mut self, sent: Instant, class: FaultClass, what: String) -> ReadFault {
        self.round_trip = Instant::now().saturating_duration_since(sent);
        self.timeouts_in_a_row = 0;
        let raw = self.shown_bytes();
        self.note_reply(&raw);
        tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "< {} ({what})", Hex(&raw));
        if self.settings.framing == Framing::Tcp {
            self.wire = None;
        }
        ReadFault { class, what, raw }
    }

    /// How long the answer's beginning is waited for, where that is less than what is configured. What
    /// stands behind a Modbus TCP gateway keeps it: the gateway goes on waiting for a dead device, and
    /// would make the next one late.
    fn shorter_wait(&self) -> Option<Duration> {
        if self.settings.framing == Framing::Tcp {
            return None;
        }
        self.paced.as_ref().and_then(|(_, times)| times.wait(self.settings.reply_timeout))
    }

    /// A device that has shown how fast it is has not begun to answer: the line is free for others, and
    /// the device is held for as long as an answer may still come.
    fn given_up(&mut self, sent: Instant) -> ReadFault {
        let wait = self.shorter_wait().unwrap_or_default().as_millis();
        let mut longest = 0;
        if let Some((_, times)) = &mut self.paced {
            longest = times.longest().unwrap_or_default().as_millis();
            times.given_up();
        }
        self.hold(sent);
        self.round_trip = Instant::now().saturating_duration_since(sent);
        self.note_reply(&[]);
        let what = format!("no answer within {wait} ms; its longest lately took {longest} ms");
        tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "< ({what})");
        ReadFault { class: FaultClass::Timeout, what, raw: Vec::new() }
    }

    /// The line is settled for others than the device that was asked.
    fn hold(&mut self, sent: Instant) {
        let late = self.settings.late_reply_max.max(self.waited + self.settings.reply_timeout);
        let device = self.paced.as_ref().map(|(device, _)| *device);
        self.unsettled = !device.is_some_and(|device| self.held.hold(device, sent + late));
    }

    fn timed_out(&mut self, sent: Instant) -> ReadFault {
        let is_silent = self.wire.as_ref().is_some_and(|wire| wire.received().is_empty());
        if let Some((_, times)) = &mut self.paced {
            times.missed();
            // It was given up early when it was asked before, and does not answer with all the time
            // there is either: it died, and that costs the others no quarantine.
            let was_fast = times.take_doubt();
            if was_fast && is_silent && self.settings.framing == Framing::Rtu {
                self.hold(sent);
            }
        }
        self.round_trip = Instant::now().saturating_duration_since(sent);
        self.timeouts_in_a_row = self.timeouts_in_a_row.saturating_add(1);
        let raw = self.shown_bytes();
        self.note_reply(&raw);
        let ms = self.settings.reply_timeout.as_millis();
        let (class, what) = if raw.is_empty() {
            (FaultClass::Timeout, format!("no answer within {ms} ms"))
        } else {
            let what = format!("{} bytes and no undamaged reply within {ms} ms", raw.len());
            (FaultClass::Checksum, what)
        };
        tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "< {} ({what})", Hex(&raw));
        let half_open = self.timeouts_in_a_row >= TIMEOUTS_BEFORE_RECONNECT || !raw.is_empty();
        if self.settings.framing == Framing::Tcp && half_open {
            self.wire = None;
            self.timeouts_in_a_row = 0;
        }
        ReadFault { class, what, raw }
    }

    /// The request for the log; none of one that holds a password.
    fn shown_request(&self) -> &[u8] {
        if self.secret { &[] } else { &self.request }
    }

    fn shown_bytes(&self) -> Vec<u8> {
        if self.secret {
            return Vec::new();
        }
        self.wire.as_ref().map(|wire| wire.shown().to_vec()).unwrap_or_default()
    }

    /// The connection broke: a fault now, a new connection with the next exchange.
    fn broken(&mut self, why: &str) -> ReadFault {
        let raw = self.shown_bytes();
        self.note_reply(&raw);
        self.wire = None;
        let what = format!("the connection to {} broke: {why}", self.settings.target);
        tracing::trace!(target: "blockgate::wire", line = %self.settings.target, "{what}");
        ReadFault { class: FaultClass::Timeout, what, raw }
    }

    fn not_connected(&self) -> ReadFault {
        let what = format!("not connected to {}", self.settings.target);
        ReadFault { class: FaultClass::Timeout, what, raw: Vec::new() }
    }

    /// Opens the connection where there is none. Between failed attempts it says so at once instead
    /// of making the caller wait.
    async fn connected(&mut self) -> Result<(), ReadFault> {
        if self.writing && self.settings.framing == Framing::Tcp {
            // A request was cut off: the stream is out of step.
            self.wire = None;
        }
        self.writing = false;
        if self.wire.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        if let Some(retry_at) = self.retry_at.filter(|at| *at > now) {
            let mut fault = self.not_connected();
            let wait = retry_at.saturating_duration_since(now).as_millis();
            fault.what = format!("{}; next attempt in {wait} ms", fault.what);
            return Err(fault);
        }
        // Before the await: a dropped future counts as a failed attempt.
        self.retry_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(self.settings.backoff_max);
        let attempt = self.connect.connect(&self.settings.target);
        let why = match timeout(self.settings.connect_timeout, attempt).await {
            Ok(Ok(stream)) => {
                self.wire = Some(Wire::new(stream));
                self.retry_at = None;
                self.backoff = self.settings.backoff_min;
                self.timeouts_in_a_row = 0;
                self.last_byte = Some(self.last_byte.unwrap_or_else(Instant::now));
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                format!("no connection within {} ms", self.settings.connect_timeout.as_millis())
            }
        };
        let mut fault = self.not_connected();
        fault.what = format!("cannot connect to {}: {why}", self.settings.target);
        Err(fault)
    }

    /// Waits until an unsettled RTU line was silent for long enough (invariant 2).
    async fn quarantine(&mut self) -> Result<(), ReadFault> {
        if !self.unsettled {
            return Ok(());
        }
        // On a slow wire the wait itself is longer than the bound of late replies: an answer may
        // still begin after it.
        let after_wait = self.waited + self.settings.reply_timeout;
        let late = self.settings.late_reply_max;
        let late = if late > self.settings.reply_timeout { late.max(after_wait) } else { late };
        let silence = late.max(self.settings.gap);
        let limit = Instant::now() + self.settings.quarantine_max.max(silence);
        loop {
            let since = *self.last_byte.get_or_insert_with(Instant::now);
            let Some(wire) = self.wire.as_mut() else { return Err(self.not_connected()) };
            wire.clear();
            match wire.fill((since + silence).min(limit)).await {
                Ok(Filled::Bytes | Filled::Full) => self.last_byte = Some(Instant::now()),
                Ok(Filled::Deadline) if Instant::now() >= since + silence => {
                    self.unsettled = false;
                    return Ok(());
                }
                Ok(Filled::Deadline) => {
                    return Err(self.broken("it does not fall silent: two masters, or noise"));
                }
                Ok(Filled::Closed) => return Err(self.broken("closed by the other side")),
                Err(error) => return Err(self.broken(&error.to_string())),
            }
        }
    }

    /// Waits until no answer of a held device can come any more that could be taken for one of whoever is
    /// asked now.
    async fn wait_for_held(&mut self) -> Result<(), ReadFault> {
        let asked = self.paced.as_ref().map(|(device, _)| *device);
        let Some(until) = self.held.until(asked) else { return Ok(()) };
        let Some(wire) = self.wire.as_mut() else { return Err(self.not_connected()) };
        wire.clear();
        match wire.fill(until).await {
            Ok(Filled::Deadline) => Ok(()),
            Ok(Filled::Bytes | Filled::Full) => {
                // It was only late; what else there is of it is waited out.
                self.last_byte = Some(Instant::now());
                self.unsettled = true;
                self.quarantine().await
            }
            Ok(Filled::Closed) => Err(self.broken("closed by the other side")),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }

    /// Takes what lies in the receive buffer, without waiting: RTU drops it, MBAP keeps it for the
    /// judge. It also finds a connection that the other side closed meanwhile, and opens it again.
    async fn drain(&mut self) -> Result<(), ReadFault> {
        let mut unasked = 0;
        for _ in 0..DRAIN_READS_MAX {
            let Some(wire) = self.wire.as_mut() else { return Err(self.not_connected()) };
            match wire.fill_ready().await {
                None => {
                    if self.settings.framing == Framing::Rtu {
                        wire.clear();
                    }
                    return Ok(());
                }
                Some(Ok(Filled::Bytes | Filled::Full)) => {
                    self.last_byte = Some(Instant::now());
                    if self.settings.framing == Framing::Rtu {
                        if !self.held.is_known(wire.received()) {
                            unasked += wire.received().len();
                        }
                        wire.clear();
                        if unasked > NOISE_MAX {
                            // Somebody talks who was not asked.
                            self.unsettled = true;
                            self.quarantine().await?;
                        }
                    } else if wire.is_full() {
                        return Err(self.broken("it sends without being asked"));
                    }
                }
                Some(Ok(Filled::Closed | Filled::Deadline) | Err(_)) => {
                    self.wire = None;
                    self.settle().await?;
                }
            }
        }
        Err(self.broken("it does not fall silent: two masters, or noise"))
    }

    /// Keeps the silence that must stand before a request.
    async fn keep_silence(&mut self) {
        if self.settings.gap.is_zero() {
            return;
        }
        if let Some(last) = self.last_byte {
            let until = last + self.settings.gap;
            if until > Instant::now() {
                sleep_until(until).await;
            }
        }
    }
}

/// Exchanges that a trace keeps.
const TRACE_MAX: usize = 64;

/// Reads by which one drain may go on.
const DRAIN_READS_MAX: u32 = 8;

#[cfg(test)]
mod tests;
