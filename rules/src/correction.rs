//! Corrections: bills are never changed. Rating the corrected facts says what should have been billed;
//! minus what was billed already, differences included, that is the new bill. Carrying out the same
//! correction again therefore yields nothing.
//!
//! What is rated again goes to the end of the tier period: where an earlier bill's quantity moves, the
//! counter of the later ones moves with it. A difference bill takes back what was billed in one line,
//! names the bill that it corrects, and prices the corrected facts line by line; its total is the
//! difference. It carries the corrected readings, so that the next correction goes on from them.
//!
//! What is rounded once a year ([`crate::rounding_year`]) is rated as the last bill of its year: the year
//! as it stands without the bill, with the corrected facts, rounded once. So the year stays exact, and
//! the bills of its other months stay as they are.
//!
//! Not corrected here, and refused: a bill whose use was divided between two prices by readings inside
//! its period, and one of a rounding year that is not kept any more.

mod shared;

use crate::billing::{ChargeState, Closing, Counter, Due, InWindow, Terms};
use crate::calendar::{Day, parse_day};
use crate::event::{Basis, Bill, Corrects, Evidence, ReadingId, Text};
use crate::late::LateRight;
use crate::money::{Fen, minus, plus, times};
use crate::rounding_year::{AllYears, Years};
use crate::setup::Charge;
use blockgate_types::{
    AccountId, BillId, CommandId, Decimal, ItemId, MeterId, RegisterName, TariffId, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a correction is made; each field must say something (statement C6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// A reason code: `misread`, `wrong-price`, `wrong-meter`, `wrong-area`, `wrong-multiplier`,
    /// `meter-error`.
    pub reason: String,
    /// Where the evidence is: a protocol, a photograph, a test certificate.
    pub evidence: String,
    /// Who approved it.
    pub approver: String,
    /// By which rule it reaches back no farther than `since`.
    pub limit: String,
}

/// What is put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// Why.
    pub ground: Ground,
    /// Bills whose period ends on this day or before stay as they are, `2026-01-01`.
    pub since: String,
    /// A difference of fewer fen than this, up or down, is recorded and not billed.
    pub threshold_fen: Fen,
    /// What.
    pub what: What,
}

/// A fact that is put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// A reading was wrong.
    Reading {
        /// Which meter.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// Which reading, `1042.3`.
        reading: ReadingId,
        /// Its right value.
        #[serde(with = "blockgate_types::decimal::text")]
        value: Decimal,
    },
    /// Bills by a tariff are rated by the tariff as it is set now.
    Tariff {
        /// Which tariff.
        tariff: TariffId,
    },
    /// The area, persons, spaces of an account were wrong.
    Basis {
        /// Whose.
        account: AccountId,
        /// The right ones; what is left out stays as it was.
        basis: Basis,
    },
    /// A charge was bound to another's meter: it is billed by what that meter counted between the same
    /// instants, as far as bills name them.
    Meter {
        /// Whose charge.
        account: AccountId,
        /// Which item.
        item: ItemId,
        /// The right meter.
        meter: MeterId,
        /// The right register.
        register: RegisterName,
    },
    /// Weights of a shared cost were wrong.
    Weights {
        /// The bill of the cost, the first one.
        bill: BillId,
        /// Which part of it, from 1.
        part: usize,
        /// The right weights; whom it leaves out keeps its own.
        weights: BTreeMap<AccountId, String>,
    },
    /// The late fee of a bill is waived, or counted to an earlier day.
    LateFee {
        /// Which bill was paid late; not the fee's own.
        bill: BillId,
        /// How it is put right.
        right: LateRight,
    },
    /// A meter's quantity is multiplied: right ratio over wrong ratio for a wrong multiplier, over the
    /// actual time (`since`); `100 / (100 + e)` for a meter that ran fast by `e` percent, where `part`
    /// is a half: half of the time since the last check.
    Quantity {
        /// Which meter.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// The numerator of the factor.
        #[serde(with = "blockgate_types::decimal::text")]
        times: Decimal,
        /// The denominator of the factor.
        #[serde(with = "blockgate_types::decimal::text")]
        over: Decimal,
        /// The part of each bill's quantity that the factor holds for, from 0 to 1.
        #[serde(with = "blockgate_types::decimal::text")]
        part: Decimal,
    },
    /// A meter ran fast or slow, found by a check: its quantity is put right over the time that the
    /// rule gives (供电营业规则: half of the time since the last check where nobody knows since when).
    MeterError {
        /// Which meter.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// By how many percent it counted too much; below zero for too little.
        #[serde(with = "blockgate_types::decimal::text")]
        error_percent: Decimal,
        /// The last check or the installation, `2026-01-01`.
        last_check: String,
        /// The day on which the error was found; not corrected any more.
        found: String,
        /// Over which part of that time.
        over: ErrorTime,
    },
}

/// Over which time a meter's error is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorTime {
    /// The second half of the time since the last check: nobody knows since when it was wrong.
    HalfPeriod,
    /// All of it: it was wrong from then on.
    WholePeriod,
}

impl What {
    /// The days `[from, to)` over which a meter's error is put right.
    fn error_days(&self) -> Option<(Day, Day)> {
        let Self::MeterError { last_check, found, over, .. } = self else { return None };
        let (from, to) = (parse_day(last_check)?, parse_day(found)?);
        let days = crate::calendar::days_between(from, to);
        let half = days.checked_div(2)?;
        let from = match over {
            ErrorTime::WholePeriod => from,
            ErrorTime::HalfPeriod => crate::calendar::days_before(to, half)?,
        };
        (from < to).then_some((from, to))
    }
}

/// Decimals to which a corrected quantity is cut where it does not come out even.
const QUANTITY_DECIMALS: u32 = 6;

impl Correction {
    /// The first day of what may be corrected.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn checked(&self) -> Result<Day, &'static str> {
        let ground = &self.ground;
        for (text, missing) in [
            (&ground.reason, "a correction needs a reason code"),
            (&ground.evidence, "a correction needs a link to its evidence"),
            (&ground.approver, "a correction needs an approver"),
            (&ground.limit, "a correction needs the rule that limits how far back it goes"),
        ] {
            if text.trim().is_empty() {
                return Err(missing);
            }
        }
        if self.threshold_fen.0 < 0 {
            return Err("threshold_fen is negative");
        }
        if let What::Quantity { times, over, part, .. } = &self.what {
            let fits = *times > Decimal::ZERO && *over > Decimal::ZERO;
            if !fits || part.is_sign_negative() || *part > Decimal::ONE {
                return Err("the factor must be above zero and its part from 0 to 1");
            }
        }
        if let What::MeterError { error_percent, .. } = &self.what
            && (*error_percent <= Decimal::from(-100) || error_percent.is_zero())
        {
            return Err("error_percent is above -100 and not zero");
        }
        if let What::MeterError { .. } = &self.what
            && self.what.error_days().is_none()
        {
            return Err("last_check and found are days, last_check before found");
        }
        if let What::Reading { value, .. } = &self.what
            && value.is_sign_negative()
        {
            return Err("a reading is not negative");
        }
        parse_day(&self.since).ok_or("since is not a day like \"2026-01-01\"")
    }
}

/// The bills of one account, item and period: the first one and its corrections.
struct Chain<'b> {
    first: &'b Bill,
    latest: &'b Bill,
    charged: Fen,
    /// What it is in its rounding years.
    in_years: Years,
}

/// What was issued, found by what it is asked for: corrections by the bill that they correct, shares by
/// cost and household, and where the rounding years stand.
struct Issued<'b> {
    bills: &'b [Bill],
    corrections: BTreeMap<&'b BillId, Vec<&'b Bill>>,
    shares: BTreeMap<(&'b BillId, &'b AccountId), &'b Bill>,
    years: &'b AllYears,
}

impl<'b> Issued<'b> {
    fn new(bills: &'b [Bill], years: &'b AllYears) -> Self {
        let mut corrections: BTreeMap<&BillId, Vec<&Bill>> = BTreeMap::new();
        let mut shares = BTreeMap::new();
        for bill in bills {
            match (&bill.corrects, &bill.share) {
                (Some(corrects), _) => corrections.entry(&corrects.bill).or_default().push(bill),
                (None, Some(share)) => {
                    shares.entry((&share.bill, &bill.account)).or_insert(bill);
                }
                (None, None) => {}
            }
        }
        Self { bills, corrections, shares, years }
    }

    /// Where the rounding years of an account and item stand.
    fn years(&self, account: &AccountId, item: &ItemId) -> Years {
        let items = self.years.get(account);
        items.and_then(|items| items.get(item)).cloned().unwrap_or_default()
    }

    /// A first bill with its corrections.
    fn chain(&self, first: &'b Bill) -> Result<Chain<'b>, String> {
        let corrections = || self.corrections.get(&first.bill).into_iter().flatten().copied();
        let latest = corrections().max_by_key(|bill| bill.revision).unwrap_or(first);
        let charged = Fen::sum(corrections().map(|bill| bill.total_fen))
            .and_then(|sum| sum.plus(first.total_fen))
            .ok_or("the sum of the bills is too large")?;
        let all = std::iter::once(first).chain(corrections());
        let in_years = Years::parts(all.map(|bill| bill.rounded_years.as_slice()));
        let in_years = in_years.ok_or("the sum of the bills is too large")?;
        Ok(Chain { first, latest, charged, in_years })
    }
}

/// The facts of a bill, as corrected so far.
#[derive(Clone, PartialEq)]
struct Facts {
    evidence: Vec<Evidence>,
    minus: Vec<Evidence>,
    basis: Option<Basis>,
    used: Vec<InWindow>,
}

/// The difference bills of a correction, in the order of their periods; `years` says where what is
/// rounded once a year stands.
///
/// # Errors
/// Why nothing is corrected, for people.
pub fn differences(
    closing: &Closing<'_>,
    command: &CommandId,
    correction: &Correction,
    issued: &[Bill],
    years: &AllYears,
) -> Result<Vec<Bill>, String> {
    let since = correction.checked()?;
    let mut out = Vec::new();
    let known = Issued::new(issued, years);
    for ((account, item), chains) in chains(&known)? {
        let mut years = known.years(account, item);
        let mut after: Option<Counter> = None;
        let mut moved = false;
        for chain in &chains {
            let first = chain.first;
            let (from, to) = days(first)?;
            let counted = chain.latest.tier_counter.as_ref();
            let before = counted.map(|counted| Counter {
                period: counted.period.clone(),
                used: counted.before,
                from: counted.from,
            });
            let same_period = |known: &&Counter| {
                before.as_ref().is_some_and(|before| before.period == known.period)
            };
            let running = after.as_ref().filter(same_period).filter(|_| moved).cloned();
            let was = facts_of(chain.latest)?;
            let now = if to > since { corrected(correction, chain, &was, issued)? } else { None };
            let by_tariff = match &correction.what {
                What::Tariff { tariff } => *tariff == first.tariff && to > since,
                What::Reading { .. }
                | What::Basis { .. }
                | What::Meter { .. }
                | What::Weights { .. }
                | What::LateFee { .. }
                | What::MeterError { .. }
                | What::Quantity { .. } => false,
            };
            if now.is_none() && running.is_none() && !by_tariff {
                continue;
            }
            let facts = now.unwrap_or_else(|| was.clone());
            let counter = running.or(before);
            let stands = (counter.as_ref(), &years);
            let bill = again(closing, command, correction, chain, (from, to), &facts, stands)?;
            if let Some(counted) = &bill.tier_counter {
                moved |= chain.latest.tier_counter.as_ref() != Some(counted);
                after = Some(Counter::after(counted));
            }
            let known = chain.latest.corrects.as_ref().map_or(first.total_fen, |c| c.now_fen);
            let now_fen = bill.corrects.as_ref().map_or(Fen::ZERO, |c| c.now_fen);
            let counted = chain.latest.tier_counter != bill.tier_counter;
            let in_year = bill.rounded_years.iter().any(|year| year.before != year.after);
            if facts != was || now_fen != known || counted || in_year {
                years.fold(&bill.rounded_years);
                out.push(bill);
            }
        }
    }
    shared::differences(closing, command, correction, &known, &mut out)?;
    Ok(out)
}

/// First bills with their corrections, by household and item.
type Chains<'b> = BTreeMap<(&'b AccountId, &'b ItemId), Vec<Chain<'b>>>;

/// The first bills by account and item in the order of their periods, each with its corrections.
/// Shares of a shared cost and late fees follow their bills and are left out here.
fn chains<'b>(issued: &Issued<'b>) -> Result<Chains<'b>, String> {
    let mut chains: Chains<'b> = BTreeMap::new();
    let own = |bill: &&Bill| {
        bill.share.is_none() && bill.apportioned.is_none() && bill.late_fee.is_none()
    };
    for first in issued.bills.iter().filter(own).filter(|bill| bill.corrects.is_none()) {
        let list = chains.entry((&first.account, &first.item)).or_default();
        list.push(issued.chain(first)?);
    }
    for list in chains.values_mut() {
        list.sort_by(|a, b| a.first.period.cmp(&b.first.period));
    }
    Ok(chains)
}

fn days(bill: &Bill) -> Result<(Day, Day), String> {
    let days = parse_day(&bill.period.from).zip(parse_day(&bill.period.to));
    days.ok_or_else(|| format!("bill {} has no period", bill.bill))
}

/// The quantities of a bill by window, its readings and what its price was for.
fn facts_of(bill: &Bill) -> Result<Facts, String> {
    let large = || format!("the quantities of bill {} are too large", bill.bill);
    let mut used: Vec<InWindow> = Vec::new();
    for line in bill.lines.iter().filter(|line| line.window.is_some()) {
        match used.iter_mut().find(|(window, _)| *window == line.window) {
            Some((_, sum)) => *sum = plus(*sum, line.quantity).ok_or_else(large)?,
            None => used.push((line.window.clone(), line.quantity)),
        }
    }
    if used.is_empty() && !bill.evidence.is_empty() {
        used.push((None, bill.used().ok_or_else(large)?));
    }
    let (evidence, minus) = (bill.evidence.clone(), bill.minus.clone());
    Ok(Facts { evidence, minus, basis: bill.basis.clone(), used })
}

/// The facts as the correction has them; `None` where they stay.
fn corrected(
    correction: &Correction,
    chain: &Chain<'_>,
    was: &Facts,
    issued: &[Bill],
) -> Result<Option<Facts>, String> {
    let mut now = was.clone();
    match &correction.what {
        What::Tariff { .. } | What::Weights { .. } | What::LateFee { .. } => return Ok(None),
        What::Basis { account, basis } => {
            if chain.first.account != *account {
                return Ok(None);
            }
            let Some(old) = &mut now.basis else { return Ok(None) };
            old.area_m2 = old.area_m2.map(|area| basis.area_m2.unwrap_or(area));
            old.persons = old.persons.map(|persons| basis.persons.unwrap_or(persons));
            old.spaces = old.spaces.map(|spaces| basis.spaces.unwrap_or(spaces));
        }
        What::Reading { meter, register, reading, value } => {
            let main = now.evidence.iter_mut().map(|evidence| (evidence, false));
            for (evidence, is_sub) in main.chain(now.minus.iter_mut().map(|e| (e, true))) {
                if evidence.meter != *meter || evidence.register != *register {
                    continue;
                }
                let multiplier = evidence.multiplier;
                let mut shift = Decimal::ZERO;
                if evidence.from.reading == *reading {
                    let less = difference(*value, evidence.from.value, multiplier)?;
                    shift = minus(shift, less).ok_or(TOO_LARGE)?;
                    evidence.from.value = *value;
                }
                if evidence.to.reading == *reading {
                    let more = difference(*value, evidence.to.value, multiplier)?;
                    shift = plus(shift, more).ok_or(TOO_LARGE)?;
                    evidence.to.value = *value;
                }
                move_used(&mut now.used, evidence, shift, is_sub)?;
            }
        }
        What::Quantity { meter, register, times: up, over, part } => {
            let of = |used| times(used, *part);
            scaled(chain, &mut now, (meter, register), (*up, *over), of)?;
        }
        What::MeterError { meter, register, error_percent, .. } => {
            let (from, to) = correction.what.error_days().ok_or(TOO_LARGE)?;
            let (first, last) = days(chain.first)?;
            let all = crate::calendar::days_between(first, last);
            let inside = crate::calendar::days_between(first.max(from), last.min(to));
            let hundred = Decimal::ONE_HUNDRED;
            let over = plus(hundred, *error_percent).ok_or(TOO_LARGE)?;
            // Its use of the days inside, evenly over the bill's days.
            let of = |used| {
                let days = times(used, Decimal::from(inside))?;
                Some(days.checked_div(Decimal::from(all))?.round_dp(QUANTITY_DECIMALS))
            };
            scaled(chain, &mut now, (meter, register), (hundred, over), of)?;
        }
        What::Meter { account, item, meter, register } => {
            if chain.first.account != *account || chain.first.item != *item {
                return Ok(None);
            }
            let mut right = None;
            for evidence in &was.evidence {
                let found = issued.iter().flat_map(|bill| &bill.evidence).find(|other| {
                    other.meter == *meter
                        && other.register == *register
                        && other.from.at == evidence.from.at
                        && other.to.at == evidence.to.at
                });
                right = found.or(right);
            }
            let right = right.ok_or_else(|| {
                format!(
                    "no bill names readings of meter {meter} at the ends of {}",
                    chain.first.bill
                )
            })?;
            now.evidence = vec![right.clone()];
            now.used = vec![(None, right.used)];
            if was.used.iter().any(|(window, _)| window.is_some()) {
                return Err("a charge with time of use is bound anew by hand".to_owned());
            }
        }
    }
    Ok((now != *was).then_some(now))
}

/// Multiplies a part of a meter's quantity, which `of` gives, by a factor.
fn scaled(
    chain: &Chain<'_>,
    now: &mut Facts,
    (meter, register): (&MeterId, &RegisterName),
    (up, over): (Decimal, Decimal),
    of: impl Fn(Decimal) -> Option<Decimal>,
) -> Result<(), String> {
    // The readings stay: a factor that was put in once is seen at the quantity that it left.
    let main = now.evidence.iter_mut().map(|evidence| (evidence, false));
    for (evidence, is_sub) in main.chain(now.minus.iter_mut().map(|e| (e, true))) {
        let firsts = chain.first.evidence.iter().chain(&chain.first.minus);
        let first = firsts.into_iter().find(|first| {
            first.meter == evidence.meter
                && first.register == evidence.register
                && first.from.reading == evidence.from.reading
        });
        let ours = evidence.meter == *meter && evidence.register == *register;
        let Some(first) = first.filter(|_| ours) else { continue };
        let share = of(first.used).ok_or(TOO_LARGE)?;
        let right = times(share, up)
            .and_then(|product| product.checked_div(over))
            .map(|right| right.round_dp(QUANTITY_DECIMALS))
            .ok_or(TOO_LARGE)?;
        let wanted = minus(right, share).and_then(|d| plus(first.used, d));
        let shift = wanted.and_then(|wanted| minus(wanted, evidence.used));
        move_used(&mut now.used, evidence, shift.ok_or(TOO_LARGE)?, is_sub)?;
    }
    Ok(())
}

const TOO_LARGE: &str = "the numbers are too large to be exact";

fn difference(value: Decimal, old: Decimal, multiplier: Decimal) -> Result<Decimal, String> {
    minus(value, old).and_then(|d| times(d, multiplier)).ok_or_else(|| TOO_LARGE.to_owned())
}

/// Moves a quantity, and with it the windows in their ratio; the rest of the division goes to the last.
fn move_used(
    used: &mut [InWindow],
    evidence: &mut Evidence,
    shift: Decimal,
    is_sub: bool,
) -> Result<(), String> {
    if shift.is_zero() {
        return Ok(());
    }
    let sum = |sum: Decimal, (_, part): &InWindow| plus(sum, *part);
    let total = used.iter().try_fold(Decimal::ZERO, sum).ok_or(TOO_LARGE)?;
    let wanted = if is_sub { minus(total, shift) } else { plus(total, shift) };
    let wanted = wanted.ok_or(TOO_LARGE)?;
    evidence.used = plus(evidence.used, shift).ok_or(TOO_LARGE)?;
    if evidence.used.is_sign_negative() || wanted.is_sign_negative() {
        return Err(
            "this would make a quantity negative: look for another wrong reading".to_owned()
        );
    }
    let count = used.len();
    let mut rest = wanted;
    for (n, (_, part)) in used.iter_mut().enumerate() {
        let last = n.saturating_add(1) == count;
        let moved = if last || total.is_zero() {
            rest
        } else {
            times(*part, wanted)
                .and_then(|product| product.checked_div(total))
                .map(|moved| moved.trunc_with_scale(QUANTITY_DECIMALS))
                .ok_or(TOO_LARGE)?
        };
        *part = moved;
        rest = minus(rest, moved).ok_or(TOO_LARGE)?;
    }
    Ok(())
}

/// The bill that says what should have been billed, and the difference; from where the account stands
/// in its tiers and in its rounding years.
fn again(
    closing: &Closing<'_>,
    command: &CommandId,
    correction: &Correction,
    chain: &Chain<'_>,
    (from, to): (Day, Day),
    facts: &Facts,
    (counter, years): (Option<&Counter>, &Years),
) -> Result<Bill, String> {
    let first = chain.first;
    let tariff = closing.setup.tariffs.get(&first.tariff);
    let mut changes = tariff.into_iter().flat_map(crate::tariff::Tariff::changes_by_readings);
    if changes.any(|day| from < day && day < to) {
        let id = &first.bill;
        return Err(format!(
            "bill {id} was divided by readings inside its period: correct it by hand"
        ));
    }
    let account = closing.setup.accounts.get(&first.account);
    let basis = facts.basis.clone().unwrap_or_default();
    let terms = Terms {
        charge: Charge::of(first.tariff.clone()),
        area_m2: basis.area_m2.or(account.and_then(|a| a.area_m2)),
        persons: basis.persons.or(account.and_then(|a| a.persons)),
        spaces: basis.spaces.or(account.and_then(|a| a.spaces)),
        occupied_from: basis.occupied_from,
    };
    let state = ChargeState { from, sources: Vec::new(), minus: Vec::new() };
    let (account, item) = (&first.account, &first.item);
    let left = years.without(&chain.in_years).ok_or_else(|| {
        let id = &first.bill;
        format!("the rounding year of bill {id} is not kept any more: correct it by hand")
    })?;
    let due = Due { account, item, terms: &terms, state: &state, counter, years: Some(&left), to };
    let priced = closing
        .price_again(&due, &facts.used)
        .map_err(|why| format!("bill {} cannot be rated again: {why}", first.bill))?
        .ok_or_else(|| format!("nothing would be due instead of bill {}", first.bill))?;
    let now_fen = priced.rated.total_fen;
    let difference = Fen(now_fen.0.checked_sub(chain.charged.0).ok_or(TOO_LARGE)?);
    let waived = difference.0.unsigned_abs() < correction.threshold_fen.0.unsigned_abs();
    let mut lines = vec![taken_back(first, chain.charged)?];
    lines.extend(priced.rated.lines);
    if waived && difference != Fen::ZERO {
        let label = Text {
            zh: "差额低于起点，不计收".to_owned(),
            en: "below the threshold, not billed".to_owned(),
        };
        lines.push(fen_line(label, Fen(difference.0.checked_neg().ok_or(TOO_LARGE)?)));
    }
    let revision = chain.latest.revision.saturating_add(1);
    let counter_was = chain.latest.tier_counter.as_ref().map(|counted| counted.after);
    let key = ["correction", first.bill.as_str(), &revision.to_string()];
    Ok(Bill {
        bill: crate::billing::bill_id(&key).ok_or(TOO_LARGE)?,
        revision,
        tariff_revision: priced.tariff_revision,
        lines,
        total_fen: if waived { Fen::ZERO } else { difference },
        due: closing.due(if waived { Fen::ZERO } else { difference }),
        late: first.late.clone().filter(|_| !waived && difference > Fen::ZERO),
        evidence: facts.evidence.clone(),
        minus: facts.minus.clone(),
        basis: facts.basis.clone(),
        tier_counter: priced.tier_counter,
        rounded_years: years.moved(&chain.in_years, &left, &priced.rated.years),
        issued_at: closing.now,
        corrects: Some(Box::new(Corrects {
            bill: first.bill.clone(),
            command: command.clone(),
            was_fen: chain.charged,
            now_fen,
            counter_was,
            waived,
            ground: correction.ground.clone(),
        })),
        ..first.clone()
    })
}

fn taken_back(first: &Bill, charged: Fen) -> Result<crate::event::BillLine, String> {
    let label =
        Text { zh: format!("冲销 {}", first.bill), en: format!("taken back: {}", first.bill) };
    Ok(fen_line(label, Fen(charged.0.checked_neg().ok_or(TOO_LARGE)?)))
}

fn fen_line(label: Text, fen: Fen) -> crate::event::BillLine {
    crate::block::amount_line(label, Decimal::new(fen.0, 2), fen)
}

/// The value that a reading has now, as bills and earlier corrections know it.
#[must_use]
pub fn value_of(issued: &[Bill], meter: &MeterId, reading: ReadingId) -> Option<(Decimal, Time)> {
    let ends = issued
        .iter()
        .flat_map(|bill| {
            bill.evidence.iter().chain(&bill.minus).map(move |evidence| (bill.revision, evidence))
        })
        .filter(|(_, evidence)| evidence.meter == *meter)
        .flat_map(|(revision, evidence)| {
            [&evidence.from, &evidence.to].map(|end| (revision, end.clone()))
        })
        .filter(|(_, end)| end.reading == reading);
    ends.max_by_key(|(revision, _)| *revision).map(|(_, end)| (end.value, end.at))
}
