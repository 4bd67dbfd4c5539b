//! `[parking]`, `[[area]]`, `[[lane]]`, `[[permit]]`: the car park as the rules need it. Its tariffs are the
//! `[[parking]]` of the rule files.

use blockgate_rules::Fen;
use blockgate_rules::event::Text as Label;
use blockgate_rules::parking::ParkingTariff;
use blockgate_rules::parking::setup::{
    Area, Lane, ParkingSetup, Permit, VehicleClass, half_past_five,
};
use blockgate_rules::setup::AccountSetup;
use blockgate_types::strict::Table;
use blockgate_types::{AccountId, AreaId, LaneId, PermitId, Plate, Span, TariffId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most permits that a config may hold; more are given by commands.
const PERMITS_MAX: usize = 2_000;

/// Reads the car park; `None` without `[parking]`, or where something in it is wrong.
pub(super) fn parking(
    root: &Table<'_>,
    tariffs: &BTreeMap<TariffId, ParkingTariff>,
    accounts: &BTreeMap<AccountId, AccountSetup>,
) -> Option<ParkingSetup> {
    let Some(table) = root.table("parking") else {
        for key in ["area", "lane", "permit"] {
            for orphan in root.tables(key) {
                orphan.note(format!("[[{key}]] belongs to a car park: give [parking] too"));
            }
        }
        return None;
    };
    let account: Option<AccountId> = table.need_parsed("account");
    if let Some(account) = account.as_ref().filter(|account| !accounts.contains_key(account)) {
        table.note_at("account", format!("there is no [[account]] with id = \"{account}\""));
    }
    let item = if table.has("item") { table.parsed("item") } else { "parking".parse().ok() };
    let duplicate_within = spanned(&table, "duplicate_within", 0, 3_600_000);
    let expired_grace = spanned(&table, "expired_grace", 0, 31 * 86_400_000);
    let retention = spanned(&table, "retention", 86_400_000, 3_660 * 86_400_000);
    let statement_at = statement_at(&table);
    table.done();
    let areas = areas(root, tariffs);
    let lanes = lanes(root, &areas);
    let permits = permits(root, accounts);
    if areas.is_empty() || lanes.is_empty() {
        table.note("a car park has at least one [[area]] and one [[lane]]");
    }
    let used: BTreeSet<&TariffId> = areas.values().map(|area| &area.tariff).collect();
    Some(ParkingSetup {
        tariffs: tariffs
            .iter()
            .filter(|(id, _)| used.contains(id))
            .map(|(id, tariff)| (id.clone(), tariff.clone()))
            .collect(),
        areas,
        lanes,
        permits,
        account: account?,
        item: item?,
        duplicate_within: duplicate_within?,
        expired_grace: expired_grace?,
        retention: retention?,
        statement_at: statement_at?,
    })
}

/// A span that must be given, within bounds in milliseconds.
fn spanned(table: &Table<'_>, key: &'static str, min: i64, max: i64) -> Option<Span> {
    let span: Span = table.need_parsed(key)?;
    if !(min..=max).contains(&span.as_millis()) {
        let (min, max) = (Span::from_millis(min), Span::from_millis(max));
        table.note_at(key, format!("{key} must be from {min} to {max}, not {span}"));
    }
    Some(span)
}

/// When the statements of a night are written: half past five where nothing is said.
fn statement_at(table: &Table<'_>) -> Option<u16> {
    if !table.has("statement_at") {
        return Some(half_past_five());
    }
    let text = table.need_text("statement_at")?;
    let found = blockgate_rules::parking::minute_of_day(text).filter(|minute| *minute < 1_440);
    if found.is_none() {
        table.note_at("statement_at", format!("\"{text}\" is no time of day such as \"05:30\""));
    }
    found
}

fn label(table: &Table<'_>, id: &str) -> Label {
    let Some(label) = table.table("label") else {
        return Label { zh: id.to_owned(), en: id.to_owned() };
    };
    let text = |key| label.need_text(key).unwrap_or_default().to_owned();
    let found = Label { zh: text("zh"), en: text("en") };
    label.done();
    found
}

fn areas(root: &Table<'_>, tariffs: &BTreeMap<TariffId, ParkingTariff>) -> BTreeMap<AreaId, Area> {
    let mut areas: BTreeMap<AreaId, Area> = BTreeMap::new();
    let tables = root.tables("area");
    for table in &tables {
        let id: Option<AreaId> = table.need_parsed("id");
        let capacity = table.integer("capacity", 0..=100_000);
        if capacity.is_none() && !table.has("capacity") {
            table.need("capacity");
        }
        let within = table.parsed("within");
        let tariff: Option<TariffId> = table.need_parsed("tariff");
        if let Some(tariff) = tariff.as_ref().filter(|tariff| !tariffs.contains_key(tariff)) {
            let message = format!("no [[parking]] with id = \"{tariff}\" stands in rules.d");
            table.note_at("tariff", message);
        }
        let label = label(table, id.as_ref().map_or("", AreaId::as_str));
        if let (Some(id), Some(capacity), Some(tariff)) = (id, capacity, tariff) {
            let capacity = u32::try_from(capacity).unwrap_or(0);
            if areas.insert(id.clone(), Area { label, capacity, within, tariff }).is_some() {
                table.note_at("id", format!("there are two areas \"{id}\""));
            }
        }
        table.done();
    }
    for table in &tables {
        let Some(id) = table.parsed::<AreaId>("id") else { continue };
        let mut above = areas.get(&id).and_then(|area| area.within.clone());
        let mut seen = BTreeSet::from([id]);
        while let Some(next) = above {
            let Some(area) = areas.get(&next) else {
                table.note_at("within", format!("there is no area \"{next}\""));
                break;
            };
            if !seen.insert(next) {
                table.note_at("within", "the areas lie within one another in a circle");
                break;
            }
            above = area.within.clone();
        }
    }
    areas
}

fn lanes(root: &Table<'_>, areas: &BTreeMap<AreaId, Area>) -> BTreeMap<LaneId, Lane> {
    let mut lanes = BTreeMap::new();
    for table in root.tables("lane") {
        let id: Option<LaneId> = table.need_parsed("id");
        let (from, to) = (table.parsed::<AreaId>("from"), table.parsed::<AreaId>("to"));
        for (key, area) in [("from", &from), ("to", &to)] {
            if let Some(area) = area.as_ref().filter(|area| !areas.contains_key(area)) {
                table.note_at(key, format!("there is no [[area]] with id = \"{area}\""));
            }
        }
        if from == to {
            table.note(
                "a lane leads from an area, or to one, or from one to another: give from or to",
            );
        }
        let tickets = table.flag("tickets").unwrap_or(false);
        let label = label(&table, id.as_ref().map_or("", LaneId::as_str));
        if let Some(id) = id
            && lanes.insert(id.clone(), Lane { label, from, to, tickets }).is_some()
        {
            table.note_at("id", format!("there are two lanes \"{id}\""));
        }
        table.done();
    }
    lanes
}

fn permits(
    root: &Table<'_>,
    accounts: &BTreeMap<AccountId, AccountSetup>,
) -> BTreeMap<PermitId, Permit> {
    const CLASSES: &[(&str, VehicleClass)] = &[
        ("temporary", VehicleClass::Temporary),
        ("monthly", VehicleClass::Monthly),
        ("vip", VehicleClass::Vip),
        ("visitor", VehicleClass::Visitor),
        ("staff", VehicleClass::Staff),
        ("free", VehicleClass::Free),
        ("blocked", VehicleClass::Blocked),
    ];
    let mut permits = BTreeMap::new();
    let mut holders: BTreeMap<Plate, PermitId> = BTreeMap::new();
    let tables = root.tables("permit");
    if tables.len() > PERMITS_MAX {
        root.note(format!("a config holds at most {PERMITS_MAX} permits; give more by commands"));
    }
    for table in tables {
        let id: Option<PermitId> = table.need_parsed("id");
        let class = table.word("class", CLASSES);
        if class.is_none() && !table.has("class") {
            table.need("class");
        }
        let mut plates = Vec::new();
        for text in table.texts("plates") {
            match Plate::new(text) {
                Ok(plate) => {
                    let before = id.clone().and_then(|id| holders.insert(plate.clone(), id));
                    if let Some(other) = before {
                        let message = format!("{plate} has the permit {other} already");
                        table.note_at("plates", message);
                    }
                    plates.push(plate);
                }
                Err(error) => table.note_at("plates", error.to_string()),
            }
        }
        if plates.is_empty() {
            table.need("plates");
        }
        let account: Option<AccountId> = table.parsed("account");
        if let Some(account) = account.as_ref().filter(|account| !accounts.contains_key(account)) {
            table.note_at("account", format!("there is no [[account]] with id = \"{account}\""));
        }
        let on_account = table.flag("on_account").unwrap_or(false);
        if on_account && account.is_none() {
            table.note_at("on_account", "on_account needs an account");
        }
        let prepaid = table.flag("prepaid").unwrap_or(false);
        if prepaid && account.is_none() {
            table
                .note_at("prepaid", "prepaid needs an account, whose prepaid money is on the card");
        }
        if prepaid && on_account {
            table.note_at("prepaid", "a permit is prepaid or on_account, not both");
        }
        let spaces = table.integer("spaces", 1..=1_000).and_then(|n| u32::try_from(n).ok());
        let (from, until): (Option<Time>, Option<Time>) =
            (table.parsed("from"), table.parsed("until"));
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            table.note_at("until", "until is not after from");
        }
        if let (Some(id), Some(class)) = (id, class) {
            let paid_fen = Fen::ZERO;
            let permit = Permit {
                class,
                plates,
                account,
                on_account,
                prepaid,
                spaces,
                from,
                until,
                paid_fen,
            };
            if permits.insert(id.clone(), permit).is_some() {
                table.note_at("id", format!("there are two permits \"{id}\""));
            }
        }
        table.done();
    }
    permits
}
