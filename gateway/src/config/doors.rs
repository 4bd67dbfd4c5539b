//! `[doors]`, `[[controller]]`, `[[door]]`, `[[door_group]]`, `[[schedule]]`, `[[person]]`: who may pass
//! where and when, and how the controllers are reached. People stay in the gateway.

use super::parse::bounded;
use super::pins;
use blockgate_drivers::Parity;
use blockgate_drivers::transport::Target;
use blockgate_rules::Fen;
use blockgate_rules::access::people::{People, Person, faults};
use blockgate_rules::access::setup::{
    AccessSetup, ArrearsRule, ControllerSetup, DoorSetup, Exit, Group, Holiday, PaidRight,
    SCHEDULES_MAX, Schedule, Window,
};
use blockgate_rules::calendar::{Day, parse_day};
use blockgate_rules::setup::AccountSetup;
use blockgate_types::strict::Table;
use blockgate_types::{
    AccountId, ControllerId, DoorId, GroupId, LaneId, PersonId, ScheduleId, Span,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

/// Most people that a config may hold.
const PEOPLE_MAX: usize = 20_000;

/// How a controller is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerConfig {
    /// Whose protocol it speaks, and where.
    pub reach: Reach,
    /// Asked this often when nothing is to do.
    pub poll_every: Span,
    /// How long one question waits for its answer; readers have the time of their standard.
    pub timeout: Span,
    /// At most so many changes of its list a second.
    pub push_per_second: u32,
    /// Silent for longer than this is an alarm.
    pub offline_after: Span,
}

/// A controller's protocol, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// UHPPOTE over UDP.
    Uhppote {
        /// Its serial number.
        serial: u32,
        /// Name or address.
        host: String,
        /// Port; 60000 by custom.
        port: u16,
    },
    /// Hikvision access control over ISAPI.
    Hikvision {
        /// Where.
        target: Target,
        /// Its user.
        user: String,
        /// File with that user's password.
        password_file: PathBuf,
    },
    /// OSDP readers on one wire: the gateway is their control panel.
    Osdp {
        /// The wire.
        target: Target,
        /// In the order of the config.
        readers: Vec<ReaderConfig>,
        /// A PIN with its last digit one higher opens and says "under threat".
        duress_pin: bool,
    },
}

impl Reach {
    /// The word of its protocol in the config.
    #[must_use]
    pub fn vendor(&self) -> &'static str {
        match self {
            Self::Uhppote { .. } => "uhppote",
            Self::Hikvision { .. } => "hikvision",
            Self::Osdp { .. } => "osdp",
        }
    }
}

/// An OSDP reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderConfig {
    /// Its address on the wire, 0 to 126.
    pub address: u8,
    /// The number of its door, 1 to 4.
    pub door: u8,
    /// File with its key; none where the config says that it speaks in the clear.
    pub key_file: Option<PathBuf>,
    /// Whether it leads in.
    pub inward: bool,
    /// Its output with the door's strike, 0 to 15, where it has one.
    pub output: Option<u8>,
    /// Its input with the door's contact: on while the door stands open.
    pub contact: Option<u8>,
    /// Its input with the button inside.
    pub button: Option<u8>,
}

/// Controllers and people, as the gateway needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DoorsConfig {
    /// Controllers by id.
    pub controllers: BTreeMap<ControllerId, ControllerConfig>,
    /// People by id.
    pub people: Arc<People>,
    /// Where controllers push their events to, as a hint to ask them: address and port.
    pub listener: Option<SocketAddrV4>,
    /// What a person should know of the config, that is no fault: zh-CN and English.
    pub warnings: Vec<(String, String)>,
}

/// Reads all sections; no setup where the block has no controller.
pub(super) fn read(
    root: &Table<'_>,
    accounts: &BTreeMap<AccountId, AccountSetup>,
    lanes: &BTreeSet<LaneId>,
    path: &dyn Fn(&str) -> PathBuf,
) -> (Option<AccessSetup>, DoorsConfig) {
    let mut setup = AccessSetup::default();
    let mut config = DoorsConfig::default();
    let mut pins = BTreeMap::new();
    if let Some(table) = root.table("doors") {
        config.listener = table.parsed("listener");
        if config.listener.is_some_and(|at| at.ip().is_unspecified() || at.port() == 0) {
            let message =
                "listener is the address that controllers send to, like \"10.0.9.2:60001\"";
            table.note_at("listener", message);
        }
        if let Some(file) = table.text("pins_file") {
            match pins::read(&path(file)) {
                Ok(found) => pins = found,
                Err(why) => table.note_at("pins_file", why),
            }
        }
        for text in table.texts("holidays") {
            match parse_day(text) {
                Some(day) => drop(setup.holidays.insert(Holiday(day))),
                None => {
                    let message = format!("{text:?} is not a day like \"2026-05-01\"");
                    table.note_at("holidays", message);
                }
            }
        }
        table.done();
    }
    controllers(root, path, &mut setup, &mut config);
    setup.doors = doors(root, &config.controllers, lanes);
    setup.schedules = schedules(root);
    setup.groups = groups(root, &setup, accounts);
    setup.arrears = arrears(root, &setup, &mut config);
    config.people = Arc::new(people(root, &setup, accounts, &pins));
    for id in pins.keys().filter(|id| !config.people.contains_key(*id)) {
        root.note_at("doors", format!("pins_file has a PIN of {id}, who is no [[person]]"));
    }
    if setup.controllers.is_empty() {
        for key in ["door", "door_group", "person", "schedule"] {
            for orphan in root.tables(key) {
                orphan.note(format!("[[{key}]] belongs to a controller: give [[controller]] too"));
            }
        }
        return (None, config);
    }
    (Some(setup), config)
}

const ANTI_PASSBACK: [(&str, u8); 5] =
    [("off", 0), ("1:2,3:4", 1), ("13:24", 2), ("1:23", 3), ("1:234", 4)];

#[derive(Clone, Copy)]
enum Vendor {
    Uhppote,
    Hikvision,
    Osdp,
}

/// Keys that belong to a kind of controller: none of them is called unknown while the kind is.
const OF_KINDS: [&str; 12] = [
    "serial",
    "host",
    "port",
    "user",
    "password_file",
    "anti_passback",
    "path",
    "baud",
    "reader",
    "duress_pin",
    "timeout",
    "push_per_second",
];

fn controllers(
    root: &Table<'_>,
    path: &dyn Fn(&str) -> PathBuf,
    setup: &mut AccessSetup,
    config: &mut DoorsConfig,
) {
    for table in root.tables("controller") {
        let id: Option<ControllerId> = table.need_parsed("id");
        table.need("vendor");
        let vendors = [
            ("uhppote", Vendor::Uhppote),
            ("hikvision", Vendor::Hikvision),
            ("osdp", Vendor::Osdp),
        ];
        let vendor = table.word("vendor", &vendors);
        let (mut anti_passback, mut usual) = (0, Span::from_secs(1));
        let reach = match vendor {
            None => {
                for key in OF_KINDS {
                    let _ = table.has(key);
                }
                None
            }
            Some(Vendor::Uhppote) => {
                anti_passback = table.word("anti_passback", &ANTI_PASSBACK).unwrap_or(0);
                uhppote(&table, config)
            }
            Some(Vendor::Hikvision) => hikvision(&table, path),
            Some(Vendor::Osdp) => {
                usual = Span::from_millis(100);
                osdp(&table, path, id.as_ref(), config)
            }
        };
        let poll_every = bounded(&table, "poll_every", usual, 50, 3_600_000);
        let readers = matches!(vendor, Some(Vendor::Osdp));
        if readers && poll_every.as_millis() > 1_000 {
            table.note_at(
                "poll_every",
                "a reader is polled each second at least: it waits for its answer",
            );
        }
        let offline_after = bounded(&table, "offline_after", Span::from_mins(2), 5_000, 86_400_000);
        let (mut timeout, mut push) = (Span::from_millis(800), 50);
        if !readers {
            timeout = bounded(&table, "timeout", timeout, 50, 30_000);
            push = table.integer("push_per_second", 1..=1_000).unwrap_or(push);
        }
        table.done();
        let Some((id, reach)) = id.zip(reach) else { continue };
        let of_rules = ControllerSetup { vendor: reach.vendor().to_owned(), anti_passback };
        let push_per_second = u32::try_from(push).unwrap_or(50);
        let controller =
            ControllerConfig { reach, poll_every, timeout, push_per_second, offline_after };
        setup.controllers.insert(id.clone(), of_rules);
        if config.controllers.insert(id.clone(), controller).is_some() {
            table.note_at("id", format!("controller {id} stands here twice"));
        }
    }
}

fn uhppote(table: &Table<'_>, config: &DoorsConfig) -> Option<Reach> {
    table.need("serial");
    let serial = table.integer("serial", 1..=i64::from(u32::MAX));
    let host = table.need_text("host").map(str::to_owned);
    let port = table.integer("port", 1..=65_535).unwrap_or(60_000);
    let serial = u32::try_from(serial?).ok()?;
    let same = |other: &ControllerConfig| matches!(other.reach, Reach::Uhppote { serial: known, .. } if known == serial);
    if config.controllers.values().any(same) {
        table.note_at("serial", "another controller has this serial number");
    }
    Some(Reach::Uhppote { serial, host: host?, port: u16::try_from(port).unwrap_or(60_000) })
}

fn hikvision(table: &Table<'_>, path: &dyn Fn(&str) -> PathBuf) -> Option<Reach> {
    let host = table.need_text("host").map(str::to_owned);
    let port = table.integer("port", 1..=65_535).unwrap_or(80);
    let user = table.need_text("user").map(str::to_owned);
    let password_file = table.need_text("password_file").map(path);
    let target = Target::Tcp { host: host?, port: u16::try_from(port).unwrap_or(80) };
    Some(Reach::Hikvision { target, user: user?, password_file: password_file? })
}

fn osdp(
    table: &Table<'_>,
    path: &dyn Fn(&str) -> PathBuf,
    id: Option<&ControllerId>,
    config: &mut DoorsConfig,
) -> Option<Reach> {
    let serial = table.text("path").map(str::to_owned);
    let host = table.text("host").map(str::to_owned);
    let port = table.integer("port", 1..=65_535).unwrap_or(4_001);
    let baud = table.integer("baud", 9_600..=230_400).unwrap_or(9_600);
    let duress_pin = table.flag("duress_pin").unwrap_or(false);
    let target = match (serial, host) {
        (Some(path), None) => Some(Target::Serial {
            path,
            baud: u32::try_from(baud).unwrap_or(9_600),
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
        }),
        (None, Some(host)) => {
            Some(Target::Tcp { host, port: u16::try_from(port).unwrap_or(4_001) })
        }
        (Some(_), Some(_)) | (None, None) => {
            table.note(
                "readers hang on a serial port (path) or on a serial server (host): give one",
            );
            None
        }
    };
    let mut readers: Vec<ReaderConfig> = Vec::new();
    for one in table.tables("reader") {
        one.need("address");
        let address = one.integer("address", 0..=126).and_then(|n| u8::try_from(n).ok());
        one.need("door");
        let door = one.integer("door", 1..=4).and_then(|n| u8::try_from(n).ok());
        let key_file = one.text("key_file").map(path);
        let clear = one.word("secure_channel", &[("required", false), ("off", true)]) == Some(true);
        if key_file.is_none() && !clear {
            one.note(
                "give key_file: the secure channel is required. Where a reader really has none, \
                 say secure_channel = \"off\"",
            );
        }
        if key_file.is_some() && clear {
            one.note_at("secure_channel", "a reader with a key_file does not speak in the clear");
        }
        let inward = one.word("direction", &[("in", true), ("out", false)]).unwrap_or(true);
        let place = |key| one.integer(key, 0..=15).and_then(|n| u8::try_from(n).ok());
        let (output, contact, button) = (place("output"), place("contact"), place("button"));
        one.done();
        let Some((address, door)) = address.zip(door) else { continue };
        if readers.iter().any(|other| other.address == address) {
            one.note_at("address", "another reader of this wire has this address");
        }
        if let (true, Some(id)) = (clear, id) {
            config.warnings.push((
                format!("{id} 地址 {address} 的读头不加密：接触到线路的人可以读出并重放卡号。"),
                format!(
                    "the reader {address} of {id} speaks in the clear: who reaches the wire can read \
                     cards and replay them."
                ),
            ));
        }
        readers.push(ReaderConfig { address, door, key_file, inward, output, contact, button });
    }
    if readers.is_empty() {
        table.note("give at least one [[controller.reader]] with address and door");
    }
    // The strike hangs on a door's first reader unless the config says otherwise.
    for door in 1..=4 {
        let mut of_door = readers.iter_mut().filter(|reader| reader.door == door);
        let first = of_door.next();
        if let Some(first) = first.filter(|first| first.output.is_none())
            && of_door.all(|reader| reader.output.is_none())
        {
            first.output = Some(0);
        }
    }
    Some(Reach::Osdp { target: target?, readers, duress_pin })
}

fn doors(
    root: &Table<'_>,
    controllers: &BTreeMap<ControllerId, ControllerConfig>,
    lanes: &BTreeSet<LaneId>,
) -> BTreeMap<DoorId, DoorSetup> {
    let mut doors: BTreeMap<DoorId, DoorSetup> = BTreeMap::new();
    for table in root.tables("door") {
        let id: Option<DoorId> = table.need_parsed("id");
        let controller: Option<ControllerId> = table.need_parsed("controller");
        if let Some(id) = controller.as_ref().filter(|id| !controllers.contains_key(*id)) {
            table.note_at("controller", format!("there is no [[controller]] with id = \"{id}\""));
        }
        table.need("number");
        let number = table.integer("number", 1..=4);
        // No default: they decide who gets out.
        table.need("exit");
        let exits =
            [("mechanical", Exit::Mechanical), ("button", Exit::Button), ("reader", Exit::Reader)];
        let exit = table.word("exit", &exits);
        table.need("power_loss");
        let locked = table.word("power_loss", &[("unlocked", false), ("locked", true)]);
        if locked == Some(true) && exit.is_some_and(|exit| exit != Exit::Mechanical) {
            let message = "a door that stays locked without power needs exit = \"mechanical\": \
                           whoever is inside must get out";
            table.note_at("power_loss", message);
        }
        let reach = controller.as_ref().and_then(|id| controllers.get(id)).map(|one| &one.reach);
        if let Some(Reach::Osdp { readers, .. }) = reach {
            if exit.is_some_and(|exit| exit != Exit::Mechanical) {
                let message = "OSDP readers do nothing without the gateway: exit must be \"mechanical\", \
                               so that whoever is inside gets out without it";
                table.note_at("exit", message);
            }
            let has = |number| readers.iter().any(|reader| i64::from(reader.door) == number);
            if number.is_some_and(|number| !has(number)) {
                table.note_at("number", "no [[controller.reader]] has this number as its door");
            }
        }
        let lane: Option<LaneId> = table.parsed("lane");
        if let Some(lane) = lane.as_ref().filter(|lane| !lanes.contains(*lane)) {
            table.note_at("lane", format!("there is no [[camera]] with lane = \"{lane}\""));
        }
        let entrance = table.flag("entrance").unwrap_or(false);
        let unlock = bounded(&table, "unlock", Span::from_secs(5), 1_000, 255_000);
        table.done();
        let known = id.zip(controller).zip(number).zip(exit);
        let Some((((id, controller), number), exit)) = known else { continue };
        let number = u8::try_from(number).unwrap_or(0);
        let taken = |door: &DoorSetup| door.controller == controller && door.number == number;
        if doors.values().any(taken) {
            table.note_at("number", format!("{controller} has a door {number} already"));
        }
        let unlock_s = unlock.as_millis().checked_div(1_000).and_then(|s| u8::try_from(s).ok());
        let door =
            DoorSetup { controller, number, exit, entrance, unlock_s: unlock_s.unwrap_or(5), lane };
        if doors.insert(id.clone(), door).is_some() {
            table.note_at("id", format!("door {id} stands here twice"));
        }
    }
    doors
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn schedules(root: &Table<'_>) -> BTreeMap<ScheduleId, Schedule> {
    let mut schedules = BTreeMap::new();
    for table in root.tables("schedule") {
        let id: Option<ScheduleId> = table.need_parsed("id");
        let mut schedule = Schedule::default();
        let all = windows(&table, "daily");
        let work = windows(&table, "weekdays");
        let rest = windows(&table, "weekend");
        for (day, place) in schedule.week.iter_mut().enumerate() {
            let part = if day < 5 { &work } else { &rest };
            let own = DAYS.get(day).and_then(|day| windows(&table, day));
            *place = own.or_else(|| part.clone()).or_else(|| all.clone()).unwrap_or_default();
        }
        schedule.holidays = windows(&table, "holidays").unwrap_or_default();
        table.done();
        let Some(id) = id else { continue };
        if schedules.insert(id.clone(), schedule).is_some() {
            table.note_at("id", format!("schedule {id} stands here twice"));
        }
    }
    if schedules.len() > SCHEDULES_MAX {
        root.note_at("schedule", format!("a block has at most {SCHEDULES_MAX} schedules"));
    }
    schedules
}

/// `"08:00-12:00 13:00-18:00"`; empty for a day without.
fn windows(table: &Table<'_>, key: &'static str) -> Option<Vec<Window>> {
    let text = table.text(key)?;
    let mut found: Vec<Window> = Vec::new();
    for part in text.split_whitespace() {
        let ends =
            part.split_once('-').and_then(|(from, until)| Some((clock(from)?, clock(until)?)));
        match ends {
            Some((from, until)) if from < until => found.push(Window { from, until }),
            Some(_) | None => {
                let message = format!(
                    "{part:?} is not a stretch of a day like \"08:00-18:00\" or \"20:00-24:00\""
                );
                table.note_at(key, message);
            }
        }
    }
    Some(blockgate_rules::access::profile::merged(found.into_iter()))
}

fn clock(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
    let (hour, minute) = (two(hour)?, two(minute)?);
    let all = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && all <= 1_440).then_some(all)
}

fn ids<T: std::str::FromStr + Ord>(table: &Table<'_>, key: &'static str) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    for text in table.texts(key) {
        match text.parse() {
            Ok(id) => drop(found.insert(id)),
            Err(_) => table.note_at(key, format!("{text:?} is not an id")),
        }
    }
    found
}

fn known_doors(table: &Table<'_>, key: &'static str, setup: &AccessSetup) -> BTreeSet<DoorId> {
    let doors: BTreeSet<DoorId> = ids(table, key);
    for door in doors.iter().filter(|door| !setup.doors.contains_key(*door)) {
        table.note_at(key, format!("there is no [[door]] with id = \"{door}\""));
    }
    doors
}

fn groups(
    root: &Table<'_>,
    setup: &AccessSetup,
    accounts: &BTreeMap<AccountId, AccountSetup>,
) -> BTreeMap<GroupId, Group> {
    let mut groups = BTreeMap::new();
    for table in root.tables("door_group") {
        let id: Option<GroupId> = table.need_parsed("id");
        table.need("doors");
        let schedule: Option<ScheduleId> = table.parsed("schedule");
        if let Some(schedule) = schedule.as_ref().filter(|s| !setup.schedules.contains_key(*s)) {
            let message = format!("there is no [[schedule]] with id = \"{schedule}\"");
            table.note_at("schedule", message);
        }
        let of: BTreeSet<AccountId> = ids(&table, "accounts");
        for account in of.iter().filter(|account| !accounts.contains_key(*account)) {
            table.note_at("accounts", format!("there is no [[account]] with id = \"{account}\""));
        }
        let paid = table.table("paid").and_then(|paid| {
            let item = paid.need_parsed("item");
            let amount = paid.decimal("amount");
            paid.need("amount");
            let fen = amount.and_then(Fen::round).filter(|fen| *fen > Fen::ZERO);
            if amount.is_some() && fen.is_none() {
                paid.note_at("amount", "amount must be greater than zero");
            }
            paid.need("days");
            let days = paid.integer("days", 1..=3_660).and_then(|days| u32::try_from(days).ok());
            paid.done();
            Some(PaidRight { item: item?, fen: fen?, days: days? })
        });
        let group = Group {
            doors: known_doors(&table, "doors", setup),
            buildings: table.texts("buildings").into_iter().map(str::to_owned).collect(),
            accounts: of,
            residents: table.flag("residents").unwrap_or(false),
            staff: table.flag("staff").unwrap_or(false),
            schedule,
            paid,
        };
        table.done();
        let Some(id) = id else { continue };
        if groups.insert(id.clone(), group).is_some() {
            table.note_at("id", format!("door_group {id} stands here twice"));
        }
    }
    groups
}

fn arrears(root: &Table<'_>, setup: &AccessSetup, config: &mut DoorsConfig) -> Option<ArrearsRule> {
    let table = root.table("arrears_doors")?;
    table.need("doors");
    let doors = known_doors(&table, "doors", setup);
    table.need("overdue_days");
    let days = table.integer("overdue_days", 1..=3_660);
    table.done();
    let rule = ArrearsRule { doors, overdue_days: u32::try_from(days?).ok()? };
    let whole = AccessSetup { arrears: Some(rule.clone()), ..setup.clone() };
    let at_stake: Vec<&str> = whole.entrances_at_stake().into_iter().map(DoorId::as_str).collect();
    if !at_stake.is_empty() {
        let names = at_stake.join(", ");
        config.warnings.push((
            format!("[arrears_doors] 会让欠费住户无法从 {names} 回家；须由具名人员用 confirm-arrears 确认后才生效。"),
            format!(
                "[arrears_doors] keeps households in arrears from coming home by {names}; it does \
                 nothing until a named person confirms it by confirm-arrears."
            ),
        ));
    }
    Some(rule)
}

fn people(
    root: &Table<'_>,
    setup: &AccessSetup,
    accounts: &BTreeMap<AccountId, AccountSetup>,
    pins: &BTreeMap<PersonId, u32>,
) -> People {
    let mut people = People::new();
    let mut places = BTreeMap::new();
    for table in root.tables("person") {
        let id: Option<PersonId> = table.need_parsed("id");
        let account: Option<AccountId> = table.parsed("account");
        if let Some(account) = account.as_ref().filter(|account| !accounts.contains_key(*account)) {
            table.note_at("account", format!("there is no [[account]] with id = \"{account}\""));
        }
        let day = |key| -> Option<Day> {
            let text = table.text(key)?;
            let day = parse_day(text);
            if day.is_none() {
                table.note_at(key, format!("{text:?} is not a day like \"2026-05-01\""));
            }
            day
        };
        if table.has("pin") {
            let message = "a PIN does not stand in the config: put it into the file that [doors] pins_file \
                           names, which nobody else may read";
            table.note_at("pin", message);
        }
        let person = Person {
            account,
            staff: table.flag("staff").unwrap_or(false),
            groups: ids(&table, "groups"),
            cards: cards(&table),
            pin: id.as_ref().and_then(|id| pins.get(id)).copied(),
            plates: ids(&table, "plates"),
            from: day("from"),
            until: day("until"),
        };
        if person.pin.is_some() && person.cards.is_empty() {
            table.note("a PIN is typed after a card: give cards too");
        }
        table.done();
        let Some(id) = id else { continue };
        if people.insert(id.clone(), person).is_some() {
            table.note_at("id", format!("person {id} stands here twice"));
        }
        places.insert(id, table);
    }
    if people.len() > PEOPLE_MAX {
        root.note_at("person", format!("a block has at most {PEOPLE_MAX} people"));
    }
    for (id, what) in faults(&people, setup) {
        if let Some(table) = places.get(&id) {
            table.note(what);
        }
    }
    people
}

/// Card numbers as text, as they stand on the card: `"10058400"`; 8+5 digits with a comma are facility
/// code and number of a Wiegand 26 card.
fn cards(table: &Table<'_>) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for text in table.texts("cards") {
        let number = match text.split_once(',') {
            None => text.parse::<u32>().ok(),
            Some((facility, number)) => facility
                .parse::<u8>()
                .ok()
                .zip(number.parse::<u16>().ok())
                // The controller writes facility code and number side by side, in decimal.
                .map(|(facility, number)| u32::from(facility) * 100_000 + u32::from(number)),
        };
        match number.filter(|number| blockgate_drivers::door::uhppote::is_card(*number)) {
            Some(number) => drop(found.insert(u64::from(number))),
            None => {
                let message = format!("{text:?} is not a card's number like \"10058400\"");
                table.note_at("cards", message);
            }
        }
    }
    found
}
