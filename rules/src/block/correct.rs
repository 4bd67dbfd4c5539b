//! Corrections in the Block: differences become bills, and a reading that was put right is put right
//! where the next bill begins.

use super::Block;
use crate::billing::Closing;
use crate::correction::{Correction, What, differences, value_of};
use crate::event::{Audit, Bill, Event, NoticeReason, Outcome, ReadingId, Text};
use crate::metering::Point;
use crate::money::{Fen, minus, plus, times};
use blockgate_types::{AccountId, BillId, CommandId, Decimal, MeterId, RegisterName, Time};
use std::collections::{BTreeMap, BTreeSet};

impl Block {
    pub(super) fn decide_correct(
        &self,
        now: Time,
        id: &CommandId,
        correction: &Correction,
        issued: &[Bill],
        out: &mut Vec<Event>,
    ) {
        if !self.state.commands_open.contains_key(id) {
            return; // answered already, or never accepted
        }
        match self.corrected(now, id, correction, issued) {
            Ok((events, detail)) => {
                out.extend(events);
                self.decide_done(now, id, Outcome::Done, &detail, out);
            }
            Err(why) => self.decide_done(now, id, Outcome::Refused, &why, out),
        }
    }

    fn corrected(
        &self,
        now: Time,
        id: &CommandId,
        correction: &Correction,
        issued: &[Bill],
    ) -> Result<(Vec<Event>, String), String> {
        let firsts = issued.iter().filter(|bill| bill.corrects.is_none()).map(|bill| &bill.bill);
        let firsts: BTreeSet<&BillId> = firsts.collect();
        let corrections = issued.iter().filter_map(|bill| {
            bill.corrects.as_ref().map(|corrects| (&corrects.bill, bill.revision))
        });
        let corrections: BTreeSet<(&BillId, u32)> = corrections.collect();
        for (first, revision) in &self.state.corrected {
            if firsts.contains(first) && !corrections.contains(&(first, *revision)) {
                return Err("an earlier correction is not durable yet: try again".to_owned());
            }
        }
        let zone = self.cache.zone.as_ref().ok_or("the block has no time zone")?;
        let setup = &self.state.setup;
        let closing = Closing::new(setup, zone, &self.state.meters, now, now);
        let mut bills = differences(&closing, id, correction, issued, &self.state.rounding_years)?;
        bills.extend(self.late_fees_put_right(&closing, id, correction, (issued, &bills))?);
        let mut events = Vec::new();
        if let What::Reading { meter, register, reading, value } = &correction.what {
            let was = value_of(issued, meter, *reading).map(|(was, _)| was);
            let was = was.or_else(|| self.point(meter, register, *reading).map(|p| p.value));
            let was = was.ok_or("no bill and no register knows this reading")?;
            if was != *value {
                events.push(Event::Audit(Audit::ReadingCorrected {
                    at: now,
                    id: id.clone(),
                    meter: meter.clone(),
                    register: register.clone(),
                    reading: *reading,
                    was,
                    value: *value,
                }));
            }
        }
        let total_fen = Fen::sum(bills.iter().map(|bill| bill.total_fen));
        let total_fen = total_fen.ok_or("the sum of the differences is too large")?;
        let count = bills.len();
        let detail = format!("{count} differences, {total_fen}");
        // Nothing to correct leaves nothing but the answer.
        if !(bills.is_empty() && events.is_empty()) {
            events.push(Event::Audit(Audit::Corrected {
                at: now,
                id: id.clone(),
                correction: Box::new(correction.clone()),
                differences: u64::try_from(count).unwrap_or(u64::MAX),
                total_fen,
            }));
        }
        let notices = self.notices_of(now, correction, &bills);
        events.extend(bills.into_iter().map(|bill| Event::Bill(Box::new(bill))));
        events.extend(notices);
        Ok((events, detail))
    }

    /// Each household whose bills changed is told once, with the reason.
    fn notices_of(&self, now: Time, correction: &Correction, bills: &[Bill]) -> Vec<Event> {
        let mut of: BTreeMap<&AccountId, (Fen, Vec<BillId>)> = BTreeMap::new();
        for bill in bills.iter().filter(|bill| bill.total_fen != Fen::ZERO) {
            let (sum, ids) = of.entry(&bill.account).or_default();
            *sum = Fen(sum.0.saturating_add(bill.total_fen.0));
            ids.push(bill.bill.clone());
        }
        let reason = &correction.ground.reason;
        let told = of.into_iter().map(|(account, (sum, ids))| {
            let (zh, en) = if sum < Fen::ZERO {
                let back = Fen(sum.0.saturating_neg());
                (
                    format!("{account} 户您好：费用更正（{reason}），应退 {back} 元，抵扣后续费用或按原路退还。"),
                    format!("Dear household {account}: your bills were corrected ({reason}); {back} yuan are credited to you."),
                )
            } else {
                (
                    format!("{account} 户您好：费用更正（{reason}），应补 {sum} 元。"),
                    format!("Dear household {account}: your bills were corrected ({reason}); {sum} yuan are to be paid more."),
                )
            };
            self.told(now, account, NoticeReason::Correction, Text { zh, en }, sum, ids)
        });
        told.collect()
    }

    fn point(&self, meter: &MeterId, register: &RegisterName, id: ReadingId) -> Option<Point> {
        let register = self.register_state(meter, register)?;
        super::apply::find_point(register, id)
    }

    /// Puts a reading right wherever the state keeps it.
    pub(super) fn apply_reading_corrected(
        &mut self,
        meter: &MeterId,
        register: &RegisterName,
        id: ReadingId,
        value: Decimal,
    ) {
        let Some(known) = self.state.meters.get_mut(meter) else { return };
        let multiplier = known.multiplier;
        let put_right = |point: &mut Point| {
            if point.reading == id {
                let shift = minus(value, point.value).and_then(|shift| times(shift, multiplier));
                let total = shift.and_then(|shift| plus(point.total, shift));
                // Beyond 28 digits nothing is exact any more: the total stays.
                point.total = total.unwrap_or(point.total);
                point.value = value;
            }
        };
        if let Some(state) = known.registers.get_mut(register) {
            put_right(&mut state.opened);
            let was = state.last.total;
            put_right(&mut state.last);
            if state.last.total != was {
                let total = state.last.total;
                state.windows.values_mut().for_each(|log| log.end_at(total));
            }
            for mark in &mut state.marks {
                put_right(&mut mark.before);
                put_right(&mut mark.first);
            }
        }
        let begun = self.state.charges.values_mut().flat_map(|items| items.values_mut());
        for charge in begun.chain(self.state.ended.iter_mut().map(|ended| &mut ended.state)) {
            for source in charge.sources.iter_mut().chain(&mut charge.minus) {
                if source.meter == *meter && source.register == *register {
                    source.open.iter_mut().chain(&mut source.closed).for_each(put_right);
                }
            }
        }
    }

    /// Notes a difference: the charge does not move, only its counter and its rounding years may.
    pub(super) fn apply_difference(&mut self, bill: &Bill) {
        let Some(corrects) = &bill.corrects else { return };
        self.state.corrected.insert(corrects.bill.clone(), bill.revision);
        self.fold_years(bill);
        let Some(counted) = &bill.tier_counter else { return };
        let items = self.state.counters.get_mut(&bill.account);
        let Some(counter) = items.and_then(|items| items.get_mut(&bill.item)) else { return };
        // Only the latest bill of the period left the counter where it stands.
        if counter.period == counted.period && corrects.counter_was == Some(counter.used) {
            counter.used = counted.after;
        }
    }
}
