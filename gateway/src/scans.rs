//! Scans of lines: one at a time, by requests that only read. A line of the config is scanned on its own
//! task, so that the wire keeps its one master: its polls wait meanwhile. Any other port or serial server
//! is scanned beside the lines. Nothing of a scan is journaled; what it found is shown, can be added from
//! the page ([`crate::upkeep`]) and pasted into the config. Scans outlive a reload of the config.
//!
//! The JSON of a scan ([`Scan::json`]) is what `/v1/scans` and `blockgate scan --json` give.

use crate::bus::worker::Ask;
use crate::limits;
use crate::ports::Clock;
use crate::problem::{Code, Problem};
use blockgate_drivers::line::Framing;
use blockgate_drivers::profile::SerialDefaults;
use blockgate_drivers::scan::{Found, Plan, Progress, scan};
use blockgate_drivers::transport::{Connect, Target};
use blockgate_drivers::{Address, Parity, Protocol};
use blockgate_types::{LineId, MeterId, ScanId, Span, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is to be scanned, and how: the body of `POST /v1/scans`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// A line of the config; its polls wait meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineId>,
    /// Or a serial port: `/dev/ttyUSB0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Or a transparent serial server: `10.0.0.7:4001`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// Only these protocols: `modbus`, `dlt645`, `cjt188`, `mbus`; all where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
    /// Only these baud rates, each with even and without parity; the usual ones where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bauds: Vec<u32>,
    /// The Modbus units: `1-32`; all where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
}

impl Wanted {
    /// Where it leads, where no line of the config is meant.
    ///
    /// # Errors
    /// A sentence: none or several of `line`, `port` and `tcp`, or not written as they are.
    pub fn target(&self) -> Result<Option<Target>, String> {
        match (&self.line, &self.port, &self.tcp) {
            (Some(_), None, None) => Ok(None),
            (None, Some(path), None) => serial_port(path).map(Some),
            (None, None, Some(text)) => serial_server(text).map(Some),
            _ => Err("give one of line, port and tcp".to_owned()),
        }
    }

    /// What is tried.
    ///
    /// # Errors
    /// A sentence that says how it is written.
    pub fn plan(&self) -> Result<Plan, String> {
        let mut plan = Plan::default();
        if let Some(text) = &self.units {
            let (first, last) = units(text)?;
            plan.units = first..=last;
        }
        if !self.bauds.is_empty() {
            if self.bauds.len() > limits::SCAN_BAUDS_MAX {
                return Err(format!("at most {} baud rates", limits::SCAN_BAUDS_MAX));
            }
            if let Some(bad) = self.bauds.iter().find(|baud| !(300..=4_000_000).contains(*baud)) {
                return Err(format!("{bad} is no baud rate: 300 to 4000000"));
            }
            let speed = |baud, parity| SerialDefaults { baud, data_bits: 8, parity, stop_bits: 1 };
            let of = |baud: &u32| [Parity::Even, Parity::None].map(|parity| speed(*baud, parity));
            plan.speeds = self.bauds.iter().flat_map(of).collect();
        }
        if !self.protocols.is_empty() {
            let known = |text: &String| {
                Protocol::from_text(text).ok_or_else(|| {
                    let all = Protocol::ALL.map(Protocol::text).join(", ");
                    format!("there is no protocol {text:?}; there are: {all}")
                })
            };
            plan.protocols = self.protocols.iter().map(known).collect::<Result<_, _>>()?;
            plan.protocols.dedup();
        }
        Ok(plan)
    }
}

/// `1-32` or `7`.
///
/// # Errors
/// A sentence that says how it is written.
pub fn units(text: &str) -> Result<(u8, u8), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u8>(), last.parse::<u8>()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last && last <= 247 => Ok((first, last)),
        _ => Err("write it like 1-32; units are 1 to 247".to_owned()),
    }
}

fn serial_port(path: &str) -> Result<Target, String> {
    let plain = path.bytes().all(|b| b.is_ascii_graphic());
    if !path.starts_with("/dev/") || path.split('/').any(|part| part == "..") || !plain {
        return Err(format!("{path:?} is no serial port like /dev/ttyUSB0"));
    }
    let (parity, path) = (Parity::Even, path.to_owned());
    Ok(Target::Serial { path, baud: 2400, data_bits: 8, parity, stop_bits: 1 })
}

fn serial_server(text: &str) -> Result<Target, String> {
    let wrong = || format!("{text:?} is not host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() || host.contains(['/', ' ']) {
        return Err(wrong());
    }
    Ok(Target::Tcp { host, port })
}

/// A scan, from its begin on.
pub struct Scan {
    id: ScanId,
    line: Option<LineId>,
    target: Target,
    stop: CancellationToken,
    seen: Mutex<Seen>,
}

/// How a scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Cancelled,
}

struct Seen {
    state: State,
    begun: Time,
    ended: Option<Time>,
    step: usize,
    steps: usize,
    now: Option<(Protocol, Option<SerialDefaults>)>,
    /// How long the rest takes as of then.
    remaining: (Span, Time),
    found: Vec<Found>,
    notes: Vec<String>,
    requests: u64,
    /// Meters of the config at this place, by address.
    known: BTreeMap<Address, MeterId>,
}

impl Scan {
    /// A scan that waits for its wire.
    #[must_use]
    pub fn new(
        id: ScanId,
        line: Option<LineId>,
        target: Target,
        known: BTreeMap<Address, MeterId>,
        now: Time,
    ) -> Self {
        let seen = Seen {
            state: State::Waiting,
            begun: now,
            ended: None,
            step: 0,
            steps: 0,
            now: None,
            remaining: (Span::ZERO, now),
            found: Vec::new(),
            notes: Vec::new(),
            requests: 0,
            known,
        };
        Self { id, line, target, stop: CancellationToken::new(), seen: Mutex::new(seen) }
    }

    /// Ends it as soon as the request on the wire is over.
    pub fn cancel(&self) {
        self.stop.cancel();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        matches!(self.seen().state, State::Done | State::Cancelled)
    }

    fn told(&self, progress: &Progress, now: Time) {
        let mut seen = self.seen();
        seen.state = State::Running;
        match progress {
            Progress::Step { speed, protocol, step, steps, remaining } => {
                (seen.step, seen.steps) = (*step, *steps);
                seen.now = Some((*protocol, *speed));
                let ms = i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX);
                seen.remaining = (Span::from_millis(ms), now);
            }
            Progress::Found(found) if seen.found.len() < limits::SCAN_FOUND_MAX => {
                seen.found.push(found.clone());
            }
            Progress::Note(note) if seen.notes.len() < limits::SCAN_NOTES_MAX => {
                seen.notes.push(note.clone());
            }
            Progress::Found(_) | Progress::Note(_) => {}
        }
    }

    fn end(&self, state: State, now: Time) {
        let mut seen = self.seen();
        if seen.ended.is_none() {
            (seen.state, seen.ended, seen.now) = (state, Some(now), None);
        }
    }

    /// How it stands: see `Scan` in the OpenAPI document.
    #[must_use]
    pub fn json(&self, now: Time) -> Value {
        let seen = self.seen();
        let state = match seen.state {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Done => "done",
            State::Cancelled => "cancelled",
        };
        let (remaining, as_of) = seen.remaining;
        let passed = now.since(as_of).unwrap_or(Span::ZERO).as_millis();
        let left_s = (remaining.as_millis() - passed).max(0) / 1000;
        let left_s = if seen.ended.is_some() { 0 } else { left_s };
        let found = seen.found.iter().map(|found| {
            json!({
                "protocol": found.address.protocol().text(),
                "address": found.address,
                "serial": found.speed.map(speed_text),
                "what": found.what,
                "profile": found.profile,
                "meter": seen.known.get(&found.address),
            })
        });
        let now_at = seen.now.map(|(protocol, speed)| {
            json!({ "protocol": protocol.text(), "serial": speed.map(speed_text) })
        });
        json!({
            "id": self.id,
            "state": state,
            "line": self.line,
            "target": self.target.to_string(),
            "begun": seen.begun,
            "ended": seen.ended,
            "step": seen.step,
            "steps": seen.steps,
            "now": now_at,
            "remaining_s": left_s,
            "found": found.collect::<Vec<_>>(),
            "notes": seen.notes,
            "requests": seen.requests,
            "config": config_text(&self.target, self.line.as_ref(), &seen.known, &seen.found),
        })
    }
}

/// A scan on its way to the task that has the wire. Dropped unbegun, it counts as cancelled.
pub struct Job {
    scan: Arc<Scan>,
    plan: Plan,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("scan", &self.scan.id).finish_non_exhaustive()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.scan.end(State::Cancelled, self.clock.now());
    }
}

impl Job {
    /// A scan with its plan.
    #[must_use]
    pub fn new(scan: Arc<Scan>, plan: Plan, clock: Arc<dyn Clock>) -> Self {
        Self { scan, plan, clock }
    }

    /// Scans until it is done, cancelled, or the gateway stops. Nobody else may use the wire meanwhile.
    pub async fn run(self, connect: Arc<dyn Connect>, stop: &CancellationToken) {
        let Self { scan: this, plan, clock } = &self;
        let told = |progress: &Progress| this.told(progress, clock.now());
        tokio::select! { biased;
            () = stop.cancelled() => {}
            () = this.stop.cancelled() => {}
            report = scan(&this.target, connect, plan, told) => {
                this.seen().requests = report.requests;
                this.end(State::Done, clock.now());
            }
        }
    }
}

/// A line that can be scanned.
pub struct Place {
    /// Where it leads.
    pub target: Target,
    /// How frames are put on it.
    pub framing: Framing,
    /// Its task.
    pub asks: mpsc::Sender<Ask>,
    /// Its meters.
    pub meters: BTreeMap<Address, MeterId>,
}

/// What a scan found.
#[derive(Debug, Clone)]
pub struct Finds {
    /// The line of the config that is this wire.
    pub line: Option<LineId>,
    /// Where it looked.
    pub target: Target,
    /// The devices, in the order in which they answered.
    pub found: Vec<Found>,
    /// Those of them that the config knows.
    pub known: BTreeMap<Address, MeterId>,
}

/// All scans of this start of the process.
pub struct Scans {
    lines: BTreeMap<LineId, Place>,
    elsewhere: mpsc::Sender<Job>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    begun: u64,
    scans: VecDeque<Arc<Scan>>,
}

impl Scans {
    /// Scans of these lines, and by whoever takes the jobs of other wires.
    #[must_use]
    pub fn new(
        lines: BTreeMap<LineId, Place>,
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Job>) {
        let (elsewhere, jobs) = mpsc::channel(1);
        (Self { lines, elsewhere, clock, kept: Mutex::default() }, jobs)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a scan.
    ///
    /// # Errors
    /// [`Code::BadRequest`] with a sentence; [`Code::ScanBusy`] while another one runs.
    pub fn begin(&self, wanted: &Wanted) -> Result<Value, Problem> {
        let bad = |why: String| Problem::new(Code::BadRequest, why);
        let (target, plan) = (wanted.target().map_err(bad)?, wanted.plan().map_err(bad)?);
        let now = self.clock.now();
        let mut kept = self.kept();
        if let Some(running) = kept.scans.iter().find(|scan| !scan.is_over()) {
            return Err(Problem::new(Code::ScanBusy, format!("scan {} runs", running.id)));
        }
        let id = ScanId::new(&format!("scan-{}", kept.begun + 1));
        let id = id.map_err(|fault| Problem::new(Code::Internal, fault.to_string()))?;
        let busy = || Problem::new(Code::ScanBusy, "the wire's task takes no more questions now");
        let scan = match (&wanted.line, target) {
            (Some(line), _) => {
                let place = self.lines.get(line).ok_or_else(|| {
                    bad(format!("there is no line {line}; a new wire is scanned by port or tcp"))
                })?;
                if place.framing == Framing::Tcp {
                    return Err(bad(format!(
                        "line {line} is Modbus TCP: its devices have addresses of their own"
                    )));
                }
                let (target, known) = (place.target.clone(), place.meters.clone());
                let scan = Arc::new(Scan::new(id, Some(line.clone()), target, known, now));
                let job = Job::new(scan.clone(), plan, self.clock.clone());
                place.asks.try_send(Ask::Scan(job)).map_err(|_| busy())?;
                scan
            }
            (None, Some(target)) => {
                // One wire, one master.
                if let Some((line, _)) =
                    self.lines.iter().find(|(_, p)| is_same(&p.target, &target))
                {
                    return Err(bad(format!("line {line} uses {target}: scan that line")));
                }
                let scan = Arc::new(Scan::new(id, None, target, BTreeMap::new(), now));
                let job = Job::new(scan.clone(), plan, self.clock.clone());
                self.elsewhere.try_send(job).map_err(|_| busy())?;
                scan
            }
            (None, None) => return Err(bad("give one of line, port and tcp".to_owned())),
        };
        kept.begun += 1;
        kept.scans.push_back(scan.clone());
        if kept.scans.len() > limits::SCANS_KEPT_MAX {
            kept.scans.pop_front();
        }
        Ok(scan.json(now))
    }

    /// All that are remembered, the newest first.
    #[must_use]
    pub fn json(&self) -> Value {
        let now = self.clock.now();
        let all: Vec<Value> = self.kept().scans.iter().rev().map(|scan| scan.json(now)).collect();
        json!({ "scans": all })
    }

    fn find(&self, id: &ScanId) -> Option<Arc<Scan>> {
        self.kept().scans.iter().find(|scan| scan.id == *id).cloned()
    }

    /// How one stands.
    #[must_use]
    pub fn one(&self, id: &ScanId) -> Option<Value> {
        self.find(id).map(|scan| scan.json(self.clock.now()))
    }

    /// All of this start, and how many were begun.
    #[must_use]
    pub fn all(&self) -> (Vec<Arc<Scan>>, u64) {
        let kept = self.kept();
        (kept.scans.iter().cloned().collect(), kept.begun)
    }

    /// Remembers the scans of the start before, with what the config knows now of the places where they
    /// looked.
    pub fn go_on_from(&self, before: &[Arc<Scan>], begun: u64) {
        for scan in before {
            let at = self.place(scan);
            scan.seen().known = at.map(|(_, place)| place.meters.clone()).unwrap_or_default();
        }
        let mut kept = self.kept();
        (kept.scans, kept.begun) = (before.iter().cloned().collect(), begun);
    }

    /// The line of the config on which a scan looked; none for a wire that no line uses.
    fn place(&self, scan: &Scan) -> Option<(&LineId, &Place)> {
        match &scan.line {
            Some(line) => self.lines.get_key_value(line),
            None => self.lines.iter().find(|(_, place)| is_same(&place.target, &scan.target)),
        }
    }

    /// What one found, where it looked, and the meters that the config knows there.
    #[must_use]
    pub fn finds(&self, id: &ScanId) -> Option<Finds> {
        let scan = self.find(id)?;
        let seen = scan.seen();
        Some(Finds {
            line: self.place(&scan).map(|(line, _)| line.clone()),
            target: scan.target.clone(),
            found: seen.found.clone(),
            known: seen.known.clone(),
        })
    }

    /// Shows meters as known that the config has from now on; the reload follows.
    pub fn added(&self, id: &ScanId, meters: &[(Address, MeterId)]) {
        if let Some(scan) = self.find(id) {
            scan.seen().known.extend(meters.iter().cloned());
        }
    }

    /// Cancels one; what it found until then stays.
    #[must_use]
    pub fn cancel(&self, id: &ScanId) -> Option<Value> {
        let scan = self.find(id)?;
        scan.cancel();
        Some(scan.json(self.clock.now()))
    }
}

fn is_same(one: &Target, other: &Target) -> bool {
    match (one, other) {
        (Target::Serial { path: one, .. }, Target::Serial { path: other, .. }) => one == other,
        (Target::Tcp { .. }, Target::Tcp { .. }) => one == other,
        (Target::Serial { .. }, Target::Tcp { .. })
        | (Target::Tcp { .. }, Target::Serial { .. }) => false,
    }
}

/// `9600 8E1`.
#[must_use]
pub fn speed_text(speed: SerialDefaults) -> String {
    let parity = match speed.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    format!("{} {}{parity}{}", speed.baud, speed.data_bits, speed.stop_bits)
}

/// The config that reads what was found, ready to paste. For a line of the config only its new meters.
#[must_use]
pub fn config_text(
    target: &Target,
    line: Option<&LineId>,
    known: &BTreeMap<Address, MeterId>,
    found: &[Found],
) -> String {
    let Some(first) = found.first() else {
        return "# no meter answered: wiring (A and B swapped?), power of the meters, another master\n"
            .to_owned();
    };
    let mut text = String::new();
    let mut speed = first.speed;
    match (line, target) {
        (Some(_), Target::Serial { baud, data_bits, parity, stop_bits, .. }) => {
            let (baud, data_bits) = (*baud, *data_bits);
            let (parity, stop_bits) = (*parity, *stop_bits);
            speed = Some(SerialDefaults { baud, data_bits, parity, stop_bits });
        }
        (Some(_), Target::Tcp { .. }) => {}
        (None, Target::Serial { path, .. }) => {
            text = format!("[[line]]\nid = \"line-1\"\nkind = \"serial\"\npath = {path:?}\n");
            if let Some(speed) = first.speed {
                let parity = match speed.parity {
                    Parity::None => "none",
                    Parity::Even => "even",
                    Parity::Odd => "odd",
                };
                // Writing to a String cannot fail.
                let _ = write!(text, "baud = {}\nparity = \"{parity}\"\n", speed.baud);
            }
        }
        (None, Target::Tcp { host, port }) => {
            text = format!(
                "[[line]]\nid = \"line-1\"\nkind = \"rtu-over-tcp\"\nhost = {host:?}\nport = {port}\n"
            );
        }
    }
    let line = line.map_or("line-1", LineId::as_str);
    for found in found {
        match known.get(&found.address) {
            Some(meter) => {
                let _ = writeln!(text, "\n# {} is meter {meter} already", found.address);
            }
            None => text += &meter(found, line, speed),
        }
    }
    text
}

fn meter(found: &Found, line: &str, speed: Option<SerialDefaults>) -> String {
    if let (Some(own), Some(line)) = (found.speed, speed)
        && own != line
    {
        let (own, line) = (speed_text(own), speed_text(line));
        return format!(
            "\n# {} ({}) answers at {own}, not at {line}: a line has one speed; set the meter to it\n",
            found.address, found.what
        );
    }
    let id: String = found.address.to_string().to_lowercase().replace('*', "x");
    let address = match found.address {
        Address::Unit(unit) => unit.to_string(),
        Address::Dlt645(_) | Address::Cjt188(_) | Address::Mbus(_) => {
            format!("{:?}", found.address.to_string())
        }
    };
    let profile = match &found.profile {
        Some(profile) => format!("profile = {profile:?}"),
        None => "profile = \"\" # none of the built-in ones fits: choose or write one".to_owned(),
    };
    format!(
        "\n[[meter]] # {}\nid = \"m-{id}\"\nline = \"{line}\"\naddress = {address}\n{profile}\n",
        found.what
    )
}

#[cfg(test)]
mod tests;
