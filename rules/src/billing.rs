//! Charges and the close of a period: from readings and tariffs to bills.
//!
//! A bill is made once and never changed; what a charge was billed up to is part of the state, so a
//! close that was interrupted goes on where it stopped and issues nothing twice. The reading that
//! closes one period opens the next: no gap, no overlap. What cannot be billed is not invented: the
//! charge stays open, is named in the period's record, and the next close covers it.

use crate::apportionment::AboveBound;
use crate::calendar::{self, Day, Month, Zone, day_text, day_text_option};
use crate::event::{Basis, Bill, BillHead, Evidence, EvidenceReading, TierCounter};
use crate::late::LateTerms;
use crate::metering::{Mark, MeterState, Point, RegisterState, WindowLog};
use crate::money::{minus, plus, times};
use crate::rounding_year::{self, YearStanding, Years};
use crate::setup::{Charge, Setup};
use crate::tariff::rate::{MonthPart, Quantity, Rated, Usage, rate_parts};
use crate::tariff::{
    Adjustment, Allocation, BasePrice, CycleTerms, Metered, Monthly, NewOccupant, PartQuota,
    Pricing, Proration, Revision, Rounding, Tariff, Tiering,
};
use blockgate_types::{AccountId, BillId, Decimal, ItemId, MeterId, RegisterName, TariffId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Decimals to which a quantity is spread over days; the rest goes to the last part.
const SPREAD_DECIMALS: u32 = 6;

/// Where a charge stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChargeState {
    /// The first day that is not billed yet.
    #[serde(with = "day_text")]
    pub from: Day,
    /// The registers that it is metered by since then; the last is the present one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// The registers of sub-meters whose use is taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub minus: Vec<Source>,
}

/// A register that a charge is metered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// Which meter.
    pub meter: MeterId,
    /// Which register.
    pub register: RegisterName,
    /// The opening reading; `None` until the register is read, then its first one.
    pub open: Option<Point>,
    /// The closing reading, once another register has taken its place.
    pub closed: Option<Point>,
}

/// A charge that was taken away and is not billed to its end yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndedCharge {
    /// Whose.
    pub account: AccountId,
    /// Which item.
    pub item: ItemId,
    /// What it was, and whom it was for.
    pub terms: Terms,
    /// Where it stands.
    pub state: ChargeState,
    /// The day after its last.
    #[serde(with = "day_text")]
    pub to: Day,
}

/// What a charge is priced by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Terms {
    /// Tariff and meter.
    pub charge: Charge,
    /// Floor area.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub area_m2: Option<Decimal>,
    /// Persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persons: Option<u32>,
    /// Parking spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<u32>,
    /// Since when its present occupant lives there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub occupied_from: Option<Day>,
}

/// Where an account stands in the tier period of an item. It belongs to the account: a charge that
/// goes and comes again inside a tier year goes on counting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counter {
    /// The tier period.
    pub period: String,
    /// Counted so far.
    #[serde(with = "blockgate_types::decimal::text")]
    pub used: Decimal,
    /// The first day that it counted, where that is not the period's first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub from: Option<Day>,
}

impl Counter {
    /// Where a bill left the counter.
    #[must_use]
    pub fn after(counted: &TierCounter) -> Self {
        Self { period: counted.period.clone(), used: counted.after, from: counted.from }
    }
}

/// What a bill is made from.
pub struct Closing<'a> {
    /// The setup in force.
    pub setup: &'a Setup,
    /// The block's zone.
    pub zone: &'a Zone,
    /// The meters.
    pub meters: &'a BTreeMap<MeterId, MeterState>,
    /// The end of the period that closes.
    pub end: Time,
    /// Now.
    pub now: Time,
    /// The names of the tariffs' revisions.
    pub names: BTreeMap<(&'a TariffId, Day), String>,
}

/// One charge to bill.
pub struct Due<'a> {
    /// Whose.
    pub account: &'a AccountId,
    /// Which item.
    pub item: &'a ItemId,
    /// Its terms.
    pub terms: &'a Terms,
    /// Where it stands.
    pub state: &'a ChargeState,
    /// Where the account stands in its tiers.
    pub counter: Option<&'a Counter>,
    /// Where it stands in its rounding years.
    pub years: Option<&'a Years>,
    /// The day after the last to bill.
    pub to: Day,
}

/// Why a charge cannot be billed: the stable word.
pub type Why = &'static str;

/// A quantity and its time-of-use window, where one was written.
pub type InWindow = (Option<String>, Decimal);

/// What a charge costs.
pub struct Priced {
    /// The lines and their sum.
    pub rated: Rated,
    /// By which revisions.
    pub tariff_revision: String,
    /// The tier counter, where the tariff counts.
    pub tier_counter: Option<TierCounter>,
    /// What late payment costs by the revision of the last day.
    pub late: Option<Box<LateTerms>>,
}

/// The same, while a bill is made: a month of hours has hundreds.
type Ran<'w> = (Option<&'w str>, Decimal);

/// What ran from a day until the next entry's, window by window.
struct Stretch<'w> {
    from: Day,
    used: Vec<Ran<'w>>,
}

/// A part of the billed days with one revision, in one tier period, with the same adjustments.
struct Part<'a> {
    from: Day,
    to: Day,
    revision: &'a Revision,
    adjustments: Vec<&'a Adjustment>,
}

impl<'a> Closing<'a> {
    /// What a close at `end` is made from.
    #[must_use]
    pub fn new(
        setup: &'a Setup,
        zone: &'a Zone,
        meters: &'a BTreeMap<MeterId, MeterState>,
        end: Time,
        now: Time,
    ) -> Self {
        let mut names = BTreeMap::new();
        for (id, tariff) in &setup.tariffs {
            names.extend(tariff.revisions.iter().map(|r| ((id, r.from), r.name())));
        }
        Self { setup, zone, meters, end, now, names }
    }

    /// Whether a charge has all that its close needs: no meter, or the closing reading.
    #[must_use]
    pub fn is_ready(&self, state: &ChargeState) -> bool {
        state.sources.iter().chain(&state.minus).all(|source| {
            source.closed.is_some()
                || self.register(source).is_some_and(|register| register.last.at >= self.end)
        })
    }

    /// The bill of a charge; `None` when its days are billed already.
    ///
    /// # Errors
    /// The word for [`crate::event::Unbilled::why`].
    pub fn bill(&self, due: &Due<'_>) -> Result<Option<Bill>, Why> {
        let from = due.state.from;
        if from >= due.to {
            return Ok(None);
        }
        let tariff_id = &due.terms.charge.tariff;
        let tariff = self.setup.tariffs.get(tariff_id).ok_or("no-tariff")?;
        let parts = parts_of(tariff, due).ok_or("no-tariff")?;
        let metered = parts.iter().any(|part| matches!(part.revision.pricing, Pricing::Metered(_)));
        let (evidence, mut used) = if metered { self.used(due)? } else { (Vec::new(), Vec::new()) };
        let mut subs = Vec::new();
        if metered && !due.terms.charge.minus.is_empty() {
            let loss;
            (subs, loss) = self.loss(due, &evidence)?;
            used = vec![vec![Stretch { from, used: vec![(None, loss)] }]];
        }
        let Some(priced) = self.price(due, tariff, &parts, &used)? else { return Ok(None) };
        let tariff_revision = priced.tariff_revision;
        let period = calendar::period(from, due.to, self.zone);
        let key = [
            due.account.as_str(),
            due.item.as_str(),
            &period.from,
            &period.to,
            tariff_id.as_str(),
            &tariff_revision,
            "0",
        ];
        Ok(Some(Bill {
            rounded_years: priced.rated.years,
            evidence,
            minus: subs,
            basis: Basis::of(tariff, due.terms),
            tier_counter: priced.tier_counter,
            late: priced.late.filter(|_| self.due(priced.rated.total_fen).is_some()),
            ..BillHead {
                bill: bill_id(&key).ok_or("overflow")?,
                account: due.account.clone(),
                item: due.item.clone(),
                period,
                tariff: tariff_id.clone(),
                tariff_revision,
                currency: tariff.currency.clone(),
                lines: priced.rated.lines,
                total_fen: priced.rated.total_fen,
                issued_at: self.now,
                due: self.due(priced.rated.total_fen),
            }
            .bill()
        }))
    }

    /// The last day on which a bill of today is paid in time.
    pub(crate) fn due(&self, total: crate::money::Fen) -> Option<Day> {
        let dunning = self.setup.dunning.filter(|_| total > crate::money::Fen::ZERO)?;
        calendar::days_after(self.zone.day(self.now), dunning.due_days)
    }

    /// Prices what was used by the tariff's parts; `None` where nothing is due.
    fn price(
        &self,
        due: &Due<'_>,
        tariff: &Tariff,
        parts: &[Part<'_>],
        used: &[Vec<Stretch<'_>>],
    ) -> Result<Option<Priced>, Why> {
        let mut counting = Counting::new(due.counter);
        let usages = usages(parts, due, used, &mut counting)?;
        if usages.is_empty() {
            return Ok(None);
        }
        let rated = rate_parts(&tariff.label, &usages).map_err(|error| error.word())?;
        let id = &due.terms.charge.tariff;
        let name = |r: &Revision| self.names.get(&(id, r.from)).map(String::as_str);
        let mut names: Vec<&str> = usages.iter().filter_map(|(r, _)| name(r)).collect();
        names.dedup();
        let tariff_revision = names.join("+");
        let late = usages.last().and_then(|(revision, _)| revision.late_fee.clone());
        Ok(Some(Priced { rated, tariff_revision, tier_counter: counting.result, late }))
    }

    /// Prices what was used by window, evenly over the days, by the tariff as it is set now: what a
    /// bill would be today.
    ///
    /// # Errors
    /// The word for [`crate::event::Unbilled::why`].
    pub fn price_again(&self, due: &Due<'_>, used: &[InWindow]) -> Result<Option<Priced>, Why> {
        let tariff = self.setup.tariffs.get(&due.terms.charge.tariff).ok_or("no-tariff")?;
        let parts = parts_of(tariff, due).ok_or("no-tariff")?;
        let used = used.iter().map(|(window, part)| (window.as_deref(), *part)).collect();
        let stretch = Stretch { from: due.state.from, used };
        self.price(due, tariff, &parts, &[vec![stretch]])
    }

    fn register(&self, source: &Source) -> Option<&'a RegisterState> {
        self.meters.get(&source.meter)?.registers.get(&source.register)
    }

    /// What passed, register by register and window by window, each register in the stretches
    /// between changes of price that its readings divide.
    fn used(&self, due: &Due<'_>) -> Result<(Vec<Evidence>, Vec<Vec<Stretch<'a>>>), Why> {
        let (mut evidence, mut used) = (Vec::new(), Vec::new());
        let tariff = self.setup.tariffs.get(&due.terms.charge.tariff);
        let changes = tariff.into_iter().flat_map(Tariff::changes_by_readings);
        let inside = |day: &Day| due.state.from < *day && *day < due.to;
        let changes: Vec<Day> = changes.filter(inside).collect();
        let mut why = if due.state.sources.is_empty() { "no-meter" } else { "no-reading" };
        for source in &due.state.sources {
            let Some(register) = self.register(source) else { continue };
            let open = source.open.as_ref().unwrap_or(&register.opened);
            let close = match &source.closed {
                Some(closed) => Some(closed),
                None => self.closing_point(register),
            };
            let Some(close) = close.filter(|close| close.reading > open.reading) else {
                if source.closed.is_none() && register.held.is_some() {
                    why = "held";
                }
                continue;
            };
            let unit = self.unit_of(source);
            let passed = minus(close.total, open.total).ok_or("overflow")?;
            let log = register.windows.get(&due.terms.charge.tariff);
            let mut stretches = Vec::with_capacity(1);
            let (mut from, mut low) = (due.state.from, open.total);
            for day in &changes {
                let change = self.zone.start_of(*day);
                let total = total_at(register, change, open, close).ok_or("overflow")?;
                // No reading after the change: its use is spread by days, with what lies before.
                let Some(total) = total else { continue };
                stretches.push(Stretch { from, used: passed_between(log, low, total) });
                (from, low) = (*day, total);
            }
            stretches.push(Stretch { from, used: passed_between(log, low, close.total) });
            used.push(stretches);
            let multiplier = self.setup.meters.get(&source.meter).map(|meter| meter.multiplier);
            evidence.push(Evidence {
                meter: source.meter.clone(),
                register: source.register.clone(),
                from: quoted(open),
                to: quoted(close),
                multiplier: multiplier.unwrap_or(Decimal::ONE),
                used: passed,
                unit: unit.ok_or("no-meter")?,
            });
        }
        if evidence.is_empty() { Err(why) } else { Ok((evidence, used)) }
    }

    /// What the sub-meters of a charge say, and the loss that is left: master minus the sum of the
    /// sub-meters over the same instants. A negative one is a fault of the data and is not billed.
    fn loss(&self, due: &Due<'_>, master: &[Evidence]) -> Result<(Vec<Evidence>, Decimal), Why> {
        let rule = due.terms.charge.share.as_ref();
        let rule = rule.and_then(|id| self.setup.apportionments.get(id));
        let bound = rule.and_then(|rule| rule.loss.as_ref()).ok_or("no-apportionment")?;
        let near = |a: Time, b: Time| {
            let apart = a.since(b).or_else(|| b.since(a));
            apart.is_some_and(|apart| apart <= bound.skew_max)
        };
        let (first, last) = (master.first().ok_or("no-reading")?, master.last());
        let last = last.ok_or("no-reading")?;
        let sum = |sum: Decimal, more: &Evidence| plus(sum, more.used);
        let total = master.iter().try_fold(Decimal::ZERO, sum).ok_or("overflow")?;
        let mut evidence = Vec::with_capacity(due.state.minus.len());
        for source in &due.state.minus {
            let register = self.register(source).ok_or("no-reading")?;
            let open = source.open.as_ref().unwrap_or(&register.opened);
            let close = source.closed.as_ref().or_else(|| self.closing_point(register));
            let close = close.ok_or("held")?;
            if close.reading <= open.reading {
                return Err(if register.held.is_some() { "held" } else { "no-reading" });
            }
            let whole = source.closed.is_none();
            if !near(open.at, first.from.at) || (whole && !near(close.at, last.to.at)) {
                return Err("skew");
            }
            let multiplier = self.setup.meters.get(&source.meter).map(|meter| meter.multiplier);
            evidence.push(Evidence {
                meter: source.meter.clone(),
                register: source.register.clone(),
                from: quoted(open),
                to: quoted(close),
                multiplier: multiplier.unwrap_or(Decimal::ONE),
                used: minus(close.total, open.total).ok_or("overflow")?,
                unit: self.unit_of(source).ok_or("no-meter")?,
            });
        }
        let subs = evidence.iter().try_fold(Decimal::ZERO, sum).ok_or("overflow")?;
        let loss = minus(total, subs).ok_or("overflow")?;
        if loss.is_sign_negative() && !loss.is_zero() {
            return Err("negative-loss");
        }
        let most = times(total, bound.max_percent).and_then(|most| times(most, Decimal::new(1, 2)));
        let most = most.ok_or("overflow")?;
        match bound.above {
            AboveBound::Hold if loss > most => Err("loss-above-bound"),
            AboveBound::Cap => Ok((evidence, loss.min(most))),
            AboveBound::Hold => Ok((evidence, loss)),
        }
    }

    /// The first reading at or after the end, within the grace; else the last one before it, unless
    /// the register is held.
    fn closing_point<'r>(&self, register: &'r RegisterState) -> Option<&'r Point> {
        let limit = self.end.plus(self.setup.close_grace);
        let mark = register.marks.iter().find(|mark| mark.first.at >= self.end);
        match mark {
            Some(mark) if mark.first.at <= limit => Some(&mark.first),
            Some(mark) => Some(&mark.before),
            None if register.held.is_some() => None,
            None => Some(&register.last),
        }
    }

    fn unit_of(&self, source: &Source) -> Option<blockgate_types::Unit> {
        let meter = self.setup.meters.get(&source.meter);
        let register = meter.and_then(|m| m.registers.iter().find(|r| r.name == source.register));
        // A meter that was taken away: its unit is the standard one of the register's name.
        let standard = blockgate_types::register::STANDARD;
        let by_name = || standard.iter().find(|(name, _)| *name == source.register.as_str());
        register.map(|r| r.unit).or_else(|| by_name().map(|(_, unit)| *unit))
    }
}

/// What passed between two totals, by window where a log knows it.
fn passed_between(log: Option<&WindowLog>, low: Decimal, high: Decimal) -> Vec<Ran<'_>> {
    match log {
        Some(log) => log.between(low, high),
        None => minus(high, low).map(|passed| vec![(None, passed)]).unwrap_or_default(),
    }
}

/// The total at a moment: of the reading that lies there, or in proportion to time between the two
/// readings around it. `None` inside where no reading lies after it.
fn total_at(
    register: &RegisterState,
    moment: Time,
    open: &Point,
    close: &Point,
) -> Option<Option<Decimal>> {
    let around = |mark: &&Mark| mark.before.at < moment && moment <= mark.first.at;
    let Some(mark) = register.marks.iter().find(around) else { return Some(None) };
    let (before, first) = (&mark.before, &mark.first);
    let span = Decimal::from(first.at.since(before.at)?.as_millis().max(1));
    let gone = Decimal::from(moment.since(before.at)?.as_millis());
    let passed = times(minus(first.total, before.total)?, gone)?.checked_div(span)?;
    let total = plus(before.total, passed.trunc_with_scale(SPREAD_DECIMALS))?;
    let total = if moment == first.at { first.total } else { total };
    Some(Some(total.clamp(open.total, close.total.max(open.total))))
}

fn quoted(point: &Point) -> EvidenceReading {
    EvidenceReading {
        estimated: point.estimated,
        reading: point.reading,
        at: point.at,
        value: point.value,
    }
}

/// `bill-` and the first 20 bytes of the SHA-256 of what it bills, in hexadecimal (invariant 8).
pub(crate) fn bill_id(key: &[&str]) -> Option<BillId> {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    for (n, part) in key.iter().enumerate() {
        if n > 0 {
            hash.update(b"|");
        }
        hash.update(part.as_bytes());
    }
    BillId::new(&format!("bill-{}", crate::hex(hash.finish().as_ref().get(..20)?))).ok()
}

/// Splits days where another revision prices, where a tier period or a rounding year begins, where an occupant moves in
/// whose counter begins anew, and where an adjustment begins or ends. Days without a price are left
/// out; a metered tariff has none but before its first revision, and that is a fault.
fn parts_of<'a>(tariff: &'a Tariff, due: &Due<'_>) -> Option<Vec<Part<'a>>> {
    let (from, to) = (due.state.from, due.to);
    let mut parts = Vec::new();
    let mine: Vec<&Adjustment> =
        tariff.adjustments.iter().filter(|a| a.accounts.contains(due.account)).collect();
    let mut start = from;
    while start < to {
        let mut end = to;
        let mut ends_by = |day: Day| {
            if start < day && day < end {
                end = day;
            }
        };
        for (n, later) in tariff.revisions.iter().enumerate() {
            ends_by(tariff.begins(n, later, from, to));
            later.to.into_iter().for_each(&mut ends_by);
        }
        for adjustment in &mine {
            ends_by(adjustment.from);
            adjustment.to.into_iter().for_each(&mut ends_by);
        }
        match tariff.pricing_in(start, from, to) {
            Some(revision) => {
                if let Some((months, reset, terms)) = cycle_of(revision) {
                    ends_by(calendar::tier_period(start, months, reset).1);
                    let moved = due.terms.occupied_from;
                    let moved = moved.filter(|_| terms.new_occupant == NewOccupant::Reset);
                    moved.into_iter().for_each(&mut ends_by);
                }
                if let Rounding::PerYear { begins } = revision.rounding {
                    ends_by(calendar::next_tier_year(start, begins));
                }
                let hold = |a: &&Adjustment| a.holds(due.account, start);
                let adjustments = mine.iter().copied().filter(hold).collect();
                parts.push(Part { from: start, to: end, revision, adjustments });
            }
            None if tariff.is_metered() => return None,
            None => {}
        }
        start = end;
    }
    Some(parts)
}

fn cycle_of(revision: &Revision) -> Option<(u32, (i8, i8), CycleTerms)> {
    match &revision.pricing {
        Pricing::Metered(metered) => metered.tiering.cycle(),
        Pricing::PerArea(_) | Pricing::Fixed(_) | Pricing::Dated(_) => None,
    }
}

/// The tier counter while the parts of a bill are priced.
struct Counting {
    known: Option<Counter>,
    result: Option<TierCounter>,
}

impl Counting {
    fn new(known: Option<&Counter>) -> Self {
        Self { known: known.cloned(), result: None }
    }

    /// The counter before a part that adds `used`, and the first day that it counts, where that is
    /// not the first of the period.
    fn step(
        &mut self,
        period: String,
        begins: Option<Day>,
        used: Decimal,
    ) -> Option<(Decimal, Option<Day>)> {
        let (before, from) = match (&self.result, &self.known) {
            (Some(running), _) if running.period == period => (running.after, running.from),
            (_, Some(known)) if known.period == period => (known.used, known.from),
            (_, _) => (Decimal::ZERO, begins),
        };
        let after = plus(before, used)?;
        match &mut self.result {
            Some(running) if running.period == period => running.after = after,
            Some(_) | None => self.result = Some(TierCounter { period, before, after, from }),
        }
        Some((before, from))
    }
}

/// What each part is priced for.
fn usages<'a>(
    parts: &[Part<'a>],
    due: &Due<'_>,
    used: &[Vec<Stretch<'_>>],
    counting: &mut Counting,
) -> Result<Vec<(&'a Revision, Usage)>, Why> {
    let months = months_in(due.state.from, due.to);
    let is_metered = |part: &&Part<'_>| matches!(part.revision.pricing, Pricing::Metered(_));
    let spans: Vec<(Day, Day)> =
        parts.iter().filter(is_metered).map(|part| (part.from, part.to)).collect();
    let mut shares = stretched(used, &spans).ok_or("overflow")?.into_iter();
    let mut usages = Vec::with_capacity(parts.len());
    for part in parts {
        let mut usage = Usage {
            months,
            persons: due.terms.persons,
            area_m2: due.terms.area_m2,
            spaces: due.terms.spaces,
            adjustments: part.adjustments.iter().map(|a| (*a).clone()).collect(),
            year: year_of(part, due),
            ..Usage::of(Quantity::Plain(Decimal::ZERO))
        };
        match &part.revision.pricing {
            Pricing::Metered(metered) => {
                let share = shares.next().unwrap_or_default();
                let total = share.iter().try_fold(Decimal::ZERO, |sum, (_, q)| plus(sum, *q));
                let total = total.ok_or("overflow")?;
                count(metered, part, due, total, counting, &mut usage).ok_or("overflow")?;
                usage.quantity = quantity(metered, &share, total).ok_or("overflow")?;
                usage.base = metered.base.as_ref().map(|base| match &base.price {
                    BasePrice::Month(monthly) => Quantity::Months(month_parts(monthly, part, due)),
                    BasePrice::Season(dated) => Quantity::Due(dated.due_in(part.from, part.to)),
                });
            }
            Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => {
                usage.quantity = Quantity::Months(month_parts(monthly, part, due));
            }
            Pricing::Dated(dated) => {
                usage.quantity = Quantity::Due(dated.due_in(part.from, part.to));
            }
        }
        let nothing = match &usage.quantity {
            Quantity::Months(parts) => parts.is_empty(),
            Quantity::Due(parts) => parts.is_empty(),
            Quantity::Plain(_) | Quantity::Windows(_) | Quantity::Intervals(_) => false,
        };
        if !nothing {
            usages.push((part.revision, usage));
        }
    }
    Ok(usages)
}

/// Where the rounding year of a part stood before the bill.
fn year_of(part: &Part<'_>, due: &Due<'_>) -> YearStanding {
    let Rounding::PerYear { begins } = part.revision.rounding else {
        return YearStanding::default();
    };
    let year = rounding_year::name(part.from, begins, due.terms.occupied_from);
    let sum = due.years.map(|years| years.of(&year)).unwrap_or_default();
    YearStanding { year, sum }
}

/// Moves the tier counter over a part, and tells the part's place and quota; nothing where the tariff
/// does not count.
fn count(
    metered: &Metered,
    part: &Part<'_>,
    due: &Due<'_>,
    total: Decimal,
    counting: &mut Counting,
    usage: &mut Usage,
) -> Option<()> {
    if let Tiering::Month { .. } = metered.tiering {
        let name = Month::of(due.state.from).to_string();
        usage.before = counting.step(name, None, total)?.0;
        return Some(());
    }
    let Some((months, reset, terms)) = metered.tiering.cycle() else { return Some(()) };
    let (start, end) = calendar::tier_period(part.from, months, reset);
    let whole_year = months == 12 && reset == (1, 1);
    let mut name = if whole_year { format!("{:04}", start.year()) } else { start.to_string() };
    let moved = due.terms.occupied_from.filter(|day| start < *day && *day <= part.from);
    if let Some(day) = moved.filter(|_| terms.new_occupant == NewOccupant::Reset) {
        name = format!("{name}/{day}");
    }
    let begins = (part.from > start).then_some(part.from);
    let (before, from) = counting.step(name, begins, total)?;
    usage.before = before;
    let from = from.unwrap_or(start);
    usage.part = match terms.part_quota {
        PartQuota::Whole => None,
        PartQuota::ByDays => {
            let days = |from| calendar::days_between(from, end);
            Some((days(from), days(start)))
        }
        PartQuota::ByMonths => Some((months_in(from, end).min(months), months)),
    };
    Some(())
}

/// Puts what ran in each stretch into the parts of a bill: by days, inside the stretch.
fn stretched<'w>(used: &[Vec<Stretch<'w>>], spans: &[(Day, Day)]) -> Option<Vec<Vec<Ran<'w>>>> {
    let mut parts = vec![Vec::new(); spans.len()];
    for stretches in used {
        for (n, stretch) in stretches.iter().enumerate() {
            let next = n.checked_add(1).and_then(|n| stretches.get(n));
            let (start, next) = (stretch.from, next.map_or(Day::MAX, |next| next.from));
            let inside = |(from, to): &(Day, Day)| {
                calendar::days_between((*from).max(start), (*to).min(next))
            };
            let days: Vec<u32> = spans.iter().map(inside).collect();
            for (part, share) in parts.iter_mut().zip(spread(&stretch.used, &days)?) {
                part.extend(share);
            }
        }
    }
    Some(parts)
}

/// The quantity in the form that the kind needs. Use that no window was written for (a tariff that
/// came after it) goes to the window that is cheapest.
fn quantity(metered: &Metered, share: &[Ran<'_>], total: Decimal) -> Option<Quantity> {
    let Some(tou) = &metered.tou else { return Some(Quantity::Plain(total)) };
    let prices = &metered.tiers.first()?.prices;
    let (cheapest, _) = prices.iter().min_by_key(|(_, price)| **price)?;
    let named = share.iter().map(|(window, part)| {
        let known = window.filter(|name| prices.contains_key(*name));
        (known.unwrap_or(cheapest.as_str()), *part)
    });
    if tou.allocation == Some(Allocation::Chronological) {
        return Some(Quantity::Intervals(named.map(|(name, q)| (name.to_owned(), q)).collect()));
    }
    let mut windows: Vec<(&str, Decimal)> = Vec::with_capacity(prices.len());
    for (name, part) in named {
        match windows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = plus(*sum, part)?,
            None => windows.push((name, plus(Decimal::ZERO, part)?)),
        }
    }
    let windows = windows.into_iter().map(|(name, sum)| (name.to_owned(), sum));
    Some(Quantity::Windows(windows.collect()))
}

/// Spreads each quantity over parts of so many days; the rest of a division goes to the last part
/// that has a day.
fn spread<'w>(used: &[Ran<'w>], spans: &[u32]) -> Option<Vec<Vec<Ran<'w>>>> {
    let days = Decimal::from(spans.iter().map(|days| u64::from(*days)).sum::<u64>());
    let last = spans.iter().rposition(|days| *days > 0);
    let mut parts = vec![Vec::with_capacity(used.len()); spans.len()];
    for (window, quantity) in used {
        let mut rest = *quantity;
        for (place, span) in spans.iter().enumerate().filter(|(_, span)| **span > 0) {
            let part = if Some(place) == last {
                rest
            } else {
                times(*quantity, Decimal::from(*span))?
                    .checked_div(days)?
                    .trunc_with_scale(SPREAD_DECIMALS)
            };
            rest = minus(rest, part)?;
            parts.get_mut(place)?.push((*window, part));
        }
    }
    Some(parts)
}

/// The months of `[from, to)`, whole or in part.
fn months_in(from: Day, to: Day) -> u32 {
    let (mut month, mut count) = (Month::of(from), 0_u32);
    while month.first() < to {
        count = count.saturating_add(1);
        month = month.next();
    }
    count
}

/// The months of a part. A month that a price by the whole month covers twice, because the revision
/// changes inside it, is charged by the revision that comes first. The parts of a month of thirtieths
/// have together as many as it has undivided, neither 31 nor 28.
fn month_parts(monthly: &Monthly, part: &Part<'_>, due: &Due<'_>) -> Vec<MonthPart> {
    let mut parts = Vec::new();
    let whole = matches!(monthly.proration, Proration::FullMonth | Proration::Free);
    let mut month = Month::of(part.from);
    while month.first() < part.to {
        let (mut from, mut to) = (part.from.max(month.first()), part.to.min(month.next().first()));
        if whole {
            let seen = from > month.first() && from > due.state.from;
            (from, to) = (due.state.from.max(month.first()), due.to.min(month.next().first()));
            if seen {
                to = from;
            }
        }
        let (days, of) = if monthly.proration == Proration::Fixed30 {
            let until = |day| thirtieths(month, due.state.from.max(month.first()), day);
            (until(to).saturating_sub(until(from)), 30)
        } else {
            (calendar::days_between(from, to), month.days())
        };
        if days > 0 {
            parts.push(MonthPart { days, of });
        }
        month = month.next();
    }
    parts
}

/// The days `[from, to)` of a month, in thirtieths of it: the whole month has 30, however long it is.
fn thirtieths(month: Month, from: Day, to: Day) -> u32 {
    let days = calendar::days_between(from, to);
    if days >= month.days() { 30 } else { days.min(30) }
}
