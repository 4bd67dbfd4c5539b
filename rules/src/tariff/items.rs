//! The parts of a rule file that are not tiers: dated prices, base prices, adjustments, bindings.

use super::binding::{Adjustment, Binding, Change};
use super::parse::{monthly, not_negative, required_amount};
use super::read::{Faults, Table};
use super::{Base, BasePrice, Dated, DueOn, Instalment, Pricing, Revision, YearlyInstalment};
use crate::apportionment::{
    AboveBound, Apportionment, Direction, FloorWeight, LossBound, Members, Portion, TieBreak,
    Weighting,
};
use crate::money::plus;
use blockgate_types::{AccountId, Decimal, ItemId, Span, TariffId, Unit};
use std::collections::BTreeMap;

/// What a price can be for.
pub(super) const PER: &[(&str, Unit)] = &[
    ("household", Unit::Household),
    ("person", Unit::Person),
    ("space", Unit::Space),
    ("m2", Unit::SquareMetre),
];

/// Kind `once`: on one day, or in instalments.
pub(super) fn once(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Dated> {
    const LIKE: &str = "[ { on = \"2026-06-01\", share = \"0.5\" }, … ]";
    let rate = required_amount(table, "price", faults);
    let per = table.choice("per", PER, faults);
    let mut instalments: Vec<Instalment> = Vec::new();
    if table.has("on") {
        let on = table.day("on", faults);
        instalments.extend(on.map(|on| Instalment { on, share: Decimal::ONE }));
        if table.has("instalments") {
            faults.at(&table.place_of("instalments"), "give \"on\" or \"instalments\", not both");
        }
    } else {
        let mut sum = Some(Decimal::ZERO);
        for entry in table.tables("instalments", LIKE, faults) {
            entry.only(&["on", "share"], faults);
            let on = entry.day("on", faults);
            let share = share(&entry, faults);
            if let (Some(on), Some(share)) = (on, share) {
                if instalments.last().is_some_and(|last| last.on >= on) {
                    faults.at(&entry.place_of("on"), "the days of instalments must rise");
                }
                sum = sum.and_then(|sum| plus(sum, share));
                instalments.push(Instalment { on, share });
            }
        }
        whole(table, sum, faults);
    }
    Some(Dated { rate: rate?, per: per?, due: DueOn::Once { instalments } })
}

/// Kind `seasonal`: every year, in instalments.
pub(super) fn seasonal(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Dated> {
    let rate = required_amount(table, "price", faults);
    let per = table.choice("per", PER, faults);
    let due = yearly(table, faults);
    Some(Dated { rate: rate?, per: per?, due })
}

fn yearly(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> DueOn {
    const LIKE: &str = "[ { on = \"11-15\", share = \"0.5\" }, … ]";
    let mut instalments: Vec<YearlyInstalment> = Vec::new();
    let mut sum = Some(Decimal::ZERO);
    for entry in table.tables("instalments", LIKE, faults) {
        entry.only(&["on", "share"], faults);
        let on = entry.day_of_year("on", faults);
        let share = share(&entry, faults);
        if let (Some(on), Some(share)) = (on, share) {
            sum = sum.and_then(|sum| plus(sum, share));
            instalments.push(YearlyInstalment { on, share });
        }
    }
    // In the order of a season: from one day on around the year, once.
    let days: Vec<(i8, i8)> = instalments.iter().map(|part| part.on).collect();
    let falls = days.windows(2).filter(|pair| matches!(pair, [a, b] if a >= b)).count();
    let around = days.first().zip(days.last()).is_some_and(|(first, last)| last >= first);
    if falls > 1 || (falls == 1 && around) {
        faults.at(&table.place_of("instalments"), "the days of a season must follow each other");
    }
    whole(table, sum, faults);
    DueOn::Yearly { instalments }
}

/// Kind `periodic`: every so many months.
pub(super) fn periodic(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Dated> {
    let rate = required_amount(table, "price", faults);
    let per = table.choice("per", PER, faults);
    let months = table.number("every_months", faults);
    if months.is_some_and(|months| !(1..=120).contains(&months)) {
        faults.at(&table.place_of("every_months"), "\"every_months\" must be from 1 to 120");
    }
    let first = table.day("first", faults);
    Some(Dated { rate: rate?, per: per?, due: DueOn::Every { months: months?, first: first? } })
}

fn share(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Decimal> {
    let share = required_amount(table, "share", faults)?;
    if share.is_zero() || share > Decimal::ONE {
        faults.at(&table.place_of("share"), "a share must be more than 0 and at most 1");
    }
    Some(share)
}

fn whole(table: &Table<'_, '_>, sum: Option<Decimal>, faults: &mut Faults<'_>) {
    if table.has("instalments") && sum != Some(Decimal::ONE) {
        let sum = sum.map_or_else(|| "too much".to_owned(), |sum| sum.normalize().to_string());
        faults.at(&table.place_of("instalments"), format!("the shares sum to {sum}, not to 1"));
    }
}

/// `base = { … }` beside a metered price.
pub(super) fn base(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Base> {
    const LIKE: &str =
        "{ label = { … }, price = \"12\", per = \"m2\", period = \"month\", proration = \"free\" }";
    let table = table.table("base", LIKE, faults)?;
    let label = table.label("label", faults);
    let by_month = table.choice("period", &[("month", true), ("season", false)], faults)?;
    let price = if by_month {
        table.only(&["label", "price", "per", "period", "proration"], faults);
        let per = table.choice("per", PER, faults);
        BasePrice::Month(monthly(&table, per?, faults)?)
    } else {
        table.only(&["label", "price", "per", "period", "instalments"], faults);
        BasePrice::Season(seasonal(&table, faults)?)
    };
    Some(Base { label: label?, price })
}

/// `[[tariff.adjust]]`: discounts, exemptions and prices of one's own.
pub(super) fn adjustments(
    table: &Table<'_, '_>,
    revisions: &[Revision],
    faults: &mut Faults<'_>,
) -> Vec<Adjustment> {
    let mut adjustments = Vec::new();
    if !table.has("adjust") {
        return adjustments;
    }
    for entry in table.tables("adjust", "[[tariff.adjust]]", faults) {
        const KEYS: &[&str] =
            &["accounts", "from", "to", "reason", "discount_percent", "exempt", "price"];
        entry.only(KEYS, faults);
        let accounts = ids(&entry, "accounts", AccountId::new, faults);
        if accounts.is_empty() && entry.has("accounts") {
            faults.at(&entry.place_of("accounts"), "this adjustment is for nobody");
        }
        if !entry.has("accounts") {
            faults.at(&entry.place, "\"accounts\" is missing: write it like accounts = [\"a-1\"]");
        }
        let from = entry.day("from", faults);
        let to = if entry.has("to") { entry.day("to", faults) } else { None };
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            faults.at(&entry.place_of("to"), "\"to\" must be after \"from\"");
        }
        let reason = entry.label("reason", faults);
        let change = change(&entry, revisions, faults);
        if let (Some(from), Some(reason), Some(change)) = (from, reason, change) {
            adjustments.push(Adjustment { accounts, from, to, reason, change });
        }
    }
    adjustments
}

fn change(
    entry: &Table<'_, '_>,
    revisions: &[Revision],
    faults: &mut Faults<'_>,
) -> Option<Change> {
    let given: Vec<&str> =
        ["discount_percent", "exempt", "price"].into_iter().filter(|key| entry.has(key)).collect();
    match given.as_slice() {
        ["discount_percent"] => {
            let percent = required_amount(entry, "discount_percent", faults)?;
            if percent.is_zero() || percent > Decimal::ONE_HUNDRED {
                let place = entry.place_of("discount_percent");
                faults.at(&place, "a discount must be more than 0 and at most 100 percent");
            }
            Some(Change::Discount { percent })
        }
        ["exempt"] => {
            if entry.flag("exempt", faults)? {
                return Some(Change::Discount { percent: Decimal::ONE_HUNDRED });
            }
            faults.at(&entry.place_of("exempt"), "write exempt = true or leave it out");
            None
        }
        ["price"] => {
            let price = entry.decimal("price", faults)?;
            let price = not_negative(price, &entry.place_of("price"), faults)?;
            if !revisions.iter().all(has_one_price) {
                let message = "this kind of rule has more than one price: give a discount, or \
                               bind the account to a rule of its own";
                faults.at(&entry.place_of("price"), message);
            }
            Some(Change::OwnPrice { price })
        }
        _ => {
            let message = "an adjustment needs one of \"discount_percent\", \"exempt\", \"price\"";
            faults.at(&entry.place, message);
            None
        }
    }
}

fn has_one_price(revision: &Revision) -> bool {
    match &revision.pricing {
        Pricing::PerArea(_) | Pricing::Fixed(_) | Pricing::Dated(_) => true,
        Pricing::Metered(metered) => match metered.tiers.as_slice() {
            [tier] => {
                let own = metered.components.iter().any(|component| component.own.is_some());
                tier.prices.len() == 1 && !own && metered.base.is_none()
            }
            _ => false,
        },
    }
}

/// `[[tariff.bind]]`: whom the rule is for.
pub(super) fn bindings(
    table: &Table<'_, '_>,
    is_metered: bool,
    faults: &mut Faults<'_>,
) -> Vec<Binding> {
    let mut bindings = Vec::new();
    if !table.has("bind") {
        return bindings;
    }
    for entry in table.tables("bind", "[[tariff.bind]]", faults) {
        entry.only(&["item", "all", "buildings", "groups", "accounts", "except"], faults);
        if is_metered {
            let message = "a metered rule is bound at the account, where its meter is named";
            faults.at(&entry.place, message);
        }
        let item = entry.text("item", "\"mid-autumn-fair\"", faults);
        let item = item.and_then(|item| match ItemId::new(item) {
            Ok(item) => Some(item),
            Err(error) => {
                faults.at(&entry.place_of("item"), error.to_string());
                None
            }
        });
        let to = members(&entry, faults);
        let place = faults.place(&entry.place);
        if let Some(item) = item {
            bindings.push(Binding { item, to, place });
        }
    }
    bindings
}

/// Whom a rule is for.
fn members(entry: &Table<'_, '_>, faults: &mut Faults<'_>) -> Members {
    let words = |key: &str, faults: &mut Faults<'_>| -> Vec<String> {
        if !entry.has(key) {
            return Vec::new();
        }
        let texts = entry.texts(key, "[\"1\", \"2\"]", faults);
        texts.into_iter().map(|(text, _)| text.to_owned()).collect()
    };
    let members = Members {
        all: entry.has("all") && entry.flag("all", faults).unwrap_or(false),
        buildings: words("buildings", faults),
        groups: words("groups", faults),
        accounts: ids(entry, "accounts", AccountId::new, faults),
        except: ids(entry, "except", AccountId::new, faults),
    };
    if members.is_empty() {
        let message = "nobody is named: write all = true, or buildings, groups or accounts";
        faults.at(&entry.place, message);
    }
    members
}

/// `[[apportionment]]`: how a cost is shared.
pub(super) fn apportionment(
    table: &Table<'_, '_>,
    faults: &mut Faults<'_>,
) -> Option<(TariffId, Apportionment)> {
    const KEYS: &[&str] = &[
        "id",
        "label",
        "item",
        "direction",
        "among",
        "parts",
        "borne_percent",
        "tie_break",
        "loss",
    ];
    table.only(KEYS, faults);
    let id = id_of(table, "id", "\"lift-1\"", TariffId::new, faults);
    let label = table.label("label", faults);
    let item = id_of(table, "item", "\"lift-share\"", ItemId::new, faults);
    let words = [("cost", Direction::Cost), ("income", Direction::Income)];
    let direction = table.choice("direction", &words, faults);
    let words = [("account", TieBreak::Account), ("larger_weight", TieBreak::LargerWeight)];
    let tie_break = table.choice("tie_break", &words, faults);
    let among = table.table("among", "{ buildings = [\"1\"] }", faults);
    let among = among.map(|among| {
        among.only(&["all", "buildings", "groups", "accounts", "except"], faults);
        members(&among, faults)
    });
    let borne_percent = percent(table, "borne_percent", faults);
    if direction == Some(Direction::Income) && borne_percent.is_some() {
        faults.at(&table.place_of("borne_percent"), "an income is shared as a whole");
    }
    let parts = portions(table, faults);
    let loss = if table.has("loss") { loss(table, faults) } else { None };
    Some((
        id?,
        Apportionment {
            label: label?,
            item: item?,
            direction: direction?,
            among: among?,
            parts,
            borne_percent,
            tie_break: tie_break?,
            loss,
        },
    ))
}

fn id_of<T, E: std::fmt::Display>(
    table: &Table<'_, '_>,
    key: &str,
    like: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    faults: &mut Faults<'_>,
) -> Option<T> {
    match parse(table.text(key, like, faults)?) {
        Ok(id) => Some(id),
        Err(error) => {
            faults.at(&table.place_of(key), error.to_string());
            None
        }
    }
}

/// From 0 to 100, where it is there.
fn percent(table: &Table<'_, '_>, key: &str, faults: &mut Faults<'_>) -> Option<Decimal> {
    let percent = not_negative(table.optional_decimal(key, faults)?, &table.place_of(key), faults)?;
    if percent > Decimal::ONE_HUNDRED {
        faults.at(&table.place_of(key), "this is more than 100 percent");
    }
    Some(percent)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Area,
    Household,
    Persons,
    Usage,
    Floor,
    Table,
}

fn portions(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<Portion> {
    const LIKE: &str = "[ { percent = \"100\", by = \"area\" } ]";
    let mut portions = Vec::new();
    let mut sum = Some(Decimal::ZERO);
    for entry in table.tables("parts", LIKE, faults) {
        entry.only(&["percent", "by", "item", "floors", "weights"], faults);
        let share = required_amount(&entry, "percent", faults);
        sum = sum.zip(share).and_then(|(sum, share)| plus(sum, share));
        let words = [
            ("area", By::Area),
            ("household", By::Household),
            ("persons", By::Persons),
            ("usage", By::Usage),
            ("floor", By::Floor),
            ("table", By::Table),
        ];
        let by = entry.choice("by", &words, faults);
        for (key, of) in [("item", By::Usage), ("floors", By::Floor), ("weights", By::Table)] {
            if entry.has(key) && by != Some(of) {
                faults.at(&entry.place_of(key), format!("\"{key}\" has no meaning here"));
            }
        }
        let by = match by {
            Some(By::Area) => Some(Weighting::Area),
            Some(By::Household) => Some(Weighting::Household),
            Some(By::Persons) => Some(Weighting::Persons),
            Some(By::Usage) => id_of(&entry, "item", "\"water\"", ItemId::new, faults)
                .map(|item| Weighting::Usage { item }),
            Some(By::Floor) => Some(Weighting::Floor { floors: floors(&entry, faults) }),
            Some(By::Table) => weights(&entry, faults),
            None => None,
        };
        if let (Some(percent), Some(by)) = (share, by) {
            portions.push(Portion { percent, by });
        }
    }
    if table.has("parts") && sum != Some(Decimal::ONE_HUNDRED) {
        faults.at(&table.place_of("parts"), "the percents of the parts must sum to 100");
    }
    portions
}

fn floors(entry: &Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<FloorWeight> {
    const LIKE: &str = "[ { from = 1, weight = \"0\" }, { from = 2, weight = \"1\" } ]";
    let mut floors: Vec<FloorWeight> = Vec::new();
    for floor in entry.tables("floors", LIKE, faults) {
        floor.only(&["from", "weight"], faults);
        let from = floor.integer("from", faults);
        let weight = required_amount(&floor, "weight", faults);
        if let (Some(from), Some(weight)) = (from, weight) {
            if floors.last().is_some_and(|last| last.from >= from) {
                faults.at(&floor.place_of("from"), "\"from\" must rise");
            }
            floors.push(FloorWeight { from, weight });
        }
    }
    floors
}

fn weights(entry: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Weighting> {
    let table = entry.table("weights", "{ a-0101 = \"1.5\" }", faults)?;
    let mut weights = BTreeMap::new();
    for (key, place) in table.keys() {
        match AccountId::new(key) {
            Ok(id) => {
                weights.extend(required_amount(&table, key, faults).map(|weight| (id, weight)));
            }
            Err(error) => faults.at(&place, error.to_string()),
        }
    }
    Some(Weighting::Table { weights })
}

fn loss(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<LossBound> {
    const LIKE: &str = "{ max_percent = \"10\", above = \"hold\", skew_max = \"1h\" }";
    let table = table.table("loss", LIKE, faults)?;
    table.only(&["max_percent", "above", "skew_max"], faults);
    if !table.has("max_percent") {
        required_amount(&table, "max_percent", faults);
    }
    let max_percent = percent(&table, "max_percent", faults);
    let words = [("hold", AboveBound::Hold), ("cap", AboveBound::Cap)];
    let above = table.choice("above", &words, faults);
    let skew_max = table.text("skew_max", "\"1h\"", faults).and_then(|text| match text.parse() {
        Ok(span) => Some(span),
        Err(error) => {
            let error: <Span as std::str::FromStr>::Err = error;
            faults.at(&table.place_of("skew_max"), error.to_string());
            None
        }
    });
    Some(LossBound { max_percent: max_percent?, above: above?, skew_max: skew_max? })
}

/// A list of ids; empty where the key is not there.
fn ids<T, E: std::fmt::Display>(
    table: &Table<'_, '_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    faults: &mut Faults<'_>,
) -> Vec<T> {
    let mut ids = Vec::new();
    if !table.has(key) {
        return ids;
    }
    for (text, place) in table.texts(key, "[\"a-1\", \"a-2\"]", faults) {
        match parse(text) {
            Ok(id) => ids.push(id),
            Err(error) => faults.at(&place, error.to_string()),
        }
    }
    ids
}
