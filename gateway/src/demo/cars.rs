//! The demo's car park: two ways in, two ways out, cameras and barriers of three makes, and cars that
//! come and go by themselves: residents, visitors, and those who pay. Some plates are misread, some
//! exits missed, some pushes sent twice.
//!
//! The cars live in the field's time. Everything from a camera's bytes to the barrier's arm is the
//! gateway's own; only HTTP lies between in production.

use crate::command::CommandDoor;
use crate::lanes::advice::Decision;
use crate::lanes::{Lanes, push};
use crate::ports::Clock;
use blockgate_drivers::barrier::Vendor;
use blockgate_drivers::sim::{Reaction, SimBarrier, SimCamera, SimConnect, SimVendor};
use blockgate_rules::Fen;
use blockgate_rules::input::{Command, Order, PayStay};
use blockgate_rules::ledger::Channel;
use blockgate_rules::parking::setup::{Permit, VehicleClass};
use blockgate_types::{CameraId, CommandId, LaneId, PermitId, Plate, Span, Time};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Residents with a pass; one household each.
const RESIDENTS: usize = 12;
/// Cars a day that pay.
const TEMPORARY: u64 = 6;

/// Lane, way, protocol, where its barrier takes commands, how it opens.
const LANES: [(&str, bool, SimVendor, &str, u16); 4] = [
    ("north-in", true, SimVendor::Vzenith, "north-in.demo", 8131),
    ("north-out", false, SimVendor::Hikvision, "north-out.demo", 80),
    ("south-in", true, SimVendor::Dahua, "south-in.demo", 80),
    ("south-out", false, SimVendor::Vzenith, "south-out.demo", 8131),
];

fn vendor(sim: SimVendor) -> Vendor {
    match sim {
        SimVendor::Vzenith => Vendor::Vzenith,
        SimVendor::Hikvision => Vendor::Hikvision,
        SimVendor::Dahua => Vendor::Dahua,
    }
}

fn resident(number: usize) -> String {
    format!("粤B{:05}", 10_000 + number * 731)
}

/// The part of the config that concerns parking.
#[must_use]
pub fn config() -> String {
    let mut text = String::from(
        "\n[parking]\naccount = \"a-parking\"\nduplicate_within = \"30s\"\nexpired_grace = \"5d\"\nretention = \"30d\"\n\n\
         [[account]]\nid = \"a-parking\"\nbuilding = \"parking\"\n\n\
         [[area]]\nid = \"yard\"\nlabel = { zh = \"地面停车场\", en = \"Yard\" }\ncapacity = 40\ntariff = \"temporary\"\n",
    );
    for (lane, inward, sim, host, port) in LANES {
        let way = if inward { "to" } else { "from" };
        let (vendor, open) = match sim {
            SimVendor::Vzenith => ("vzenith", "answer"),
            SimVendor::Hikvision => ("hikvision", "command"),
            SimVendor::Dahua => ("dahua", "command"),
        };
        let position =
            if sim == SimVendor::Hikvision { "position_from_device = true\n" } else { "" };
        let _ = writeln!(
            text,
            "\n[[lane]]\nid = \"{lane}\"\n{way} = \"yard\"\n\n\
             [[camera]]\nid = \"cam-{lane}\"\nlane = \"{lane}\"\nvendor = \"{vendor}\"\n\n\
             [[barrier]]\nlane = \"{lane}\"\nvendor = \"{vendor}\"\nopen = \"{open}\"\nhost = \"{host}\"\nport = {port}\n\
             {position}fail_safe = \"{}\"",
            if inward { "ask" } else { "open" }
        );
    }
    for number in 0..RESIDENTS {
        let flat = super::world::flat(number);
        let _ = writeln!(
            text,
            "\n[[permit]]\nid = \"p-{flat}\"\nclass = \"monthly\"\nplates = [\"{}\"]\naccount = \"a-{flat}\"",
            resident(number)
        );
    }
    text
}

/// The barriers behind the config's hosts.
#[must_use]
pub fn field(connect: SimConnect) -> (SimConnect, BTreeMap<&'static str, SimBarrier>) {
    let mut barriers = BTreeMap::new();
    let mut connect = connect;
    for (lane, _, sim, host, port) in LANES {
        let barrier = SimBarrier::new(sim);
        connect = connect.with_barrier(&format!("{host}:{port}"), barrier.clone());
        barriers.insert(lane, barrier);
    }
    (connect, barriers)
}

/// A sequence of numbers that look random: the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides.max(1)
    }
}

/// A car that comes or goes.
#[derive(Debug, Clone)]
struct Move {
    plate: String,
    inward: bool,
    /// A visitor's permit is given before it comes.
    visitor: bool,
}

/// Everything that drives.
pub struct Cars {
    /// Where pushes go.
    pub lanes: Arc<Lanes>,
    /// Where payments and permits are ordered.
    pub door: CommandDoor,
    /// The field's time.
    pub clock: Arc<dyn Clock>,
    /// The barriers that [`field`] made.
    pub barriers: BTreeMap<&'static str, SimBarrier>,
    /// First instant.
    pub from: Time,
    /// Which cars.
    pub seed: u64,
}

struct Yard {
    cars: Cars,
    cameras: BTreeMap<&'static str, SimCamera>,
    dice: Dice,
    ordered: u64,
}

impl Cars {
    /// Drives until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let cameras = LANES.into_iter().map(|(lane, _, sim, ..)| (lane, SimCamera::new(sim, lane)));
        let dice = Dice(self.seed);
        let (from, mut day) = (self.from, 0);
        let mut yard = Yard { cameras: cameras.collect(), dice, cars: self, ordered: 0 };
        loop {
            for (at, move_) in yard.plan(from.plus(Span::from_days(day))) {
                let wait = at.since(yard.cars.clock.now()).unwrap_or(Span::ZERO);
                tokio::select! { biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from(wait)) => {}
                }
                yard.drive(&move_).await;
            }
            day += 1;
        }
    }
}

impl Yard {
    /// What moves on one day, in order.
    fn plan(&mut self, midnight: Time) -> Vec<(Time, Move)> {
        let mut moves = BTreeMap::new();
        let mut add = |minute: u64, plate: String, inward: bool, visitor: bool| {
            let at = midnight.plus(Span::from_mins(i64::try_from(minute).unwrap_or(0)));
            let place = moves.len();
            moves.insert((at, place), Move { plate, inward, visitor });
        };
        for number in 0..RESIDENTS {
            add(420 + self.dice.roll(120), resident(number), false, false);
            add(1_050 + self.dice.roll(150), resident(number), true, false);
        }
        for _ in 0..TEMPORARY {
            let plate = format!("粤A{:05}", self.dice.roll(100_000));
            let (come, stays) = (480 + self.dice.roll(600), 10 + self.dice.roll(290));
            add(come, plate.clone(), true, false);
            add(come + stays, plate, false, false);
        }
        let visitor = format!("粤S{:05}", self.dice.roll(100_000));
        add(1_140, visitor.clone(), true, true);
        add(1_320, visitor, false, false);
        moves.into_iter().map(|((at, _), move_)| (at, move_)).collect()
    }

    async fn drive(&mut self, move_: &Move) {
        if move_.visitor {
            self.invite(&move_.plate).await;
        }
        // Two in a hundred leave in another car's shadow, and no camera sees them.
        if !move_.inward && self.dice.roll(50) == 0 {
            return;
        }
        let ways = LANES.into_iter().filter(|(_, inward, ..)| *inward == move_.inward);
        let ways: Vec<_> = ways.collect();
        let choice = usize::try_from(self.dice.roll(2)).unwrap_or(0);
        let Some((lane, _, sim, ..)) = ways.get(choice).copied() else { return };
        let read = self.read(&move_.plate);
        let now = self.cars.clock.now();
        let Some(camera) = self.cameras.get_mut(lane) else { return };
        let seen = camera.sees(Some(&read), now);
        self.push(lane, sim, &seen.media, &seen.body).await;
        if self.dice.roll(20) == 0 {
            // The answer was lost on the way.
            let again = self.cameras.get(lane).and_then(SimCamera::repeated);
            if let Some(again) = again {
                self.push(lane, sim, &again.media, &again.body).await;
            }
        }
        if !self.passes(lane).await {
            self.settle(lane, &read).await;
        }
    }

    /// Three in a hundred plates are read wrong by one character.
    fn read(&mut self, plate: &str) -> String {
        if self.dice.roll(33) != 0 {
            return plate.to_owned();
        }
        let confused = |c: char| match c {
            '8' => 'B',
            '0' => 'D',
            '5' => 'S',
            '2' => 'Z',
            '1' => 'T',
            other => other,
        };
        let mut done = false;
        let chars = plate.chars().enumerate().map(|(place, c)| {
            let wrong = confused(c);
            if !done && place > 2 && wrong != c {
                done = true;
                return wrong;
            }
            c
        });
        chars.collect()
    }

    async fn push(&mut self, lane: &'static str, sim: SimVendor, media: &str, body: &[u8]) {
        let Ok(camera) = CameraId::new(&format!("cam-{lane}")) else { return };
        let (lanes, clock) = (&self.cars.lanes, &*self.cars.clock);
        let taken = push::take(lanes, clock, &camera, vendor(sim), media, body).await;
        let (Ok(answer), Some(camera)) = (taken, self.cameras.get_mut(lane)) else { return };
        if camera.answered(200, &answer.body) == Reaction::Opens
            && let Some(barrier) = self.cars.barriers.get(lane)
        {
            barrier.pulse();
        }
    }

    /// Whether the arm lets the car through, within a few seconds.
    async fn passes(&self, lane: &str) -> bool {
        let Some(barrier) = self.cars.barriers.get(lane) else { return false };
        for _ in 0..5 {
            // A car needs its time to drive on, and the arm to be seen.
            tokio::time::sleep(Duration::from_secs(2)).await;
            if barrier.passed() {
                return true;
            }
        }
        false
    }

    /// The car stands: it pays what is due, or a person lets it through.
    async fn settle(&mut self, lane: &'static str, read: &str) {
        let (Ok(id), plate) = (LaneId::new(lane), Plate::new(read).ok()) else { return };
        let now = self.cars.clock.now();
        let advice = self.cars.lanes.advise(&id, plate.as_ref(), None, now);
        let stay = advice.stay.as_deref().and_then(|stay| stay.parse().ok());
        let order = match (advice.decision, stay) {
            (Decision::Pay, Some(stay)) => Order::PayStay(Box::new(PayStay {
                stay,
                amount_fen: Fen(advice.amount_fen),
                channel: Channel::Wechat,
                reference: format!("demo-{}", self.ordered),
                tendered_fen: None,
            })),
            _ => Order::OpenBarrier { lane: id, reason: "值班员核对后放行".to_owned() },
        };
        self.order(order).await;
        let _ = self.passes(lane).await;
    }

    /// A household announces its visitor.
    async fn invite(&mut self, plate: &str) {
        let now = self.cars.clock.now();
        let (Ok(plate), Ok(permit)) =
            (Plate::new(plate), PermitId::new(&format!("visit-{}", self.ordered)))
        else {
            return;
        };
        let terms = Permit {
            class: VehicleClass::Visitor,
            plates: vec![plate],
            account: None,
            on_account: false,
            prepaid: false,
            spaces: None,
            from: None,
            until: Some(now.plus(Span::from_hours(12))),
            paid_fen: Fen::ZERO,
        };
        self.order(Order::GrantParking { permit, terms: Box::new(terms) }).await;
    }

    async fn order(&mut self, order: Order) {
        self.ordered += 1;
        let Ok(id) = CommandId::new(&format!("demo-{}", self.ordered)) else { return };
        let now = self.cars.clock.now();
        let command = Command {
            id,
            issued_at: now,
            expires_at: now.plus(Span::from_mins(5)),
            actor: "demo/caretaker".to_owned(),
            order,
        };
        // A gateway that stops takes no more orders.
        let _ = self.cars.door.submit(command).await;
    }
}
