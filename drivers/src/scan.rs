//! Finding the meters of a line whose settings nobody knows. Every request only reads.
//!
//! At each speed the protocols that know wildcards are asked for all their meters at once: silence
//! rules the speed out with one request, a clean answer is one meter, a collision is several, and the
//! address space is cut until each answers alone (DL/T 645 and CJ/T 188 by pairs of digits from the
//! low end, M-Bus by digits of the identification number). Modbus has no wildcard: its units are asked
//! one by one.
//!
//! A late answer cannot be taken for another meter here: every answer bears its own address, and one
//! that does not fit the question is not believed.

use crate::address::{Address, Protocol};
use crate::cjt188::{self, DiOrder, Dialect};
use crate::dlt645::{self, Edition};
use crate::line::{Framing, Line, LineSettings};
use crate::mbus::{self, Secondary};
use crate::meter::read_meter;
use crate::modbus::{Function, ReadRequest, read_registers};
use crate::profile::{Map, Profile, SerialDefaults};
use crate::transport::{Connect, Parity, Target};
use blockgate_types::{Decimal, FaultClass, ReadFault};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What is tried.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Speeds of a serial port, likely ones first. A line over TCP has the speed of its server.
    pub speeds: Vec<SerialDefaults>,
    /// Protocols, at each speed.
    pub protocols: Vec<Protocol>,
    /// Modbus units.
    pub units: RangeInclusive<u8>,
    /// How long a meter may take to begin its answer (DL/T 645: 500 ms).
    pub reply_timeout: Duration,
    /// The same for Modbus, where each unit costs it: devices answer within 100 ms, mostly.
    pub unit_timeout: Duration,
}

impl Default for Plan {
    /// The speeds of factories, all protocols, Modbus units 1 to 247.
    fn default() -> Self {
        let speed = |baud, parity| SerialDefaults { baud, data_bits: 8, parity, stop_bits: 1 };
        Self {
            speeds: vec![
                speed(2400, Parity::Even),
                speed(9600, Parity::None),
                speed(9600, Parity::Even),
                speed(4800, Parity::Even),
                speed(1200, Parity::Even),
                speed(19_200, Parity::Even),
                speed(19_200, Parity::None),
                speed(115_200, Parity::None),
            ],
            protocols: Protocol::ALL.to_vec(),
            units: 1..=247,
            reply_timeout: Duration::from_millis(500),
            unit_timeout: Duration::from_millis(200),
        }
    }
}

/// A meter that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub address: Address,
    /// At which speed it answers; `None` over TCP.
    pub speed: Option<SerialDefaults>,
    /// What it said of itself, in words.
    pub what: String,
    /// The built-in profile that fits, where one does.
    pub profile: Option<String>,
}

/// What a scan tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A protocol at a speed begins: the n-th step of so many.
    Step {
        /// At which speed; `None` over TCP.
        speed: Option<SerialDefaults>,
        /// Which protocol.
        protocol: Protocol,
        /// From 1.
        step: usize,
        /// All steps.
        steps: usize,
        /// How long the rest takes where nobody answers; each meter adds a little, each collision more.
        remaining: Duration,
    },
    /// A meter.
    Found(Found),
    /// Something that a person should look at.
    Note(String),
}

/// What a scan came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The meters, in the order in which they were found.
    pub found: Vec<Found>,
    /// What a person should look at.
    pub notes: Vec<String>,
    /// Requests that were sent.
    pub requests: u64,
}

/// Scans a line. Nobody else may use it meanwhile. May be cancelled by dropping the future: what was
/// found until then was told.
pub async fn scan(
    target: &Target,
    connect: Arc<dyn Connect>,
    plan: &Plan,
    tell: impl FnMut(&Progress) + Send,
) -> Report {
    let speeds: Vec<Option<SerialDefaults>> = match target {
        Target::Serial { .. } => plan.speeds.iter().copied().map(Some).collect(),
        Target::Tcp { .. } => vec![None],
    };
    let wild = plan.protocols.iter().copied().filter(|p| *p != Protocol::Modbus);
    let wild: Vec<Protocol> = wild.collect();
    let mut queue: Vec<(Option<SerialDefaults>, Protocol)> =
        speeds.iter().flat_map(|speed| wild.iter().map(|protocol| (*speed, *protocol))).collect();
    let mut scanner = Scanner { report: Report::default(), tell, speed: None };
    let steps = speeds.len() * plan.protocols.len();
    let mut step = 0;
    // The protocols with wildcards first: they take seconds a speed, the units of Modbus minutes.
    // Meters that share a line share its speed, so Modbus begins where others answered.
    let is_modbus = plan.protocols.contains(&Protocol::Modbus);
    for round in [false, true] {
        if round {
            let mut speeds = if is_modbus { speeds.clone() } else { Vec::new() };
            speeds.sort_by_key(|speed| {
                std::cmp::Reverse(scanner.report.found.iter().filter(|f| f.speed == *speed).count())
            });
            queue = speeds.into_iter().map(|speed| (speed, Protocol::Modbus)).collect();
        }
        for (i, (speed, protocol)) in queue.iter().copied().enumerate() {
            step += 1;
            let rest = queue.get(i..).unwrap_or_default().iter();
            let mut remaining: Duration = rest.map(|(speed, p)| plan.silent_time(*speed, *p)).sum();
            if !round && is_modbus {
                remaining +=
                    speeds.iter().map(|s| plan.silent_time(*s, Protocol::Modbus)).sum::<Duration>();
            }
            (scanner.tell)(&Progress::Step { speed, protocol, step, steps, remaining });
            scanner.speed = speed;
            scanner.step(target, &connect, plan, protocol).await;
        }
    }
    scanner.report
}

impl Plan {
    /// How long a protocol takes at a speed where nobody answers.
    #[must_use]
    pub fn silent_time(&self, speed: Option<SerialDefaults>, protocol: Protocol) -> Duration {
        // Requests, and the bytes for which the line waits with each.
        let (requests, bytes) = match protocol {
            Protocol::Modbus => (u32::try_from(self.units.clone().count()).unwrap_or(0), 15),
            Protocol::Dlt645 => (2, 44),
            Protocol::Cjt188 => (6, 80),
            Protocol::Mbus => (1, 18),
        };
        let wire = speed.map_or(Duration::ZERO, |speed| speed.characters(bytes));
        requests * (self.timeout(protocol) + wire)
    }

    fn timeout(&self, protocol: Protocol) -> Duration {
        match protocol {
            Protocol::Modbus => self.unit_timeout,
            Protocol::Dlt645 | Protocol::Cjt188 | Protocol::Mbus => self.reply_timeout,
        }
    }
}

fn at(target: &Target, speed: Option<SerialDefaults>) -> Target {
    match (target, speed) {
        (Target::Serial { path, .. }, Some(speed)) => Target::Serial {
            path: path.clone(),
            baud: speed.baud,
            data_bits: speed.data_bits,
            parity: speed.parity,
            stop_bits: speed.stop_bits,
        },
        _ => target.clone(),
    }
}

/// A protocol whose addresses have wildcards from the high end.
#[derive(Debug, Clone, Copy)]
enum Wild {
    Dlt645(Edition),
    Cjt188(Dialect),
}

/// Who answers to a mask.
enum Answer {
    Nobody,
    One(Address, u8),
    Several,
}

struct Scanner<T> {
    report: Report,
    tell: T,
    speed: Option<SerialDefaults>,
}

impl<T: FnMut(&Progress) + Send> Scanner<T> {
    async fn step(
        &mut self,
        target: &Target,
        connect: &Arc<dyn Connect>,
        plan: &Plan,
        protocol: Protocol,
    ) {
        let mut settings = LineSettings::new(at(target, self.speed), Framing::Rtu);
        settings.reply_timeout = plan.timeout(protocol);
        settings.late_reply_max = Duration::ZERO;
        settings.quarantine_at_open = false;
        settings.backoff_min = Duration::ZERO;
        settings.backoff_max = Duration::ZERO;
        let mut line = Line::new(settings, connect.clone());
        if let Err(fault) = line.settle().await {
            self.note(fault.what);
            return;
        }
        match protocol {
            Protocol::Modbus => self.modbus(&mut line, plan.units.clone()).await,
            Protocol::Dlt645 => {
                self.tree(&mut line, Wild::Dlt645(Edition::E2007)).await;
                self.tree(&mut line, Wild::Dlt645(Edition::E1997)).await;
            }
            Protocol::Cjt188 => {
                for meter_type in [0x10, 0x20, 0x30] {
                    for di_order in [DiOrder::LowFirst, DiOrder::HighFirst] {
                        let write_di_order = di_order;
                        let check_sequence = false;
                        let dialect =
                            Dialect { meter_type, di_order, write_di_order, check_sequence };
                        self.tree(&mut line, Wild::Cjt188(dialect)).await;
                    }
                }
            }
            Protocol::Mbus => self.mbus(&mut line).await,
        }
    }

    fn note(&mut self, what: String) {
        if !self.report.notes.contains(&what) {
            (self.tell)(&Progress::Note(what.clone()));
            self.report.notes.push(what);
        }
    }

    fn is_known(&self, address: Address) -> bool {
        self.report.found.iter().any(|found| found.address == address)
    }

    fn found(&mut self, address: Address, what: String, profile: Option<String>) {
        let found = Found { address, speed: self.speed, what, profile };
        (self.tell)(&Progress::Found(found.clone()));
        self.report.found.push(found);
    }

    async fn tree(&mut self, line: &mut Line, wild: Wild) {
        let depth = match wild {
            Wild::Dlt645(_) => 6,
            Wild::Cjt188(_) => 7,
        };
        let mut open: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(known) = open.pop() {
            match self.ask(line, wild, &known).await {
                Answer::Nobody => {}
                Answer::One(address, kind) if !self.is_known(address) => {
                    self.identify(line, wild, address, kind).await;
                }
                Answer::One(..) => {}
                Answer::Several if known.len() < depth => {
                    let pairs = (0..100).rev().map(crate::bcd::from_two);
                    open.extend(pairs.map(|pair| [known.as_slice(), &[pair]].concat()));
                }
                Answer::Several => {
                    let digits: String =
                        known.iter().rev().map(|byte| format!("{byte:02X}")).collect();
                    self.note(format!(
                        "damaged answers at {digits}: two meters with one address, or noise"
                    ));
                }
            }
        }
    }

    /// Asks those whose address ends in the known bytes (low byte first).
    async fn ask(&mut self, line: &mut Line, wild: Wild, known: &[u8]) -> Answer {
        self.report.requests += 1;
        let byte = |i: usize| known.get(i).copied().unwrap_or(0xAA);
        let outcome = match wild {
            Wild::Dlt645(edition) => {
                let mask = dlt645::Address::from_wire([0, 1, 2, 3, 4, 5].map(byte));
                let di = match edition {
                    Edition::E2007 => 0x0001_0000,
                    Edition::E1997 => 0x9010,
                };
                dlt645::read(line, edition, mask, di, 4, None).await.map(|_| ())
            }
            Wild::Cjt188(dialect) => {
                let mask = cjt188::Address::from_wire([0, 1, 2, 3, 4, 5, 6].map(byte));
                let di = cjt188::frame::di::CURRENT;
                cjt188::read(line, dialect, mask, di, None).await.map(|_| ())
            }
        };
        let raw = match &outcome {
            Ok(()) => line.last_exchange().reply.to_vec(),
            Err(fault) => fault.raw.clone(),
        };
        let own = match wild {
            Wild::Dlt645(_) => {
                let frame = dlt645::Frame::parse(&raw).ok();
                frame.map(|frame| Answer::One(Address::Dlt645(frame.address), 0))
            }
            Wild::Cjt188(_) => {
                let frame = cjt188::Frame::parse(&raw).ok();
                frame.map(|frame| Answer::One(Address::Cjt188(frame.address), frame.meter_type))
            }
        };
        match (own, outcome.err().map(|fault| fault.class)) {
            (_, Some(FaultClass::Timeout)) => Answer::Nobody,
            // A refusal has an address too.
            (Some(one), _) => one,
            (None, _) => Answer::Several,
        }
    }

    async fn identify(&mut self, line: &mut Line, wild: Wild, address: Address, kind: u8) {
        let Some(address) = self.own_address(line, wild, address).await else {
            self.note(format!(
                "a {} meter answers and does not say its address",
                address.protocol()
            ));
            return;
        };
        if self.is_known(address) {
            return;
        }
        match wild {
            Wild::Dlt645(edition) => {
                let ids: &[&str] = match edition {
                    Edition::E2007 => &[
                        "generic-dlt645-three-phase-tariffs",
                        "generic-dlt645-three-phase",
                        "generic-dlt645-single-phase-tariffs",
                        "generic-dlt645-single-phase",
                        "generic-dlt645-energy",
                    ],
                    Edition::E1997 => {
                        &["generic-dlt645-1997-three-phase", "generic-dlt645-1997-single-phase"]
                    }
                };
                let mut fits = None;
                for id in ids {
                    if self.reads(line, address, id).await {
                        fits = Some((*id).to_owned());
                        break;
                    }
                }
                let year = if edition == Edition::E2007 { "2007" } else { "1997" };
                self.found(address, format!("DL/T 645-{year}"), fits);
            }
            Wild::Cjt188(dialect) => {
                let high = dialect.di_order == DiOrder::HighFirst;
                let id = match kind {
                    0x10 if high => "generic-cjt188-cold-water-high-first",
                    0x11 => "generic-cjt188-hot-water",
                    0x12 => "generic-cjt188-drinking-water",
                    0x13 => "generic-cjt188-reclaimed-water",
                    0x10..=0x19 => "generic-cjt188-cold-water",
                    0x21 => "generic-cjt188-cooling",
                    0x20..=0x29 => "generic-cjt188-heat",
                    _ => "generic-cjt188-gas",
                };
                let fits = self.reads(line, address, id).await.then(|| id.to_owned());
                self.found(address, format!("CJ/T 188, type {kind:02X}"), fits);
            }
        }
    }

    /// The address of a meter that is alone on the wire and repeats the wildcards of the question.
    async fn own_address(
        &mut self,
        line: &mut Line,
        wild: Wild,
        answered: Address,
    ) -> Option<Address> {
        let own = match (wild, answered) {
            (Wild::Dlt645(_), Address::Dlt645(mask)) if mask.is_wild() => {
                self.report.requests += 1;
                let own = dlt645::read_address(line, mask, None).await.ok()?;
                (!own.is_wild()).then_some(Address::Dlt645(own))?
            }
            (Wild::Cjt188(dialect), Address::Cjt188(mask)) if mask.is_wild() => {
                self.report.requests += 1;
                let (own, _) = cjt188::read_address(line, dialect, mask, None).await.ok()?;
                (!own.is_wild()).then_some(Address::Cjt188(own))?
            }
            _ => answered,
        };
        Some(own)
    }

    /// Whether a meter can be read whole by a profile, with values that can be.
    async fn reads(&mut self, line: &mut Line, address: Address, id: &str) -> bool {
        let Some(profile) = Profile::shipped_by_id(id) else { return false };
        self.report.requests += 1;
        let Ok(values) = read_meter(line, address, profile).await else { return false };
        // A single-phase meter answers a block of three phases with "no value".
        let three = values.specs.iter().any(|spec| spec.name.as_str() == "voltage_l2");
        let between = |name: &str, low: i64, high: i64| match values.get(name) {
            Some(value) => value >= Decimal::from(low) && value <= Decimal::from(high),
            None => true,
        };
        (!three || values.get("voltage_l2").is_some())
            && between("voltage_l1", 80, 480)
            && between("frequency", 45, 65)
            && between("power_factor", -1, 1)
    }

    async fn mbus(&mut self, line: &mut Line) {
        // Digits of the identification number, the highest first.
        let mut open: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(known) = open.pop() {
            self.report.requests += 1;
            let mask = digits_mask(&known);
            let got = mbus::read(line, mbus::Address::Secondary(mask), true, None).await;
            match got {
                Ok(telegrams) => {
                    let header = telegrams.first().and_then(|telegram| telegram.header);
                    let Some(identity) = header.map(|header| header.identity) else {
                        self.note("an M-Bus meter answers without its identity".to_owned());
                        continue;
                    };
                    let address = Address::Mbus(mbus::Address::Secondary(identity));
                    if !self.is_known(address) {
                        let medium = mbus::data::medium_text(identity.medium);
                        self.found(address, format!("M-Bus, {medium}"), profile_of(identity));
                    }
                }
                Err(ReadFault { class: FaultClass::Timeout, .. }) => {}
                Err(_) if known.len() < 8 => {
                    open.extend((0..10).rev().map(|digit| [known.as_slice(), &[digit]].concat()));
                }
                Err(fault) => self.note(format!("M-Bus meter {mask}: {}", fault.what)),
            }
        }
    }

    async fn modbus(&mut self, line: &mut Line, units: RangeInclusive<u8>) {
        let Ok(read) = ReadRequest::new(Function::HoldingRegisters, 0, 1) else { return };
        for unit in units {
            self.report.requests += 1;
            let is_there = match read_registers(line, unit, read).await {
                Ok(_) => true,
                // An exception is an answer.
                Err(fault) if fault.class == FaultClass::Protocol => {
                    matches!(fault.raw.as_slice(), [from, 0x83, ..] if *from == unit)
                }
                Err(fault) if fault.class == FaultClass::Checksum => {
                    self.note(format!("damaged answers at Modbus unit {unit}: {}", fault.what));
                    false
                }
                Err(_) => false,
            };
            let address = Address::Unit(unit);
            if !is_there || self.is_known(address) {
                continue;
            }
            let mut fits = Vec::new();
            for profile in Profile::shipped().filter(|p| p.protocol() == Protocol::Modbus) {
                if self.reads(line, address, &profile.id).await {
                    fits.push(profile.id.clone());
                }
            }
            // One that fits is a guess; two that fit are none.
            let (what, profile) = match fits.as_slice() {
                [one] => ("Modbus".to_owned(), Some(one.clone())),
                [] => ("Modbus".to_owned(), None),
                several => (format!("Modbus, perhaps {}", several.join(" or ")), None),
            };
            self.found(address, what, profile);
        }
    }
}

/// The mask of the identities that begin with these digits.
fn digits_mask(known: &[u8]) -> Secondary {
    let mut mask = Secondary::ANY;
    let digit = |i: usize| known.get(i).copied().unwrap_or(0x0F) & 0x0F;
    // Low byte first: the highest digits stand in the last byte.
    for (byte, i) in mask.id.iter_mut().rev().zip([0, 2, 4, 6]) {
        *byte = (digit(i) << 4) | digit(i + 1);
    }
    mask
}

/// The built-in profile whose own telegram bears the same maker, version and medium.
fn profile_of(identity: Secondary) -> Option<String> {
    let key = |identity: Secondary| (identity.manufacturer, identity.version, identity.medium);
    let mut of: BTreeMap<([u8; 2], u8, u8), Vec<String>> = BTreeMap::new();
    for profile in Profile::shipped().filter(|p| matches!(p.map(), Map::Mbus(_))) {
        let frame = profile.vectors.first().and_then(|v| mbus::Frame::parse(&v.response).ok());
        if let Some(mbus::Frame::Long { ci, data, .. }) = frame
            && let Some(header) = mbus::parse(ci, &data).ok().and_then(|t| t.header)
        {
            of.entry(key(header.identity)).or_default().push(profile.id.clone());
        }
    }
    match of.get(&key(identity)).map(Vec::as_slice) {
        Some([one]) => Some(one.clone()),
        Some(_) | None => None,
    }
}
