//! Everything around the gateway: meters that count by a formula, a clock that can be wrong, a broker
//! that can misbehave, and a cloud that keeps what comes and confirms it.

use blockgate::demo::broker::Broker as Hub;
use blockgate::mqtt::trouble::Trouble;
use blockgate::ports::{self, BrokerStream, Clock, Opening};
use blockgate_drivers::line::Framing;
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{Fault, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_types::{ClockState, Decimal, Span, Time};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Meters, and the accounts that pay for them.
pub const METERS: usize = 3;
/// A month's edge in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The block's zone.
    pub zone: &'static str,
    /// The first day of the next month there, as a bill names its period's end.
    pub day: &'static str,
    /// Its midnight, milliseconds since 1970 UTC.
    pub at: i64,
}

/// Where and when the simulated months end. A seed takes one of them by its remainder.
pub const EDGES: [Edge; 5] = [
    Edge { zone: "Asia/Shanghai", day: "2026-04-01", at: 1_774_972_800_000 },
    // An hour less on the 29th of March.
    Edge { zone: "Europe/Berlin", day: "2026-04-01", at: 1_774_994_400_000 },
    // An hour less on the 8th of March.
    Edge { zone: "America/New_York", day: "2026-04-01", at: 1_775_016_000_000 },
    // An hour more on the 25th of October.
    Edge { zone: "Europe/Berlin", day: "2026-11-01", at: 1_793_487_600_000 },
    // An hour more on the very first day of November, two hours after the month's edge.
    Edge { zone: "America/New_York", day: "2026-11-01", at: 1_793_505_600_000 },
];

/// The price of a kilowatt hour, in hundredths of a fen.
pub const PRICE: i64 = 5469;
/// The target of the one line.
const TARGET: &str = "/dev/sim-a";

/// The wall clock of the gateway: the true time, and by how much it is wrong.
pub struct Wall {
    /// True time.
    pub truth: SimClock,
    /// By how many milliseconds the wall clock differs.
    pub off_ms: Arc<AtomicI64>,
    /// Nobody vouches for it.
    pub unsynced: Arc<AtomicBool>,
}

impl Clock for Wall {
    fn now(&self) -> Time {
        let off = self.off_ms.load(Ordering::Relaxed);
        Time::from_millis(self.truth.now().as_millis() + off)
    }

    fn state(&self) -> ClockState {
        if self.unsynced.load(Ordering::Relaxed) {
            ClockState::Unsynced
        } else {
            ClockState::Synced
        }
    }
}

/// What a meter has counted by a true time, in hundredths of a kilowatt hour: whole numbers only.
#[must_use]
pub fn counted(meter: usize, at: Time) -> i64 {
    const BEGIN: i64 = 1_772_000_000_000;
    let meter = i64::try_from(meter).unwrap_or(0);
    let seconds = (at.as_millis() - BEGIN).max(0) / 1000;
    // Between 0.4 and 1.0 kWh an hour, and more in the second half of each day.
    let steady = seconds * (40 + meter * 23) / 3600;
    let evening = (seconds / 86_400) * 300 + (seconds % 86_400).saturating_sub(43_200).max(0) / 144;
    1_000_000 * (meter + 1) + steady + evening
}

/// The gateway's config.
#[must_use]
pub fn config(zone: &str) -> String {
    let mut text = format!("[gateway]\nid = \"gw\"\ntenant = \"t\"\nzone = \"{zone}\"\n");
    text.push_str(
        "state_dir = \"state\"\n\
        [billing]\nclose_grace = \"6h\"\n[mqtt]\nhost = \"broker\"\nport = 8883\nkeep_alive = \"5m\"\n\
        receipt_timeout = \"2m\"\ntelemetry_every = \"0s\"\n\
        [meter_defaults]\npoll_every = \"1h\"\nrecord_every = \"1h\"\nmax_per_hour = \"30\"\n\
        offline_after = \"3h\"\n\
        [[line]]\nid = \"a\"\nkind = \"serial\"\npath = \"/dev/sim-a\"\nbaud = 9600\nreply_timeout = \"500ms\"\n",
    );
    for meter in 0..METERS {
        text.push_str(&format!(
            "[[meter]]\nid = \"m-{meter}\"\nline = \"a\"\naddress = {}\nprofile = \"acrel-ddsy1352\"\n\
             record = [\"energy_import\"]\n[[account]]\nid = \"a-{meter}\"\nbuilding = \"1\"\n\
             charges = [{{ item = \"electricity\", tariff = \"flat\", meter = \"m-{meter}\", \
             register = \"energy_import\" }}]\n",
            meter + 1
        ));
    }
    text
}

/// The one tariff; `price` as text, `0.5469`.
#[must_use]
pub fn tariff(price: &str) -> String {
    format!(
        "[[tariff]]\nid = \"flat\"\nlabel = {{ zh = \"电价\", en = \"Electricity\" }}\ncurrency = \"CNY\"\n\
         notice = \"the simulation's own\"\n[[tariff.revision]]\nfrom = \"2020-01-01\"\nkind = \"flat\"\n\
         rounding = \"per_line\"\nchange_inside_period = \"by_readings\"\nunit = \"kWh\"\nprice = \"{price}\"\n"
    )
}

/// A fault of a meter, and when.
pub type MeterFault = (usize, When, Fault);

/// The line with its meters.
#[must_use]
pub fn field(truth: SimClock, faults: &[MeterFault]) -> SimConnect {
    let mut line = SimLine::new(Framing::Rtu, truth);
    for meter in 0..METERS {
        let profile = Profile::shipped_by_id("acrel-ddsy1352").expect("a shipped profile");
        let source =
            move |register: &blockgate_types::RegisterName, now: Time| match register.as_str() {
                "energy_import" | "energy_total" => Decimal::new(counted(meter, now), 2),
                _ => Decimal::ZERO,
            };
        let mut unit = SimMeter::new(profile.clone(), source);
        for (of, when, fault) in faults {
            if *of == meter {
                unit.add_fault(*when, fault.clone());
            }
        }
        line = line.with(u8::try_from(meter + 1).unwrap_or(1), unit);
    }
    SimConnect::new().with(TARGET, line)
}

/// The line's port is gone, or back.
pub fn unplug(connect: &SimConnect, gone: bool) {
    connect.refuse(TARGET, gone);
}

/// The way to the simulated broker.
pub struct Way {
    /// The broker of this life.
    pub hub: Arc<Hub>,
    /// Nothing listens.
    pub away: Arc<AtomicBool>,
}

impl ports::Broker for Way {
    fn open(&self) -> Opening<'_> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                // As long as a refusal takes.
                tokio::time::sleep(Duration::from_millis(3)).await;
                return Err(Trouble::Refused);
            }
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(self.hub.clone().serve(far));
            let stream: Box<dyn BrokerStream> = Box::new(near);
            Ok(stream)
        })
    }

    fn certificates(&self) -> Vec<(String, Time)> {
        Vec::new()
    }
}

/// The cloud: keeps each event once, byte for byte, and notices what must never be.
#[derive(Default)]
pub struct Cloud {
    /// By sequence number.
    pub events: BTreeMap<u64, Vec<u8>>,
    ids: BTreeMap<String, u64>,
    /// Deliveries of what was there already.
    pub duplicates: u64,
    /// What must never be.
    pub wrong: Vec<String>,
    /// Everything up to here is there.
    pub whole: u64,
    /// Something came that was not confirmed since.
    pub dirty: bool,
    /// Everything that came, in the order in which it came.
    pub deliveries: Vec<Vec<u8>>,
}

impl Cloud {
    /// Takes a delivery.
    pub fn take(&mut self, payload: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Envelope {
            id: String,
            seq: u64,
        }
        self.dirty = true;
        self.deliveries.push(payload.to_vec());
        let Ok(Envelope { id, seq }) = serde_json::from_slice(payload) else {
            self.wrong.push(format!("no event: {}", String::from_utf8_lossy(payload)));
            return;
        };
        match self.events.get(&seq) {
            Some(known) if known == payload => self.duplicates += 1,
            Some(_) => self.wrong.push(format!("event {seq} came with other bytes")),
            None => {
                if let Some(other) = self.ids.insert(id.clone(), seq) {
                    self.wrong.push(format!("the id {id} is that of {other} and of {seq}"));
                }
                self.events.insert(seq, payload.to_vec());
                while self.events.contains_key(&(self.whole + 1)) {
                    self.whole += 1;
                }
            }
        }
    }
}

/// The cloud, shared by the lives of one month.
pub type SharedCloud = Arc<Mutex<Cloud>>;

/// Locks the cloud.
pub fn lock(cloud: &SharedCloud) -> MutexGuard<'_, Cloud> {
    cloud.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what the broker delivers and confirms it a little later, until the broker's life ends.
pub async fn keep(hub: Arc<Hub>, cloud: SharedCloud, confirms: Arc<AtomicBool>) {
    const LATER: Duration = Duration::from_secs(2);
    let mut events = hub.watch("blockgate/v1/t/gw/evt/+");
    let mut states = hub.watch("blockgate/v1/t/gw/state");
    loop {
        let waiting = lock(&cloud).dirty;
        tokio::select! { biased;
            event = events.recv() => match event {
                Some(publish) => lock(&cloud).take(&publish.payload),
                None => return,
            },
            state = states.recv() => if state.is_none() { return },
            () = tokio::time::sleep(LATER), if waiting => {
                if confirms.load(Ordering::Relaxed) {
                    let mut cloud = lock(&cloud);
                    cloud.dirty = false;
                    let receipt = format!("{{\"through\":{}}}", cloud.whole);
                    drop(cloud);
                    hub.publish("blockgate/v1/t/gw/receipt", receipt, false);
                } else {
                    lock(&cloud).dirty = false;
                }
            }
        }
    }
}

/// A span in whole minutes, for people.
#[must_use]
pub fn minutes(span: Span) -> i64 {
    span.as_millis() / 60_000
}
