//! Questions about doors: how they stand, what controllers still have to be told, what happened, who
//! may pass. Whose a card is stands here only: it never left the gateway.

use super::Shared;
use super::request::Fields;
use crate::config::doors::{ControllerConfig, Reach};
use crate::doors::{ControllerBoard, Doors, ReaderBoard, Shown};
use crate::problem::{Code, Problem};
use blockgate_rules::access::desired::{ALWAYS, Holder, NEVER};
use blockgate_rules::access::event::{Happened, Hold};
use blockgate_rules::access::setup::{AccessSetup, DoorSetup, Exit};
use blockgate_types::{ControllerId, DoorId};
use serde_json::{Value, json};

/// What is asked about doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DoorAsk {
    /// All doors.
    Doors,
    /// One.
    Door(DoorId),
    /// Who may pass it.
    WhoMay(DoorId),
    /// Controllers and what they still have to be told.
    Controllers,
    /// What happened.
    Events,
}

/// Answers a question about doors.
///
/// # Errors
/// [`Code::NotFound`] for a door that is none, [`Code::BadRequest`] for a parameter that is none.
pub(super) fn answer(shared: &Shared, ask: &DoorAsk, query: &str) -> Result<Value, Problem> {
    let known: &[&str] = match ask {
        DoorAsk::Events => &["door", "controller", "event", "card", "limit"],
        DoorAsk::WhoMay(_) => &["limit"],
        DoorAsk::Doors | DoorAsk::Door(_) | DoorAsk::Controllers => &[],
    };
    let fields = Fields::parse(query.as_bytes(), known)?;
    let doors = &shared.doors;
    let Some(setup) = doors.setup() else {
        return match ask {
            DoorAsk::Doors => Ok(json!({ "doors": [], "warnings": [] })),
            DoorAsk::Controllers => Ok(json!({ "controllers": [] })),
            DoorAsk::Events => Ok(json!({ "events": [] })),
            DoorAsk::Door(_) | DoorAsk::WhoMay(_) => Err(Code::NotFound.into()),
        };
    };
    Ok(match ask {
        DoorAsk::Doors => {
            let all: Vec<Value> =
                setup.doors.iter().map(|(id, door)| door_json(shared, setup, id, door)).collect();
            let state = doors.state();
            json!({
                "doors": all,
                "emergency": state.emergency_since(),
                "warnings": warnings(doors, setup),
            })
        }
        DoorAsk::Door(id) => {
            let door = setup.doors.get(id).ok_or(Code::NotFound)?;
            door_json(shared, setup, id, door)
        }
        DoorAsk::WhoMay(id) => {
            let door = setup.doors.get(id).ok_or(Code::NotFound)?;
            who_may(shared, id, door, fields.limit(1_000)?)
        }
        DoorAsk::Controllers => {
            let boards = doors.boards().clone();
            let all = doors.config().controllers.iter().map(|(id, config)| {
                let board = boards.get(id).cloned().unwrap_or_default();
                controller_json(shared, id, config, &board)
            });
            json!({ "controllers": all.collect::<Vec<_>>(), "strange_datagrams": doors.strangers() })
        }
        DoorAsk::Events => {
            let (door, event) = (fields.get("door"), fields.get("event"));
            let controller = fields.get("controller");
            let card: Option<u64> = fields.parsed("card")?;
            let wanted = |shown: &Shown| {
                let entry = &shown.entry;
                door.is_none_or(|id| entry.door.as_ref().is_some_and(|d| d.as_str() == id))
                    && controller.is_none_or(|id| shown.controller.as_str() == id)
                    && card.is_none_or(|card| entry.card == Some(card))
                    && event.is_none_or(|word| happened(entry.event) == word)
            };
            let found = doors.newest(fields.limit(100)?, wanted);
            let rows: Vec<Value> = found.iter().map(|shown| entry_json(doors, shown)).collect();
            json!({ "events": rows })
        }
    })
}

/// Doors, warnings and controllers in one document.
pub(super) fn whole(shared: &Shared) -> Value {
    let ask = |ask| answer(shared, &ask, "").unwrap_or_default();
    let (mut whole, controllers) = (ask(DoorAsk::Doors), ask(DoorAsk::Controllers));
    if let (Some(whole), Some(all)) = (whole.as_object_mut(), controllers.get("controllers")) {
        whole.insert("controllers".to_owned(), all.clone());
    }
    whole
}

fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Normal => "normal",
        Hold::Open => "open",
        Hold::Locked => "locked",
    }
}

/// The stable word of what happened, as in the journal.
fn happened(what: Happened) -> String {
    serde_json::to_value(what).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What a person should know of the config and the state.
fn warnings(doors: &Doors, setup: &AccessSetup) -> Vec<Value> {
    let state = doors.state();
    let confirmed = setup.arrears.is_some() && state.confirmed() == setup.arrears.as_ref();
    let entrances = setup.entrances_at_stake();
    let all = doors.config().warnings.iter();
    all.map(
        |(zh, en)| json!({ "zh": zh, "en": en, "entrances": entrances, "confirmed": confirmed }),
    )
    .collect()
}

fn door_json(shared: &Shared, setup: &AccessSetup, id: &DoorId, door: &DoorSetup) -> Value {
    let doors = &shared.doors;
    let now = shared.clock.now();
    let state = doors.state();
    let board = doors.boards().get(&door.controller).cloned().unwrap_or_default();
    let held = state.holds().get(id);
    let of_door = |shown: &Shown| shown.entry.door.as_ref() == Some(id);
    let last = doors.newest(1, of_door);
    let arrears = setup.arrears.as_ref().is_some_and(|rule| rule.doors.contains(id));
    json!({
        "id": id,
        "controller": door.controller,
        "number": door.number,
        "exit": match door.exit {
            Exit::Mechanical => "mechanical", Exit::Button => "button", Exit::Reader => "reader",
        },
        "entrance": door.entrance,
        "unlock_s": door.unlock_s,
        "lane": door.lane,
        "online": board.heard.is_some() && board.trouble.is_none(),
        "held": hold(state.hold_of(id, now)),
        "held_until": held.and_then(|held| held.until),
        "held_reason": held.map(|held| held.reason.clone()),
        "emergency": state.emergency().contains(id),
        "open_since": board.open.get(&door.number),
        "unlocked": board.unlocked.contains(&door.number),
        "arrears_rule": arrears,
        "last": last.first().map(|shown| entry_json(doors, shown)),
    })
}

fn who_may(shared: &Shared, id: &DoorId, door: &DoorSetup, limit: usize) -> Value {
    let doors = &shared.doors;
    let lists = doors.lists(shared.clock.now());
    let place = usize::from(door.number.saturating_sub(1));
    let mut rows = Vec::new();
    let mut all = 0_usize;
    for (card, row) in lists.get(&door.controller).iter().flat_map(|list| &list.cards) {
        let right = row.doors.get(place).copied().unwrap_or(NEVER);
        if right == NEVER {
            continue;
        }
        all += 1;
        if rows.len() >= limit {
            continue;
        }
        let holder = lists.get(&door.controller).and_then(|list| list.holders.get(card));
        let (person, grant) = match holder {
            Some(Holder::Person(person)) => (Some(person), None),
            Some(Holder::Grant(grant)) => (None, Some(grant)),
            None => (None, None),
        };
        let of = person.and_then(|person| doors.config().people.get(person));
        rows.push(json!({
            "card": card,
            "person": person,
            "grant": grant,
            "account": of.and_then(|of| of.account.as_ref()),
            "staff": of.is_some_and(|of| of.staff),
            "pin": row.pin != 0,
            "from": row.from.to_string(),
            "until": row.to.to_string(),
            "always": right == ALWAYS,
            "profile": (right != ALWAYS).then_some(right),
        }));
    }
    json!({ "door": id, "may": rows, "all": all })
}

fn controller_json(
    shared: &Shared,
    id: &ControllerId,
    config: &ControllerConfig,
    board: &ControllerBoard,
) -> Value {
    let wanted = shared.doors.lists(shared.clock.now());
    let wanted = wanted.get(id).map_or(0, |list| list.cards.len());
    let cursor = shared.doors.state().cursor(id);
    json!({
        "id": id,
        "vendor": config.reach.vendor(),
        "serial": match &config.reach {
            Reach::Uhppote { serial, .. } => Some(*serial),
            Reach::Hikvision { .. } | Reach::Osdp { .. } => None,
        },
        "at": match &config.reach {
            Reach::Uhppote { host, port, .. } => format!("{host}:{port}"),
            Reach::Hikvision { target, .. } | Reach::Osdp { target, .. } => target.to_string(),
        },
        "readers": board.readers.iter().map(reader_json).collect::<Vec<_>>(),
        "online": board.heard.is_some() && board.trouble.is_none(),
        "heard": board.heard,
        "trouble": board.trouble,
        "version": board.version,
        "clock_off_ms": board.clock_off_ms,
        "fire": board.fire,
        "index": cursor,
        "unread": board.newest.saturating_sub(cursor.unwrap_or(0)),
        "cards": board.cards,
        "cards_wanted": wanted,
        "read_back": board.read_back,
        "in_step": board.read_back && board.pending.all() == 0,
        "pending": {
            "all": board.pending.all(),
            "doors": board.pending.doors,
            "deletes": board.pending.deletes,
            "profiles": board.pending.profiles,
            "puts": board.pending.puts,
            "others": board.pending.others,
        },
        "pushed": board.pushed,
        "not_taken": board.refused_pushes,
        "last_not_taken": board.last_refused,
        "refused": {
            "strangers": board.refused.strangers,
            "forged": board.refused.forged,
            "replayed": board.refused.replayed,
        },
    })
}

/// An OSDP reader as it was last seen.
fn reader_json(reader: &ReaderBoard) -> Value {
    json!({
        "address": reader.address,
        "door": reader.door,
        "online": reader.online,
        "secure": reader.secure,
        "wrong_key": reader.wrong_key,
        "trouble": reader.trouble,
        "tamper": reader.tamper,
        "power_low": reader.power,
    })
}

fn entry_json(doors: &Doors, shown: &Shown) -> Value {
    let entry = &shown.entry;
    let person = entry.card.and_then(|card| doors.owner(card));
    let grant = entry.card.filter(|_| person.is_none()).and_then(|card| {
        let state = doors.state();
        state.grants().iter().find(|(_, used)| used.terms.card == card).map(|(id, _)| id.clone())
    });
    let account = person.and_then(|id| doors.config().people.get(id)?.account.clone());
    json!({
        "controller": shown.controller,
        "index": entry.index,
        "at": entry.at,
        "door": entry.door,
        "event": happened(entry.event),
        "denied": entry.denied,
        "card": entry.card,
        "inward": entry.inward,
        "person": person,
        "grant": grant,
        "account": account,
    })
}
