//! The demo's doors: two controllers with the entrances of three buildings, a gym that only few have paid
//! for, and an office; residents who come home, one who shows the wrong card, a visitor with a window and
//! a count.
//!
//! The controllers live in the field's time and decide by the lists that the gateway gave them.

use super::world::{HOUSEHOLDS, flat};
use crate::command::CommandDoor;
use crate::ports::Clock;
use blockgate_drivers::sim::door::SimController;
use blockgate_drivers::sim::{SimClock, SimConnect};
use blockgate_rules::access::event::Grant;
use blockgate_rules::input::{Command, GrantOrder, Order};
use blockgate_types::{CommandId, GrantId, Span, Time};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The zone's offset: these controllers show civil time.
const OFFSET: Span = Span::from_hours(8);

/// Id, serial number, host.
const CONTROLLERS: [(&str, u32, &str); 2] =
    [("doors-north", 405_419_896, "10.9.0.11"), ("doors-south", 303_986_753, "10.9.0.12")];

/// Door, controller, number, whether a household needs it to get home.
const DOORS: [(&str, usize, u8, bool); 6] = [
    ("building-1", 0, 1, true),
    ("building-2", 0, 2, true),
    ("building-3", 0, 3, true),
    ("gym", 1, 1, false),
    ("office", 1, 2, false),
    ("cellar", 1, 3, false),
];

/// A resident's card.
fn card(household: usize) -> u32 {
    10_058_400 + u32::try_from(household).unwrap_or(0) * 7
}

/// The visitor's card.
const VISITOR: u32 = 20_000_001;
/// A card that nobody has.
const LOST: u32 = 30_000_001;

/// The part of the config that concerns doors.
#[must_use]
pub fn config() -> String {
    let mut text = String::from("\n[doors]\nholidays = [\"2026-05-01\", \"2026-10-01\"]\n");
    for (id, serial, host) in CONTROLLERS {
        let _ = writeln!(
            text,
            "\n[[controller]]\nid = \"{id}\"\nvendor = \"uhppote\"\nserial = {serial}\nhost = \"{host}\"\n\
             poll_every = \"5m\"\noffline_after = \"30m\""
        );
    }
    for (id, place, number, entrance) in DOORS {
        let controller = CONTROLLERS.get(place).map_or("", |(id, ..)| *id);
        let _ = writeln!(
            text,
            "\n[[door]]\nid = \"{id}\"\ncontroller = \"{controller}\"\nnumber = {number}\n\
             exit = \"{}\"\npower_loss = \"unlocked\"\nentrance = {entrance}",
            if entrance { "button" } else { "mechanical" }
        );
    }
    for building in 1..=3 {
        let _ = writeln!(
            text,
            "\n[[door_group]]\nid = \"home-{building}\"\ndoors = [\"building-{building}\"]\nbuildings = [\"{building}\"]"
        );
    }
    text.push_str(
        "\n[[schedule]]\nid = \"day\"\ndaily = \"06:00-22:00\"\nholidays = \"08:00-12:00\"\n\n\
         [[door_group]]\nid = \"cellar\"\ndoors = [\"cellar\"]\nresidents = true\nschedule = \"day\"\n\n\
         [[door_group]]\nid = \"gym\"\ndoors = [\"gym\"]\nresidents = true\nschedule = \"day\"\n\
         paid = { item = \"gym\", amount = \"80.00\", days = 30 }\n\n\
         [[door_group]]\nid = \"staff\"\ndoors = [\"building-1\", \"building-2\", \"building-3\", \"gym\", \"office\", \"cellar\"]\nstaff = true\n\n\
         [[person]]\nid = \"caretaker\"\nstaff = true\ncards = [\"10000001\"]\n",
    );
    for household in 0..HOUSEHOLDS {
        let (flat, card) = (flat(household), card(household));
        let _ = writeln!(
            text,
            "\n[[person]]\nid = \"p-{flat}\"\naccount = \"a-{flat}\"\ncards = [\"{card}\"]"
        );
    }
    text
}

/// The controllers behind the config's hosts.
#[must_use]
pub fn field(connect: SimConnect, clock: SimClock) -> (SimConnect, Vec<SimController>) {
    let mut controllers = Vec::new();
    let mut connect = connect;
    for (_, serial, host) in CONTROLLERS {
        let controller = SimController::following(serial, clock, OFFSET);
        connect = connect.with_controller(&format!("{host}:60000"), controller.clone());
        controllers.push(controller);
    }
    (connect, controllers)
}

/// People at the doors.
pub struct People {
    /// The controllers.
    pub controllers: Vec<SimController>,
    /// Orders: the visitor's card.
    pub door: CommandDoor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Where it begins.
    pub from: Time,
}

impl People {
    /// Comes and goes until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        for day in 0.. {
            let midnight = self.from.plus(Span::from_days(day));
            for hour in 0..24_i64 {
                let at = midnight.plus(Span::from_hours(hour));
                let wait = at.since(self.clock.now()).unwrap_or(Span::ZERO);
                tokio::select! { biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from(wait)) => {}
                }
                if hour == 10 && day % 7 == 0 {
                    self.invite(day).await;
                }
                self.hour(day, hour);
            }
        }
    }

    /// Three residents an hour; sometimes somebody who may not.
    fn hour(&self, day: i64, hour: i64) {
        let (Some(north), Some(south)) = (self.controllers.first(), self.controllers.get(1)) else {
            return;
        };
        let turn = usize::try_from(day * 24 + hour).unwrap_or(0);
        for n in 0..3 {
            let household = (turn * 3 + n) % HOUSEHOLDS;
            let building = u8::try_from(household / (HOUSEHOLDS / 3) + 1).unwrap_or(1);
            north.swipe(building, card(household), true);
        }
        match hour {
            8 => drop(south.swipe(2, 10_000_001, true)),
            9 => drop(south.swipe(3, card(turn % HOUSEHOLDS), true)),
            14 => drop(north.swipe(1, VISITOR, true)),
            19 => drop(south.swipe(1, card(turn % HOUSEHOLDS), true)),
            // The cellar is closed then.
            23 => drop(south.swipe(3, card(turn % HOUSEHOLDS), true)),
            3 => drop(north.swipe(2, LOST, true)),
            _ => {}
        }
    }

    /// A visitor for a day, twice.
    async fn invite(&self, day: i64) {
        let now = self.clock.now();
        let (id, grant) = (format!("demo-visit-{day}"), format!("visit-{day}"));
        let (Ok(id), Ok(grant)) = (CommandId::new(&id), GrantId::new(&grant)) else { return };
        let groups = ["home-1".parse()].into_iter().flatten().collect();
        let account = format!("a-{}", flat(0)).parse().ok();
        let terms = Grant {
            card: u64::from(VISITOR),
            groups,
            account,
            plate: None,
            from: now,
            until: now.plus(Span::from_hours(12)),
            count: Some(2),
        };
        let order = Order::Grant(Box::new(GrantOrder { grant, terms }));
        let command = Command {
            id,
            issued_at: now,
            expires_at: now.plus(Span::from_mins(5)),
            actor: "demo/resident".to_owned(),
            order,
        };
        if let Ok(answer) = self.door.submit(command).await {
            tracing::debug!(outcome = ?answer.outcome, "a visitor's card");
        }
    }
}
