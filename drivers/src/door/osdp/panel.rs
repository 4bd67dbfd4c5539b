//! The control panel of one reader: one question at a time, with its sequence number, in the clear or in
//! a secure channel.

use super::frame::{Frame, Reader};
use super::secure::{DEFAULT_KEY, Key, Session};
use super::{command, reply};
use crate::door::Refused;
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
    /// Inputs by number, whether each is on: a door's contact, the button inside.
    Inputs(Vec<bool>),
    /// Something else, by its code.
    Other(u8),
}

/// What an output is switched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Off.
    Off,
    /// On until told otherwise.
    On,
    /// On for so many steps of 100 ms, then off.
    OnFor(u16),
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

/// The same card as facility code and number side by side in decimal, as other controllers write it:
/// of Wiegand 26 only.
#[must_use]
pub fn facility_number(bits: u16, raw: &[u8]) -> Option<u64> {
    let number = card_number(bits, raw).filter(|_| bits == 26)?;
    Some((number >> 16) * 100_000 + (number & 0xFFFF))
}

/// The control panel of one reader. Several may share a wire: each asks and awaits its answer while it
/// has the wire, and no two have it at once.
#[derive(Debug)]
pub struct Panel {
    address: u8,
    sequence: u8,
    reader: Reader,
    session: Option<Session>,
    tries: u32,
    /// What was refused since the start; a message with a MAC that does not fit is `forged`.
    pub refused: Refused,
}

impl Panel {
    /// The panel of the reader at an address; nothing is asked yet.
    #[must_use]
    pub fn new(address: u8) -> Self {
        Self {
            address,
            sequence: 0,
            reader: Reader::default(),
            session: None,
            tries: TRIES,
            refused: Refused::default(),
        }
    }

    /// Whether what is said is secured.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }

    /// A reader that is away is asked once each time, so that it does not cost its neighbours' turns.
    pub fn ask_once(&mut self, once: bool) {
        self.tries = if once { 1 } else { TRIES };
    }

    /// Begins anew: who is there, and the secure channel where there is a key. Gives the reader's
    /// identity, twelve bytes. The default key is for installing: `install` allows it.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::WrongKey`] where the reader proves another key.
    pub async fn connect(
        &mut self,
        wire: &mut Stream,
        key: Option<&Key>,
        install: bool,
    ) -> Result<Vec<u8>, Fault> {
        (self.sequence, self.session) = (0, None);
        let id = self.ask(wire, command::ID, &[0]).await?;
        if id.code != reply::PDID {
            return Err(Fault::Strange(id.code));
        }
        let Some(key) = key else { return Ok(id.data) };
        if *key == DEFAULT_KEY && !install {
            return Err(Fault::WrongKey);
        }
        self.secure(wire, key, random()?).await?;
        Ok(id.data)
    }

    /// The four steps of the secure channel.
    async fn secure(&mut self, wire: &mut Stream, key: &Key, rnd_a: [u8; 8]) -> Result<(), Fault> {
        let which = u8::from(*key != DEFAULT_KEY);
        let asked = self.exchange(wire, command::CHLNG, &rnd_a, Some((0x11, vec![which]))).await;
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
        let asked = self.exchange(wire, command::SCRYPT, &ours, Some((0x13, vec![which]))).await;
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
    pub async fn poll(&mut self, wire: &mut Stream) -> Result<Event, Fault> {
        self.ask(wire, command::POLL, &[]).await.map(|told| event(&told))
    }

    /// Asks for the state of housing and power.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::Refused`] from a reader that does not watch them.
    pub async fn state(&mut self, wire: &mut Stream) -> Result<Event, Fault> {
        self.ask(wire, command::LSTAT, &[]).await.map(|told| event(&told))
    }

    /// Asks for the state of the inputs.
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::Refused`] from a reader that has none.
    pub async fn inputs(&mut self, wire: &mut Stream) -> Result<Event, Fault> {
        self.ask(wire, command::ISTAT, &[]).await.map(|told| event(&told))
    }

    /// Switches an output: the door's strike.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn output(&mut self, wire: &mut Stream, output: u8, to: Output) -> Result<(), Fault> {
        let (code, tenths) = match to {
            Output::Off => (1, 0),
            Output::On => (2, 0),
            // On for the time, then off.
            Output::OnFor(tenths) => (5, tenths),
        };
        let [low, high] = tenths.to_le_bytes();
        self.done(wire, command::OUT, &[output, code, low, high]).await
    }

    /// Shows a colour for a time, in steps of 100 ms: 1 red, 2 green.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn led(&mut self, wire: &mut Stream, colour: u8, tenths: u16) -> Result<(), Fault> {
        let [low, high] = tenths.to_le_bytes();
        let data = [0, 0, 2, 1, 1, colour, 0, low, high, 0, 0, 0, 0, 0];
        self.done(wire, command::LED, &data).await
    }

    /// Sounds the buzzer so many times, 200 ms each.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn buzz(&mut self, wire: &mut Stream, times: u8) -> Result<(), Fault> {
        self.done(wire, command::BUZ, &[0, 2, 2, 1, times]).await
    }

    async fn done(&mut self, wire: &mut Stream, code: u8, data: &[u8]) -> Result<(), Fault> {
        let told = self.ask(wire, code, data).await?;
        // A reader may answer an order with what changed by it.
        let fine = matches!(told.code, reply::ACK | reply::OSTATR);
        if fine { Ok(()) } else { Err(Fault::Strange(told.code)) }
    }

    /// One command and its answer; in the secure channel where there is one.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn ask(&mut self, wire: &mut Stream, code: u8, data: &[u8]) -> Result<Frame, Fault> {
        self.exchange(wire, code, data, None).await
    }

    async fn exchange(
        &mut self,
        wire: &mut Stream,
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
            let told = self.answered(wire, &frame).await?;
            // 0 only begins: 1, 2, 3, 1 …
            self.sequence = self.sequence % 3 + 1;
            if told.code == reply::BUSY {
                continue;
            }
            let in_the_clear = told.mac.is_none();
            let told = self.opened(told)?;
            if told.code == reply::NAK {
                let why = told.data.first().copied().unwrap_or(0);
                // A reader that lost the channel says so in the clear; one that only cannot do what was
                // asked says it within the channel, which goes on.
                if in_the_clear && self.session.take().is_some() {
                    self.sequence = 0;
                }
                return Err(Fault::Refused(why));
            }
            return Ok(told);
        }
        Err(Fault::Silent)
    }

    /// Sends a message until its answer comes. The same bytes again: a reader repeats its answer then.
    /// What is no answer of this reader's to this message is refused and counted, and the right one is
    /// still awaited: who injects messages delays nothing but them.
    async fn answered(&mut self, wire: &mut Stream, frame: &Frame) -> Result<Frame, Fault> {
        let bytes = frame.encode();
        let mut broken = false;
        for _ in 0..self.tries {
            self.reader.clear();
            wire.write_all(&bytes).await.map_err(Fault::Io)?;
            wire.flush().await.map_err(Fault::Io)?;
            let until = Instant::now() + ANSWER;
            let mut in_the_clear = None;
            let mut buffer = [0; 256];
            loop {
                while let Some(whole) = self.reader.take() {
                    let Ok(told) = Frame::parse(&whole) else { continue };
                    // Some adapters hear what they send.
                    if !told.is_reply {
                        continue;
                    }
                    if told.address != self.address {
                        self.refused.strangers = self.refused.strangers.saturating_add(1);
                    } else if told.sequence != frame.sequence {
                        self.refused.replayed = self.refused.replayed.saturating_add(1);
                    } else if self.is_ours(&told) {
                        return Ok(told);
                    } else if told.block.is_none() && matches!(told.code, reply::NAK | reply::BUSY)
                    {
                        in_the_clear = Some(told);
                    } else {
                        self.refused.forged = self.refused.forged.saturating_add(1);
                        broken = true;
                    }
                }
                let read = wire.read(&mut buffer);
                match tokio::time::timeout_at(until, read).await {
                    Err(_) => break,
                    Ok(Ok(0)) => return Err(Fault::Io(io::ErrorKind::UnexpectedEof.into())),
                    Ok(Ok(n)) => self.reader.push(buffer.get(..n).unwrap_or_default()),
                    Ok(Err(error)) => return Err(Fault::Io(error)),
                }
            }
            if let Some(told) = in_the_clear {
                return Ok(told);
            }
        }
        if broken {
            (self.session, self.sequence) = (None, 0);
        }
        Err(if broken { Fault::Broken } else { Fault::Silent })
    }

    /// Whether a message belongs to what was agreed: in a secure channel its MAC continues the chain.
    fn is_ours(&self, told: &Frame) -> bool {
        let Some(session) = &self.session else { return true };
        let secured = told.block.as_ref().is_some_and(|(kind, _)| matches!(kind, 0x16 | 0x18));
        secured
            && told.mac.is_some_and(|mac| {
                let ours = session.clone().mac(&told.head(), false);
                // Every byte is looked at: how long it takes says nothing of where they differ.
                mac.iter().zip(ours).fold(0, |all, (one, other)| all | (one ^ other)) == 0
            })
    }

    /// Opens what came in a secure channel and goes on with its chain.
    fn opened(&mut self, mut told: Frame) -> Result<Frame, Fault> {
        let Some(session) = self.session.as_mut().filter(|_| told.mac.is_some()) else {
            return Ok(told);
        };
        // The MAC is of the bytes as they came; data was encrypted with our MAC, not with this one.
        let head = told.head();
        if told.block.as_ref().is_some_and(|(kind, _)| *kind == 0x18) {
            let Some(data) = session.decrypt(&told.data, false) else {
                self.refused.forged = self.refused.forged.saturating_add(1);
                (self.session, self.sequence) = (None, 0);
                return Err(Fault::Broken);
            };
            told.data = data;
        }
        let _ = session.mac(&head, false);
        Ok(told)
    }
}

/// What an answer says.
fn event(told: &Frame) -> Event {
    let at = |n: usize| told.data.get(n).copied().unwrap_or(0);
    match told.code {
        reply::ACK => Event::Nothing,
        reply::RAW => Event::Card {
            reader: at(0),
            bits: u16::from_le_bytes([at(2), at(3)]),
            raw: told.data.get(4..).unwrap_or_default().to_vec(),
        },
        reply::KEYPAD => Event::Keys(told.data.get(2..).unwrap_or_default().to_vec()),
        reply::LSTATR => Event::State { tamper: at(0) != 0, power: at(1) != 0 },
        reply::ISTATR => Event::Inputs(told.data.iter().map(|input| *input != 0).collect()),
        other => Event::Other(other),
    }
}

/// Eight bytes that nobody can foresee, from the system.
fn random() -> Result<[u8; 8], Fault> {
    let mut bytes = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Fault::Io(io::Error::other("no random numbers")))?;
    Ok(bytes)
}
