//! Tariff files: strict TOML. Unknown keys, missing switches, gaps between windows, bounds that do
//! not rise: every fault of a file is found at once, with its line and column, and a file with one
//! fault gives no tariff at all. Nothing has a silent default.
//!
//! ```toml
//! [[tariff]]
//! id = "electricity-tiered"
//! label = { zh = "居民阶梯电价", en = "Residential electricity, tiered" }
//! currency = "CNY"
//! notice = "which notice the prices come from"
//! fund = "maintenance"                   # or public_income; income of its item where left out
//!
//! [[tariff.revision]]
//! from = "2026-01-01"
//! to = "2027-01-01"                      # where it ends; may be left out
//! kind = "graduated"                     # one of the kinds below
//! rounding = "per_line"                  # per_line, per_component, per_bill, per_year
//! change_inside_period = "next_period"   # next_period, by_days, by_readings, reading_date
//! minimum = "5"                          # of a bill, in yuan; may be left out, as may cap
//! tax_percent = "6"                      # on top of the prices; left out where they contain it
//! late_fee = { item = "late-fee", label = { zh = "违约金", en = "Late fee" }, percent_per_day = "0.05", grace_days = 5, days_from = "due", cap_percent = "30", rounding = "half_up" }   # none where left out
//! unit = "kWh"
//! tier_period = "month"                  # month, 2_months, 4_months, year
//! catch_up = "scale_quota"               # with month: scale_quota, keep_quota
//! tiers = [ { up_to = "240", price = "0.4883" }, { price = "0.5383" } ]
//!
//! [[tariff.bind]]                        # whom it is for, where no meter is needed
//! item = "fair"
//! groups = ["fair-2026"]                 # all, buildings, groups, accounts, except
//!
//! [[tariff.adjust]]                      # what some pay otherwise
//! accounts = ["a-1"]
//! from = "2026-01-01"
//! reason = { zh = "低保户", en = "low income" }
//! discount_percent = "20"                # or exempt = true, or price = "0.40"
//! ```
//!
//! | kind | price | its switches |
//! |---|---|---|
//! | `flat` | one price per unit | `components` |
//! | `graduated` | each unit at its tier's price | `tier_period`, `household_quota`, `components` (also with tiers or a free part of their own: `component.rs`) |
//! | `volume` | all units at the price of the tier that contains the total | `components` |
//! | `package` | blocks of `size` at `price` each | `begun_block`: counts, free |
//! | `tou` | by time of day | `windows`, `across_windows` |
//! | `graduated_tou` | both | and `allocation` |
//! | `per_area` | per m² and month | `proration` |
//! | `fixed` | `per` household, person or space, and month | `proration` |
//! | `once` | on a day, or in instalments | `on` or `instalments`, `per` |
//! | `seasonal` | every year, in instalments | `instalments`, `per` |
//! | `periodic` | every so many months from `first` on | `every_months`, `first`, `per` |
//!
//! `late_fee` is for bills by the revision that are paid after their due day ([`crate::late`]): a share of
//! what is unpaid for each day, once the days of grace are over; the days count from the due day
//! (`days_from = "due"`) or from the end of the grace (`"grace"`); in all at most `cap_percent` of the bill;
//! the sum is rounded once, `half_up` or `down`. Every key is needed.
//!
//! How a cost is shared among accounts ([`crate::apportionment`]); a charge names it by `share`:
//!
//! ```toml
//! [[apportionment]]
//! id = "lift-1"
//! label = { zh = "电梯公摊", en = "Lift, shared" }
//! item = "lift-share"
//! direction = "cost"                     # cost, income
//! among = { buildings = ["1"] }          # all, buildings, groups, accounts, except
//! parts = [ { percent = "100", by = "floor", floors = [ { from = 1, weight = "0" }, { from = 2, weight = "1" } ] } ]
//! tie_break = "account"                  # account, larger_weight
//! loss = { max_percent = "10", above = "hold", skew_max = "1h" }   # with sub-meters: hold, cap
//! ```
//!
//! A part is shared by `area`, `household`, `persons`, `usage` (of `item`), `floor` or `table`
//! (`weights`). What stays with the charge's own account is `borne_percent`.
//!
//! `rounding = "per_year"` is for prices by the month: a bill is the rounded sum of the year so far, less
//! what the year was billed before ([`crate::rounding_year`]). It needs `year_begins`, `"01-01"`: the first
//! day of a month.
//!
//! `tier_period` of a year, 2 or 4 months needs `tier_reset`, `part_quota` (whole, by_months, by_days;
//! the latter two with `bound_rounding`) and `new_occupant` (inherit, reset). A metered kind may have a
//! `base` price by the month or by the season beside it.

use super::binding::{ApportionmentEntry, RuleEntry, RuleFile};
use super::component::{self, Names};
use super::items;
use super::late;
use super::read::{Faults, Table};
use super::{
    AcrossWindows, Allocation, BegunBlock, BoundRounding, CatchUp, Component, CycleTerms, Metered,
    Monthly, NewOccupant, PartQuota, PriceChange, Pricing, Proration, QuotaShift, Revision,
    Rounding, Tariff, Tier, Tiering, TimeOfUse, Window,
};
use crate::calendar::Day;
use crate::event::Text;
use crate::ledger::Fund;
use crate::money::plus;
use blockgate_types::{Decimal, TariffId, Unit};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeTable;

/// Longest file, in bytes.
pub const FILE_MAX: usize = 256 * 1024;

/// A fault in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and how it is written.
    pub message: String,
}

impl std::fmt::Display for RuleError {
    /// `file:line:column: message`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for RuleError {}

/// A file of tariffs.
pub struct TariffFile;

impl TariffFile {
    /// Reads a file of tariffs.
    ///
    /// # Errors
    /// Every fault in the file, by place.
    pub fn parse(text: &str, file_name: &str) -> Result<Vec<(TariffId, Tariff)>, Vec<RuleError>> {
        let file = Self::read(text, file_name)?;
        Ok(file.rules.into_iter().map(|rule| (rule.id, rule.tariff)).collect())
    }

    /// Reads a file with whom its tariffs are for ([`super::bind`]) and how costs are shared.
    ///
    /// # Errors
    /// Every fault in the file, by place.
    pub fn read(text: &str, file_name: &str) -> Result<RuleFile, Vec<RuleError>> {
        let mut faults = Faults::new(file_name, text);
        if text.len() > FILE_MAX {
            faults.at(&(0..0), format!("the file is longer than {FILE_MAX} bytes"));
            return Err(faults.sorted());
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            faults.at(&error.span().unwrap_or(0..0), error.message().to_owned());
        }
        let root = Table::new(document.get_ref(), 0..0);
        root.only(&["tariff", "apportionment", "parking", "anomaly"], &mut faults);
        let mut rules: Vec<RuleEntry> = Vec::new();
        let mut apportionments: Vec<ApportionmentEntry> = Vec::new();
        let tables = |key: &str, faults: &mut Faults<'_>| {
            let like = format!("[[{key}]]");
            if root.has(key) { root.tables(key, &like, faults) } else { Vec::new() }
        };
        if !["tariff", "apportionment", "parking", "anomaly"].iter().any(|key| root.has(key)) {
            root.tables("tariff", "[[tariff]]", &mut faults);
        }
        for table in tables("apportionment", &mut faults) {
            let Some((id, rule)) = items::apportionment(&table, &mut faults) else { continue };
            if apportionments.iter().any(|known| known.id == id) {
                let message = format!("there are two apportionments \"{id}\"");
                faults.at(&table.place_of("id"), message);
            }
            let (file, place) = (faults.file().to_owned(), faults.place(&table.place));
            apportionments.push(ApportionmentEntry { id, rule, file, place });
        }
        for table in tables("tariff", &mut faults) {
            if let Some(rule) = tariff(&table, &mut faults) {
                if rules.iter().any(|known| known.id == rule.id) {
                    let message = format!("there are two tariffs \"{}\"", rule.id);
                    faults.at(&table.place_of("id"), message);
                }
                rules.push(rule);
            }
        }
        let mut parking: Vec<(TariffId, crate::parking::ParkingTariff)> = Vec::new();
        for table in tables("parking", &mut faults) {
            let Some((id, tariff)) = crate::parking::parse::parking(&table, &mut faults) else {
                continue;
            };
            if parking.iter().any(|(known, _)| *known == id) {
                let message = format!("there are two parking tariffs \"{id}\"");
                faults.at(&table.place_of("id"), message);
            }
            parking.push((id, tariff));
        }
        if faults.list.is_empty() {
            Ok(RuleFile { rules, apportionments, parking })
        } else {
            Err(faults.sorted())
        }
    }
}

fn tariff(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<RuleEntry> {
    const KEYS: &[&str] =
        &["id", "label", "currency", "notice", "fund", "revision", "bind", "adjust"];
    table.only(KEYS, faults);
    let words = [("maintenance", Fund::Maintenance), ("public_income", Fund::PublicIncome)];
    let fund = if table.has("fund") { table.choice("fund", &words, faults) } else { None };
    let id = table.text("id", "\"electricity-tiered\"", faults);
    let id = id.and_then(|id| match TariffId::new(id) {
        Ok(id) => Some(id),
        Err(error) => {
            faults.at(&table.place_of("id"), error.to_string());
            None
        }
    });
    let label = table.label("label", faults);
    let currency = table.text("currency", "\"CNY\"", faults);
    if let Some(currency) = currency.filter(|c| !has_hundredths(c)) {
        faults.at(
            &table.place_of("currency"),
            format!("{currency:?} is not a currency of hundredths: write it like \"CNY\""),
        );
    }
    let notice = table.text("notice", "\"the notice that fixes the price\"", faults);
    let mut revisions: Vec<Revision> = Vec::new();
    let tables = table.tables("revision", "[[tariff.revision]]", faults);
    if tables.is_empty() && table.has("revision") {
        faults.at(&table.place, "a tariff needs a [[tariff.revision]]");
    }
    let count = tables.len();
    let mut places = Vec::new();
    for table in tables {
        let Some(revision) = revision(&table, label.as_ref(), faults) else { continue };
        places.push((revision.from, revision.to, table.place_of("to")));
        if revisions.iter().any(|known| known.from == revision.from) {
            let message = format!("two revisions begin on {}", revision.from);
            faults.at(&table.place_of("from"), message);
        }
        if let Some(other) = revisions.first().filter(|known| form(known) != form(&revision)) {
            let message = format!(
                "a revision of another form ({} instead of {}): make it a tariff of its own",
                form(&revision),
                form(other)
            );
            faults.at(&table.place_of("kind"), message);
        }
        revisions.push(revision);
    }
    revisions.sort_by_key(|revision| revision.from);
    no_gaps(&mut places, faults);
    let metered = revisions.iter().any(|r| matches!(r.pricing, Pricing::Metered(_)));
    if let Some((_, Some(_), place)) = places.last().filter(|_| metered) {
        let message =
            "use goes on after the last day: a metered rule's last revision has no \"to\"";
        faults.at(place, message);
    }
    let adjustments = items::adjustments(table, &revisions, faults);
    let bindings = items::bindings(table, metered, faults);
    let (label, currency, notice) = (label?, currency?.to_owned(), notice?.to_owned());
    let whole = revisions.len() == count;
    let tariff = Tariff { label, currency, notice, fund, revisions, adjustments };
    let (file, place) = (faults.file().to_owned(), faults.place(&table.place));
    whole.then_some(RuleEntry { id: id?, tariff, bindings, file, place })
}

/// Notes revisions that end before or after the next one begins.
fn no_gaps(places: &mut [(Day, Option<Day>, std::ops::Range<usize>)], faults: &mut Faults<'_>) {
    places.sort_by_key(|(from, _, _)| *from);
    for pair in places.windows(2) {
        let [(_, Some(to), place), (next, _, _)] = pair else { continue };
        if to < next {
            faults.at(place, format!("no revision holds from {to} until {next}"));
        } else if to > next {
            faults.at(place, format!("two revisions hold from {next} until {to}"));
        }
    }
}

/// Codes of ISO 4217 with two decimals, by their shape; the ones without are left out by name.
fn has_hundredths(currency: &str) -> bool {
    const OTHERS: &[&str] = &[
        "BHD", "CLP", "IQD", "ISK", "JOD", "JPY", "KRW", "KWD", "LYD", "OMR", "PYG", "RWF", "TND",
        "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
    ];
    currency.len() == 3
        && currency.bytes().all(|b| b.is_ascii_uppercase())
        && !OTHERS.contains(&currency)
}

/// What may not change from revision to revision.
fn form(revision: &Revision) -> String {
    match &revision.pricing {
        Pricing::Metered(metered) if metered.tou.is_some() => format!("{} by window", metered.unit),
        Pricing::Metered(metered) => format!("{} metered", metered.unit),
        Pricing::PerArea(_) => "per area".to_owned(),
        Pricing::Fixed(monthly) => format!("fixed per {}", monthly.per),
        Pricing::Dated(dated) => format!("due on days, per {}", dated.per),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flat,
    Graduated,
    Volume,
    Tou,
    GraduatedTou,
    Package,
    PerArea,
    Fixed,
    Once,
    Seasonal,
    Periodic,
}

const KINDS: &[(&str, Kind)] = &[
    ("flat", Kind::Flat),
    ("graduated", Kind::Graduated),
    ("volume", Kind::Volume),
    ("tou", Kind::Tou),
    ("graduated_tou", Kind::GraduatedTou),
    ("package", Kind::Package),
    ("per_area", Kind::PerArea),
    ("fixed", Kind::Fixed),
    ("once", Kind::Once),
    ("seasonal", Kind::Seasonal),
    ("periodic", Kind::Periodic),
];

/// Keys of every revision.
const COMMON: &[&str] = &[
    "from",
    "to",
    "kind",
    "rounding",
    "year_begins",
    "change_inside_period",
    "minimum",
    "cap",
    "tax_percent",
    "late_fee",
];

impl Kind {
    /// The keys of the kind.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Flat => &["unit", "price", "prices", "components", "base"],
            Self::Package => &["unit", "price", "size", "begun_block", "base"],
            Self::Graduated => &[
                "unit",
                "tiers",
                "tier_period",
                "tier_reset",
                "part_quota",
                "bound_rounding",
                "new_occupant",
                "base",
                "catch_up",
                "components",
                "household_quota",
            ],
            Self::Volume => &["unit", "tiers", "components", "base"],
            Self::Tou => &["unit", "prices", "windows", "across_windows", "base"],
            Self::GraduatedTou => &[
                "unit",
                "tiers",
                "tier_period",
                "tier_reset",
                "part_quota",
                "bound_rounding",
                "new_occupant",
                "base",
                "catch_up",
                "household_quota",
                "windows",
                "across_windows",
                "allocation",
            ],
            Self::PerArea => &["price", "proration"],
            Self::Fixed => &["price", "per", "proration"],
            Self::Once => &["price", "per", "on", "instalments"],
            Self::Seasonal => &["price", "per", "instalments"],
            Self::Periodic => &["price", "per", "every_months", "first"],
        }
    }
}

fn revision(
    table: &Table<'_, '_>,
    label: Option<&Text>,
    faults: &mut Faults<'_>,
) -> Option<Revision> {
    let before = faults.list.len();
    let from = table.day("from", faults);
    let to = if table.has("to") { table.day("to", faults) } else { None };
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        faults.at(&table.place_of("to"), "\"to\" must be after \"from\"");
    }
    let rounding = rounding(table, faults);
    let change_inside_period = table.choice(
        "change_inside_period",
        &[
            ("next_period", PriceChange::NextPeriod),
            ("by_days", PriceChange::ByDays),
            ("by_readings", PriceChange::ByReadings),
            ("reading_date", PriceChange::ReadingDate),
        ],
        faults,
    );
    let tax_percent = amount(table, "tax_percent", faults);
    if tax_percent.is_some_and(|percent| percent > Decimal::ONE_HUNDRED) {
        faults.at(&table.place_of("tax_percent"), "a tax is at most 100 percent");
    }
    let minimum = amount(table, "minimum", faults);
    let cap = amount(table, "cap", faults);
    if minimum.zip(cap).is_some_and(|(minimum, cap)| minimum > cap) {
        faults.at(&table.place_of("minimum"), "\"minimum\" is more than \"cap\"");
    }
    let late_fee = if table.has("late_fee") { late::late_fee(table, faults) } else { None };
    let kind = table.choice("kind", KINDS, faults);
    match kind {
        Some(kind) => check_keys(table, kind, faults),
        None => {
            let all = KINDS.iter().flat_map(|(_, kind)| kind.keys()).chain(COMMON);
            let each_once: BTreeSet<&str> = all.copied().collect();
            table.only(&each_once.into_iter().collect::<Vec<_>>(), faults);
        }
    }
    let by_month = kind.is_none_or(|kind| matches!(kind, Kind::PerArea | Kind::Fixed));
    if table.is_text("rounding", "per_year") && !by_month {
        let message =
            "\"per_year\" is for prices by the month: it goes with kind \"per_area\" or \"fixed\"";
        faults.at(&table.place_of("rounding"), message);
    }
    let pricing = match kind? {
        Kind::PerArea => monthly(table, Unit::SquareMetre, faults).map(Pricing::PerArea),
        Kind::Fixed => {
            let per = table.choice(
                "per",
                &[("household", Unit::Household), ("person", Unit::Person), ("space", Unit::Space)],
                faults,
            );
            monthly(table, per.unwrap_or(Unit::Household), faults).map(Pricing::Fixed)
        }
        Kind::Once => items::once(table, faults).map(Pricing::Dated),
        Kind::Seasonal => items::seasonal(table, faults).map(Pricing::Dated),
        Kind::Periodic => items::periodic(table, faults).map(Pricing::Dated),
        kind @ (Kind::Flat
        | Kind::Graduated
        | Kind::Volume
        | Kind::Package
        | Kind::Tou
        | Kind::GraduatedTou) => {
            metered(table, kind, label, faults).map(|m| Pricing::Metered(Box::new(m)))
        }
    };
    let whole = faults.list.len() == before;
    let revision = Revision {
        from: from?,
        to,
        tax_percent,
        change_inside_period: change_inside_period?,
        rounding: rounding?,
        minimum,
        cap,
        late_fee: late_fee.map(Box::new),
        pricing: pricing?,
    };
    whole.then_some(revision)
}

/// Where amounts are rounded, and for a year when it begins.
fn rounding(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Rounding> {
    let words = [
        ("per_line", Some(Rounding::PerLine)),
        ("per_component", Some(Rounding::PerComponent)),
        ("per_bill", Some(Rounding::PerBill)),
        ("per_year", None),
    ];
    let rounding = table.choice("rounding", &words, faults)?;
    if rounding.is_some() {
        if table.has("year_begins") {
            let message = "\"year_begins\" goes with rounding = \"per_year\"";
            faults.at(&table.place_of("year_begins"), message);
        }
        return rounding;
    }
    let begins = table.day_of_year("year_begins", faults)?;
    if begins.1 != 1 {
        let message = "a year of prices by the month begins with a month: write it like \"04-01\"";
        faults.at(&table.place_of("year_begins"), message);
        return None;
    }
    Some(Rounding::PerYear { begins })
}

/// Notes keys that are unknown, and keys that belong to another kind.
fn check_keys(table: &Table<'_, '_>, kind: Kind, faults: &mut Faults<'_>) {
    let known: Vec<&str> = kind.keys().iter().chain(COMMON).copied().collect();
    let others: BTreeSet<&str> = KINDS.iter().flat_map(|(_, k)| k.keys()).copied().collect();
    let word = KINDS.iter().find(|(_, k)| *k == kind).map_or("", |(word, _)| word);
    for (key, place) in table.keys().filter(|(key, _)| !known.contains(key)) {
        if others.contains(key) {
            faults.at(&place, format!("\"{key}\" has no meaning in kind \"{word}\""));
        }
    }
    let rest: Vec<&str> = known.iter().chain(others.iter()).copied().collect();
    table.only(&rest, faults);
}

/// An amount or a price that must not be negative.
fn amount(table: &Table<'_, '_>, key: &str, faults: &mut Faults<'_>) -> Option<Decimal> {
    let amount = table.optional_decimal(key, faults)?;
    not_negative(amount, &table.place_of(key), faults)
}

pub(super) fn not_negative(
    amount: Decimal,
    place: &std::ops::Range<usize>,
    faults: &mut Faults<'_>,
) -> Option<Decimal> {
    if amount.is_sign_negative() {
        faults.at(place, "this must not be negative");
        return None;
    }
    Some(amount)
}

pub(super) fn required_amount(
    table: &Table<'_, '_>,
    key: &str,
    faults: &mut Faults<'_>,
) -> Option<Decimal> {
    let amount = table.decimal(key, faults)?;
    not_negative(amount, &table.place_of(key), faults)
}

pub(super) fn monthly(
    table: &Table<'_, '_>,
    per: Unit,
    faults: &mut Faults<'_>,
) -> Option<Monthly> {
    let rate = required_amount(table, "price", faults);
    let proration = table.choice(
        "proration",
        &[
            ("actual_days", Proration::ActualDays),
            ("fixed_30", Proration::Fixed30),
            ("full_month", Proration::FullMonth),
            ("free", Proration::Free),
        ],
        faults,
    );
    Some(Monthly { rate: rate?, per, proration: proration? })
}

fn metered(
    table: &Table<'_, '_>,
    kind: Kind,
    label: Option<&Text>,
    faults: &mut Faults<'_>,
) -> Option<Metered> {
    let unit = table.choice(
        "unit",
        &[
            ("kWh", Unit::KilowattHour),
            ("m3", Unit::CubicMetre),
            ("GJ", Unit::Gigajoule),
            ("kvarh", Unit::KilovarHour),
            ("h", Unit::Hour),
            ("1", Unit::One),
        ],
        faults,
    );
    let by_window = matches!(kind, Kind::Tou | Kind::GraduatedTou);
    let windows = if by_window { windows(table, faults) } else { Vec::new() };
    let components = match (by_window, table.has("components")) {
        (true, _) => Vec::new(),
        (false, true) => component::components(table, kind == Kind::Graduated, faults),
        (false, false) => {
            let label = label.cloned().unwrap_or(Text { zh: String::new(), en: String::new() });
            let name = ONE_PRICE.to_owned();
            vec![Component { name, label, factor: Decimal::ONE, own: None }]
        }
    };
    let names = if by_window {
        let priced = windows.iter().map(|window| window.name.as_str()).collect();
        Names { priced, own: Vec::new() }
    } else {
        Names::of(&components)
    };
    let tiering = tiering(table, kind, faults);
    let tiers = match kind {
        Kind::Flat | Kind::Package | Kind::Tou => {
            let prices = prices(table, &names, faults);
            prices.map(|prices| vec![Tier { up_to: None, prices, flat: None }])
        }
        Kind::Graduated | Kind::Volume | Kind::GraduatedTou => tiers(table, &names, faults),
        Kind::PerArea | Kind::Fixed | Kind::Once | Kind::Seasonal | Kind::Periodic => None,
    };
    let base = if table.has("base") { items::base(table, faults) } else { None };
    let across = by_window.then(|| {
        let words = [("by_time", AcrossWindows::ByTime), ("at_end", AcrossWindows::AtEnd)];
        table.choice("across_windows", &words, faults)
    });
    let allocation =
        (kind == Kind::GraduatedTou).then(|| allocation(table, &names.priced, faults)).flatten();
    let tiers = tiers?;
    let quota_shift = if table.has("household_quota") {
        let bounds: Vec<Decimal> = tiers.iter().filter_map(|tier| tier.up_to).collect();
        household_quota(table, &bounds, faults)
    } else {
        Vec::new()
    };
    let tou = match across {
        Some(across) => Some(TimeOfUse { windows, allocation, across_windows: across? }),
        None => None,
    };
    Some(Metered { unit: unit?, tiering: tiering?, tiers, quota_shift, components, tou, base })
}

/// The name of the one component of a price that has no parts.
pub(super) const ONE_PRICE: &str = "charge";

/// Months of a tier period; the calendar month is not counted from bill to bill.
const TIER_PERIODS: &[(&str, u32)] =
    &[("month", 1), ("2_months", 2), ("4_months", 4), ("year", 12)];

fn tiering(table: &Table<'_, '_>, kind: Kind, faults: &mut Faults<'_>) -> Option<Tiering> {
    match kind {
        Kind::Volume => return Some(Tiering::Volume),
        Kind::Package => return package(table, faults),
        Kind::Flat
        | Kind::Tou
        | Kind::PerArea
        | Kind::Fixed
        | Kind::Once
        | Kind::Seasonal
        | Kind::Periodic => return Some(Tiering::Single),
        Kind::Graduated | Kind::GraduatedTou => {}
    }
    let months = table.choice("tier_period", TIER_PERIODS, faults)?;
    let (others, of): (&[&str], &str) = if months == 1 {
        (&["tier_reset", "part_quota", "bound_rounding", "new_occupant"], "year")
    } else {
        (&["catch_up"], "month")
    };
    for other in others.iter().filter(|other| table.has(other)) {
        let message = format!("\"{other}\" goes with tier_period = \"{of}\"");
        faults.at(&table.place_of(other), message);
    }
    if months == 1 {
        let words = [("scale_quota", CatchUp::ScaleQuota), ("keep_quota", CatchUp::KeepQuota)];
        let catch_up = table.choice("catch_up", &words, faults)?;
        return Some(Tiering::Month { catch_up });
    }
    let reset = table.day_of_year("tier_reset", faults);
    let terms = cycle_terms(table, faults);
    let (reset, terms) = (reset?, terms?);
    Some(match months {
        12 => Tiering::Year { reset, terms },
        _ => Tiering::Months { months, reset, terms },
    })
}

/// What a part of a tier period and a new occupant get.
fn cycle_terms(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<CycleTerms> {
    let part_quota = table.choice(
        "part_quota",
        &[
            ("whole", PartQuota::Whole),
            ("by_months", PartQuota::ByMonths),
            ("by_days", PartQuota::ByDays),
        ],
        faults,
    );
    let words = [("inherit", NewOccupant::Inherit), ("reset", NewOccupant::Reset)];
    let new_occupant = table.choice("new_occupant", &words, faults);
    let bound_rounding = match part_quota? {
        PartQuota::Whole => {
            if table.has("bound_rounding") {
                let message =
                    "\"bound_rounding\" goes with part_quota = \"by_months\" or \"by_days\"";
                faults.at(&table.place_of("bound_rounding"), message);
            }
            Some(BoundRounding::None)
        }
        PartQuota::ByMonths | PartQuota::ByDays => table.choice(
            "bound_rounding",
            &[
                ("none", BoundRounding::None),
                ("down", BoundRounding::Down),
                ("half_up", BoundRounding::HalfUp),
            ],
            faults,
        ),
    };
    let (part_quota, bound_rounding) = (part_quota?, bound_rounding?);
    Some(CycleTerms { part_quota, bound_rounding, new_occupant: new_occupant? })
}

fn package(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Tiering> {
    let size = required_amount(table, "size", faults);
    if size.is_some_and(|size| size.is_zero()) {
        faults.at(&table.place_of("size"), "a block cannot be of size zero");
    }
    let words = [("counts", BegunBlock::Counts), ("free", BegunBlock::Free)];
    let begun = table.choice("begun_block", &words, faults);
    Some(Tiering::Package { size: size?, begun: begun? })
}

/// `price` where there is one price, else `prices` with one for each name.
fn prices(
    table: &Table<'_, '_>,
    names: &Names<'_>,
    faults: &mut Faults<'_>,
) -> Option<BTreeMap<String, Decimal>> {
    if names.is_one() {
        if table.has("prices") {
            faults.at(&table.place_of("prices"), "there is one price: write price = \"0.4883\"");
        }
        let price = required_amount(table, "price", faults)?;
        return Some(BTreeMap::from([(ONE_PRICE.to_owned(), price)]));
    }
    if table.has("price") {
        faults.at(&table.place_of("price"), "there are several prices: write prices = { … }");
    }
    let found = table.table("prices", "{ peak = \"0.617\", valley = \"0.307\" }", faults)?;
    let known: Vec<&str> = names.priced.iter().chain(&names.own).copied().collect();
    found.only(&known, faults);
    for (key, place) in found.keys().filter(|(key, _)| names.own.contains(key)) {
        let message = format!("\"{key}\" has tiers of its own: its prices stand at the component");
        faults.at(&place, message);
    }
    let mut prices = BTreeMap::new();
    for name in &names.priced {
        if let Some(price) = required_amount(&found, name, faults) {
            prices.insert((*name).to_owned(), price);
        }
    }
    (prices.len() == names.priced.len()).then_some(prices)
}

fn tiers(table: &Table<'_, '_>, names: &Names<'_>, faults: &mut Faults<'_>) -> Option<Vec<Tier>> {
    stepped(table, &["up_to", "price", "prices", "flat"], faults, |tier, up_to, faults| {
        let flat = amount(tier, "flat", faults);
        let prices = prices(tier, names, faults)?;
        Some(Tier { up_to, prices, flat })
    })
}

/// The entries of `tiers`, whose bounds must rise and the last of which is open.
pub(super) fn stepped<T>(
    table: &Table<'_, '_>,
    keys: &[&str],
    faults: &mut Faults<'_>,
    mut read: impl FnMut(&Table<'_, '_>, Option<Decimal>, &mut Faults<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let found = table.tables("tiers", "[ { up_to = \"240\", price = \"0.4883\" }, … ]", faults);
    if found.is_empty() {
        if table.has("tiers") {
            faults.at(&table.place_of("tiers"), "there is no tier");
        }
        return None;
    }
    let (count, mut lower, mut tiers) = (found.len(), Decimal::ZERO, Vec::new());
    for (n, tier) in found.iter().enumerate() {
        tier.only(keys, faults);
        let is_last = n.saturating_add(1) == count;
        let up_to = tier.optional_decimal("up_to", faults);
        match (is_last, tier.has("up_to")) {
            (true, true) => faults.at(&tier.place_of("up_to"), "the last tier has no \"up_to\""),
            (false, false) => {
                faults.at(&tier.place, "\"up_to\" is missing: only the last tier has no end");
            }
            (true, false) | (false, true) => {}
        }
        if let Some(bound) = up_to {
            if bound <= lower {
                faults.at(&tier.place_of("up_to"), format!("\"up_to\" must be more than {lower}"));
            }
            lower = bound;
        }
        tiers.extend(read(tier, up_to, faults));
    }
    (tiers.len() == count).then_some(tiers)
}

/// A short name: `[a-z][a-z0-9_]*`.
pub(super) fn name(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<String> {
    let name = table.text("name", "\"peak\"", faults)?;
    match blockgate_types::RegisterName::new(name) {
        Ok(_) => Some(name.to_owned()),
        Err(_) => {
            let message = format!("{name:?} is not a name: write it like \"peak\"");
            faults.at(&table.place_of("name"), message);
            None
        }
    }
}

/// What households of so many persons get more of each bound.
pub(super) fn household_quota(
    table: &Table<'_, '_>,
    bounds: &[Decimal],
    faults: &mut Faults<'_>,
) -> Vec<QuotaShift> {
    const LIKE: &str = "[ { persons_from = 5, add = [\"100\", \"0\"] } ]";
    let mut shifts: Vec<QuotaShift> = Vec::new();
    for entry in table.tables("household_quota", LIKE, faults) {
        entry.only(&["persons_from", "add"], faults);
        let persons_from = entry.number("persons_from", faults);
        let add = entry.decimals("add", faults);
        if add.len() != bounds.len() {
            let message = format!("\"add\" needs one number for each of {} bounds", bounds.len());
            faults.at(&entry.place_of("add"), message);
        }
        let moved: Option<Vec<Decimal>> =
            bounds.iter().zip(&add).map(|(bound, more)| plus(*bound, *more)).collect();
        let rising = moved.is_some_and(|moved| {
            moved.iter().all(|bound| *bound > Decimal::ZERO)
                && moved.windows(2).all(|pair| matches!(pair, [low, high] if low < high))
        });
        if !rising {
            faults.at(&entry.place_of("add"), "with \"add\" the bounds do not rise any more");
        }
        let Some(persons_from) = persons_from else { continue };
        if shifts.last().is_some_and(|last| last.persons_from >= persons_from) {
            faults.at(&entry.place_of("persons_from"), "\"persons_from\" must rise");
        }
        shifts.push(QuotaShift { persons_from, add });
    }
    shifts
}

fn windows(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<Window> {
    const LIKE: &str = "[ { name = \"peak\", label = { … }, spans = [\"06:00-22:00\"] } ]";
    let mut windows: Vec<Window> = Vec::new();
    let before = faults.list.len();
    for entry in table.tables("windows", LIKE, faults) {
        entry.only(&["name", "label", "spans"], faults);
        let name = name(&entry, faults);
        let label = entry.label("label", faults);
        let mut spans = Vec::new();
        for (text, place) in entry.texts("spans", "[\"06:00-22:00\"]", faults) {
            match span(text) {
                // Over midnight: two spans of one day each.
                Some((from, to)) if from >= to => {
                    spans.extend([(from, 1440), (0, to)].into_iter().filter(|(f, t)| f < t));
                }
                Some(span) => spans.push(span),
                None => faults.at(&place, format!("{text:?} is not a span like \"22:00-06:00\"")),
            }
        }
        if let (Some(name), Some(label)) = (name, label) {
            if windows.iter().any(|known| known.name == name) {
                faults.at(&entry.place_of("name"), format!("there are two \"{name}\""));
            }
            windows.push(Window { name, label, spans });
        }
    }
    let mut spans: Vec<(u16, u16)> = windows.iter().flat_map(|w| w.spans.clone()).collect();
    spans.sort_unstable();
    let mut reached = 0;
    for (from, to) in spans.into_iter().chain([(1440, 1440)]) {
        // One fault at a time: the rest may follow from it.
        if from != reached && faults.list.len() == before {
            let what = if from > reached { "no window covers" } else { "two windows cover" };
            let (low, high) = (clock(from.min(reached)), clock(from.max(reached)));
            faults.at(&table.place_of("windows"), format!("{what} {low}-{high}"));
        }
        reached = reached.max(to);
    }
    windows
}

/// `06:00-22:00` in minutes; the end may be 24:00.
fn span(text: &str) -> Option<(u16, u16)> {
    let minutes = |text: &str| -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        let total = hour.checked_mul(60)?.checked_add(minute)?;
        (minute < 60 && total <= 1440).then_some(total)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minutes(from)?, minutes(to)?);
    (from < 1440 && from != to).then_some((from, to))
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn allocation(
    table: &Table<'_, '_>,
    names: &[&str],
    faults: &mut Faults<'_>,
) -> Option<Allocation> {
    let words = [
        ("prorata", Allocation::Prorata),
        ("peak_first", Allocation::PeakFirst),
        ("valley_first", Allocation::ValleyFirst),
        ("chronological", Allocation::Chronological),
    ];
    let allocation = table.choice("allocation", &words, faults)?;
    let needs = match allocation {
        Allocation::PeakFirst => Some("peak"),
        Allocation::ValleyFirst => Some("valley"),
        Allocation::Prorata | Allocation::Chronological => None,
    };
    if let Some(name) = needs.filter(|name| !names.contains(name)) {
        let message = format!("this needs a window named \"{name}\"");
        faults.at(&table.place_of("allocation"), message);
    }
    Some(allocation)
}
