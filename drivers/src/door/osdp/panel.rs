//! The control panel of one reader: one question at a time, with its sequence number, in the clear or in
//! a secure channel.

use super::frame::{Frame, Reader};
use super::secure::{DEFAULT_KEY, Key, Session};
use super::{command, reply};
use crate::transport::Stream;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// A reader has so long for the first byte of its answer (IEC 60839-11-5, 5.7).
const ANSWER: Duration = Duration::from_millis(200);
/// How often a message is sent again with the same number.
const TRIES: u32 = 4;
/// How often one that is busy is asked again.
const BUSY_MAX: u32 = 20;

/// Why a reader did not do what it was told.
#[derive(Debug)]
pub enum Fault {
    /// It does not answer.
    Silent,
    /// The wire failed.
    Io(io::Error),
    /// It refuses, by the standard's number: 1 check, 2 length, 3 unknown, 4 sequence, 5 needs a secure
    /// channel, 6 channel not possible, 7 biometry, 8 no such format.
    Refused(u8),
    /// It has another key than ours: it was replaced, or somebody sits on the wire.
    WrongKey,
    /// It speaks only in the clear, and a key was given.
    NoSecureChannel,
    /// A message broke the chain of MACs: changed, invented or recorded.
    Broken,
    /// An answer that has no such form.
    Strange(u8),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("the reader does not answer"),
            Self::Io(error) => write!(f, "the wire: {error}"),
            Self::Refused(why) => write!(f, "the reader refuses it: NAK {why}"),
            Self::WrongKey => f.write_str("the reader has another key than the config says"),
            Self::NoSecureChannel => f.write_str("the reader has no secure channel"),
            Self::Broken => f.write_str("a message was changed, invented or recorded"),
            Self::Strange(code) => write!(f, "an answer {code:02X} of no form that is known"),
        }
    }
}

impl std::error::Error for Fault {}

/// What a reader tells when it is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing new.
    Nothing,
    /// A card: its bits, the first one highest in the first byte.
    Card {
        /// Which reader of the device, from 0.
        reader: u8,
        /// How many bits.
        bits: u16,
        /// The bits.
        raw: Vec<u8>,
    },
    /// Keys: digits; 7F is `*` (delete), 0D is `#` (enter).
    Keys(Vec<u8>),
    /// State of the housing and the power.
    State {
        /// The housing is open.
        tamper: bool,
        /// The power is low or fails.
        power: bool,
    },
    /// Something else, by its code.
    Other(u8),
}

/// A reader's card as a number: the bits without parity of Wiegand 26 and 34, else all bits.
#[must_use]
pub fn card_number(bits: u16, raw: &[u8]) -> Option<u64> {
    let bit = |n: u16| -> Option<u64> {
        let byte = raw.get(usize::from(n / 8))?;
        Some(u64::from((byte >> (7 - n % 8)) & 1))
    };
    let (first, last) = match bits {
        26 | 34 => (1, bits - 1),
        1..=64 => (0, bits),
        _ => return None,
    };
    (first..last).try_fold(0_u64, |number, n| Some((number << 1) | bit(n)?))
}

/// The control panel of one reader.
#[derive(Debug)]
pub struct Panel {
    wire: Stream,
    address: u8,
    sequence: u8,
    reader: Reader,
    session: Option<Session>,
    /// Messages that broke the chain since the start.
    pub broken: u64,
}

impl Panel {
    /// A panel on a wire that is open; nothing is asked yet.
    #[must_use]
    pub fn new(wire: Stream, address: u8) -> Self {
        Self { wire, address, sequence: 0, reader: Reader::default(), session: None, broken: 0 }
    }

    /// Whether what is said is secured.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }

    /// Begins anew: who is there, and the secure channel where there is a key. Gives the reader's
    /// identity, twelve bytes. The default key is for installing: `install` allows it.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::WrongKey`] where the reader proves another key.
    pub async fn connect(&mut self, key: Option<&Key>, install: bool) -> Result<Vec<u8>, Fault> {
        (self.sequence, self.session) = (0, None);
        let id = self.ask(command::ID, &[0]).await?;
        if id.code != reply::PDID {
            return Err(Fault::Strange(id.code));
        }
        let Some(key) = key else { return Ok(id.data) };
        if *key == DEFAULT_KEY && !install {
            return Err(Fault::WrongKey);
        }
        self.secure(key, random()?).await?;
        Ok(id.data)
    }

    /// The four steps of the secure channel.
    async fn secure(&mut self, key: &Key, rnd_a: [u8; 8]) -> Result<(), Fault> {
        let which = u8::from(*key != DEFAULT_KEY);
        let asked = self.exchange(command::CHLNG, &rnd_a, Some((0x11, vec![which]))).await;
        let proof = match asked {
            Ok(proof) => proof,
            Err(Fault::Refused(_)) => return Err(Fault::NoSecureChannel),
            Err(fault) => return Err(fault),
        };
        let rnd_b = proof.data.get(8..16).and_then(|part| <[u8; 8]>::try_from(part).ok());
        let cryptogram = proof.data.get(16..32);
        let (Some(rnd_b), Some(cryptogram)) = (rnd_b, cryptogram) else {
            return Err(Fault::Strange(proof.code));
        };
        let mut session = Session::new(key, rnd_a, rnd_b);
        if cryptogram != session.client_cryptogram() {
            return Err(Fault::WrongKey);
        }
        let ours = session.server_cryptogram();
        let asked = self.exchange(command::SCRYPT, &ours, Some((0x13, vec![which]))).await;
        let first = match asked {
            Ok(first) => first,
            Err(Fault::Refused(_)) => return Err(Fault::WrongKey),
            Err(fault) => return Err(fault),
        };
        let accepted = first.block.as_ref().is_some_and(|(_, rest)| rest.first() == Some(&1));
        if first.code != reply::RMAC_I || !accepted || first.data != session.first_mac() {
            return Err(Fault::WrongKey);
        }
        session.begin();
        self.session = Some(session);
        Ok(())
    }

    /// Asks whether there is anything new.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn poll(&mut self) -> Result<Event, Fault> {
        let told = self.ask(command::POLL, &[]).await?;
        let at = |n: usize| told.data.get(n).copied().unwrap_or(0);
        Ok(match told.code {
            reply::ACK => Event::Nothing,
            reply::RAW => Event::Card {
                reader: at(0),
                bits: u16::from_le_bytes([at(2), at(3)]),
                raw: told.data.get(4..).unwrap_or_default().to_vec(),
            },
            reply::KEYPAD => Event::Keys(told.data.get(2..).unwrap_or_default().to_vec()),
            reply::LSTATR => Event::State { tamper: at(0) != 0, power: at(1) != 0 },
            other => Event::Other(other),
        })
    }

    /// Switches an output on for a time, in steps of 100 ms: the door's strike.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn output(&mut self, output: u8, tenths: u16) -> Result<(), Fault> {
        let [low, high] = tenths.to_le_bytes();
        // 5: on for the time, then as before.
        self.done(command::OUT, &[output, 5, low, high]).await
    }

    /// Shows a colour for a time, in steps of 100 ms: 1 red, 2 green.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn led(&mut self, colour: u8, tenths: u16) -> Result<(), Fault> {
        let [low, high] = tenths.to_le_bytes();
        let data = [0, 0, 2, 1, 1, colour, 0, low, high, 0, 0, 0, 0, 0];
        self.done(command::LED, &data).await
    }

    async fn done(&mut self, code: u8, data: &[u8]) -> Result<(), Fault> {
        let told = self.ask(code, data).await?;
        if told.code == reply::ACK { Ok(()) } else { Err(Fault::Strange(told.code)) }
    }

    /// One command and its answer; in the secure channel where there is one.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn ask(&mut self, code: u8, data: &[u8]) -> Result<Frame, Fault> {
        self.exchange(code, data, None).await
    }

    async fn exchange(
        &mut self,
        code: u8,
        data: &[u8],
        block: Option<(u8, Vec<u8>)>,
    ) -> Result<Frame, Fault> {
        for _ in 0..BUSY_MAX {
            let mut frame = Frame::command(self.address, self.sequence, code, data);
            frame.block = block.clone();
            if let Some(session) = &mut self.session {
                let kind = if data.is_empty() { 0x15 } else { 0x17 };
                frame.block = Some((kind, Vec::new()));
                if !data.is_empty() {
                    frame.data = session.encrypt(data, true);
                }
                frame.mac = Some(session.mac(&frame.head(), true));
            }
            let told = self.answered(&frame).await?;
            // 0 only begins: 1, 2, 3, 1 …
            self.sequence = self.sequence % 3 + 1;
            if told.code == reply::BUSY {
                continue;
            }
            let told = self.opened(told)?;
            if told.code == reply::NAK {
                let why = told.data.first().copied().unwrap_or(0);
                if self.session.take().is_some() {
                    self.sequence = 0;
                }
                return Err(Fault::Refused(why));
            }
            return Ok(told);
        }
        Err(Fault::Silent)
    }

    /// Sends a message until its answer comes. The same bytes again: a reader repeats its answer then.
    async fn answered(&mut self, frame: &Frame) -> Result<Frame, Fault> {
        let bytes = frame.encode();
        for _ in 0..TRIES {
            self.reader.clear();
            self.wire.write_all(&bytes).await.map_err(Fault::Io)?;
            self.wire.flush().await.map_err(Fault::Io)?;
            let until = Instant::now() + ANSWER;
            let mut buffer = [0; 256];
            loop {
                while let Some(whole) = self.reader.take() {
                    let Ok(told) = Frame::parse(&whole) else { continue };
                    if told.is_reply
                        && told.address == self.address
                        && told.sequence == frame.sequence
                    {
                        return Ok(told);
                    }
                }
                let read = self.wire.read(&mut buffer);
                match tokio::time::timeout_at(until, read).await {
                    Err(_) => break,
                    Ok(Ok(0)) => return Err(Fault::Io(io::ErrorKind::UnexpectedEof.into())),
                    Ok(Ok(n)) => self.reader.push(buffer.get(..n).unwrap_or_default()),
                    Ok(Err(error)) => return Err(Fault::Io(error)),
                }
            }
        }
        Err(Fault::Silent)
    }

    /// Checks and opens what came in a secure channel. In one, nothing in the clear counts.
    fn opened(&mut self, mut told: Frame) -> Result<Frame, Fault> {
        let Some(session) = &mut self.session else { return Ok(told) };
        let kind = told.block.as_ref().map(|(kind, _)| *kind);
        // A reader that lost the channel says so in the clear; that ends it, and no more.
        if kind.is_none() && told.code == reply::NAK {
            return Ok(told);
        }
        let fits = told.mac.is_some_and(|mac| {
            let ours = session.clone().mac(&told.head(), false);
            let differ = mac.iter().zip(ours).fold(0, |all, (one, other)| all | (one ^ other));
            differ == 0
        });
        let Some(kind) = kind.filter(|kind| matches!(kind, 0x16 | 0x18) && fits) else {
            self.broken = self.broken.saturating_add(1);
            (self.session, self.sequence) = (None, 0);
            return Err(Fault::Broken);
        };
        // The data was encrypted with our MAC, which this message's own does not change.
        if kind == 0x18 {
            let Some(data) = session.decrypt(&told.data, false) else {
                (self.session, self.sequence) = (None, 0);
                return Err(Fault::Broken);
            };
            let _ = session.mac(&told.head(), false);
            told.data = data;
        } else {
            let _ = session.mac(&told.head(), false);
        }
        Ok(told)
    }
}

/// Eight bytes that nobody can foresee, from the system.
fn random() -> Result<[u8; 8], Fault> {
    let mut bytes = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Fault::Io(io::Error::other("no random numbers")))?;
    Ok(bytes)
}
