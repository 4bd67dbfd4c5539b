//! Parking in the Block: passages, payments at the car park, permits, barriers. Nothing here changes the
//! state but [`Block::apply_parking`].

use super::Block;
use crate::calendar::next_day;
use crate::event::{Bill, BillHead, Event, Payment, Period, StayBill};
use crate::input::{Command, Order, PayStay, RecordPayment, SellPass};
use crate::ledger::{Movement, Toward};
use crate::money::Fen;
use crate::parking::event::{EndedHow, Means, Parking, Passed};
use crate::parking::judge::{Due, ParkingView};
use crate::parking::setup::{Permit, VehicleClass};
use crate::parking::state::{PERMITS_MAX, Stay};
use blockgate_types::{AccountId, ClockState, Decimal, LaneId, Passage, Span, StayId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest text of a reason, in bytes.
const TEXT_MAX: usize = 200;
/// Most plates of a permit.
const PLATES_MAX: usize = 20;
/// Longest pass, in months.
const MONTHS_MAX: u32 = 60;

const NO_PARKING: &str = "this block has no car park: the config has no [parking]";
const NO_STAY: &str = "no stay of this id is open";

type Decided = Result<Vec<Event>, &'static str>;

impl Block {
    /// A picture of the car park, for answers from memory; `None` where the block has none.
    #[must_use]
    pub fn parking(&self) -> Option<ParkingView> {
        Some(ParkingView {
            setup: self.state.setup.parking.clone()?,
            state: Arc::clone(&self.state.parking),
            cards: Arc::clone(&self.cache.cards),
            zone: self.cache.zone.clone()?,
        })
    }

    /// A vehicle came to a lane. Repetitions are passed over: they mean nothing new.
    pub(super) fn decide_passage(&self, passage: &Passage, out: &mut Vec<Event>) {
        let Some(view) = self.parking() else { return };
        if view.state.is_repeated(&view.setup, passage) {
            return;
        }
        let passed = view.passed(passage);
        let bill = self.bill_at_exit(&view, &passed);
        out.push(Event::Parking(Box::new(Parking::Passed(Box::new(passed)))));
        out.extend(bill.map(|bill| Event::Bill(Box::new(bill))));
    }

    /// The bill of a stay that leaves on an account.
    fn bill_at_exit(&self, view: &ParkingView, passed: &Passed) -> Option<Bill> {
        let Means::Left { stay: id, charged_fen, .. } = &passed.means else { return None };
        if charged_fen.is_zero() {
            return None;
        }
        let stay = view.state.stays().get(id)?;
        let plate = passed.passage.plate.as_ref()?;
        let (_, permit) = view.state.permit_of(&view.setup, &plate.plate, passed.passage.at)?;
        let account = permit.account.as_ref()?;
        let due = view.due(stay, passed.passage.at)?;
        self.stay_bill(view, id, stay, account, &due, passed.passage.at)
    }

    /// A bill for what is due of a stay.
    fn stay_bill(
        &self,
        view: &ParkingView,
        id: &StayId,
        stay: &Stay,
        account: &AccountId,
        due: &Due,
        at: Time,
    ) -> Option<Bill> {
        let (_, _, tariff_id) = stay.areas.first()?;
        let tariff = view.setup.tariffs.get(tariff_id)?;
        let entered = view.zone.day(stay.entered);
        let revision = tariff.revision_on(entered)?;
        let (lines, total_fen) = view.rest_lines(due, stay.paid_fen())?;
        let nth = stay.paid.len().to_string();
        let name = format!("{}/{}", revision.from, revision.hash);
        let key = [account.as_str(), view.setup.item.as_str(), id.as_str(), &name, &nth];
        Some(Bill {
            stay: Some(Box::new(StayBill {
                stay: id.clone(),
                entered: stay.entered,
                until: at,
                diagram: due.diagram.clone(),
            })),
            ..BillHead {
                bill: crate::billing::bill_id(&key)?,
                account: account.clone(),
                item: view.setup.item.clone(),
                period: Period {
                    from: entered.to_string(),
                    to: next_day(view.zone.day(at)).to_string(),
                    zone: view.zone.name().to_owned(),
                },
                tariff: tariff_id.clone(),
                tariff_revision: name,
                currency: tariff.currency.clone(),
                lines,
                total_fen,
                issued_at: at,
                due: self.due_day(view, at).filter(|_| *account != view.setup.account),
            }
            .bill()
        })
    }

    /// The last day on which a bill of today is paid in time.
    fn due_day(&self, view: &ParkingView, at: Time) -> Option<crate::calendar::Day> {
        let dunning = self.state.setup.dunning?;
        crate::calendar::days_after(view.zone.day(at), dunning.due_days)
    }

    /// What an order about parking means; `None` for the other orders.
    pub(super) fn decide_parking(
        &self,
        now: Time,
        clock: ClockState,
        command: &Command,
    ) -> Option<Decided> {
        let view = self.parking();
        let id = &command.id;
        let decided = match &command.order {
            Order::PayStay(order) => self.pay_stay(view, now, command, order),
            Order::DiscountStay { stay, minutes, amount_fen, by } => {
                let known = self.stay(view.as_ref(), stay);
                known.and_then(|_| {
                    said(by)?;
                    if *amount_fen < Fen::ZERO || (*minutes == 0 && amount_fen.is_zero()) {
                        return Err("give minutes, or an amount above zero");
                    }
                    Ok(one(Parking::Discounted {
                        at: now,
                        stay: stay.clone(),
                        minutes: (*minutes).min(1_440),
                        amount_fen: *amount_fen,
                        by: by.clone(),
                        command: id.clone(),
                    }))
                })
            }
            Order::CorrectStay { stay, plate, entered, reason } => {
                let known = self.stay(view.as_ref(), stay);
                known.and_then(|_| {
                    said(reason)?;
                    if plate.is_none() && entered.is_none() {
                        return Err("give a plate or the time of the entry");
                    }
                    if entered.is_some_and(|entered| entered > now) {
                        return Err("the entry lies in the future");
                    }
                    Ok(one(Parking::Corrected {
                        at: now,
                        stay: stay.clone(),
                        plate: plate.clone(),
                        entered: *entered,
                        reason: reason.clone(),
                        command: id.clone(),
                    }))
                })
            }
            Order::CloseStay { stay, reason } => {
                let known = self.stay(view.as_ref(), stay);
                known.and_then(|(view, known)| {
                    said(reason)?;
                    let unpaid_fen = view.due(&known, now).map_or(Fen::ZERO, |due| due.due_fen);
                    let how = EndedHow::MissedExit;
                    let (stay, reason) = (stay.clone(), reason.clone());
                    Ok(one(Parking::Ended { at: now, stay, how, unpaid_fen, reason }))
                })
            }
            Order::SettleParking { stay, reason } => {
                let open = view.as_ref().is_some_and(|v| v.state.unresolved().contains_key(stay));
                said(reason).and_then(|()| {
                    if !open {
                        return Err("nothing of this id waits to be settled");
                    }
                    let (stay, reason, command) = (stay.clone(), reason.clone(), id.clone());
                    Ok(one(Parking::Settled { at: now, stay, reason, command }))
                })
            }
            Order::GrantParking { permit, terms } => {
                let terms = Permit { paid_fen: Fen::ZERO, ..(**terms).clone() };
                self.permit_terms(view.as_ref(), permit, &terms).map(|()| {
                    let (permit, terms) = (permit.clone(), Box::new(terms));
                    one(Parking::PermitSet { at: now, permit, terms, command: id.clone() })
                })
            }
            Order::SellPass(order) => self.sell_pass(view.as_ref(), now, command, order),
            Order::RevokeParking { permit, reason } => {
                self.revoke_parking(view.as_ref(), now, command, permit, reason)
            }
            Order::Resend { .. }
            | Order::RetryDeadLetter { .. }
            | Order::OpenDoor(_)
            | Order::HoldDoor(_)
            | Order::LockDown(_)
            | Order::ReleaseDoors(_)
            | Order::EmergencyOpen(_)
            | Order::EndEmergency { .. }
            | Order::Grant(_)
            | Order::Revoke(_)
            | Order::Restore { .. }
            | Order::ConfirmArrears(_)
            | Order::ReadNow { .. }
            | Order::OpenBarrier { .. }
            | Order::Relay { .. }
            | Order::Valve { .. }
            | Order::SetClock { .. }
            | Order::DecideHeld { .. }
            | Order::ExchangeMeter { .. }
            | Order::Correct(_)
            | Order::RecordPayment(_)
            | Order::SettlePayment { .. }
            | Order::DepositCondition { .. }
            | Order::DeductDeposit { .. }
            | Order::RequestRefund(_)
            | Order::ApproveRefund { .. }
            | Order::RefundPaid { .. }
            | Order::VoidRefund { .. }
            | Order::EstimateReading { .. }
            | Order::ApplyRules { .. }
            | Order::PreviewRules { .. }
            | Order::Reconcile { .. }
            | Order::CountCash { .. }
            | Order::MoveOut(_)
            | Order::MuteAlarm { .. }
            | Order::UnmuteAlarm { .. }
            | Order::AlarmFeedback { .. }
            | Order::ConfirmAlarm { .. }
            | Order::CheckAlarm { .. } => return None,
        };
        let money = matches!(command.order, Order::PayStay(_) | Order::SellPass(_));
        if money && clock == ClockState::Unsynced {
            return Some(Err(
                "the clock is not synchronised: a decision about money needs a true time",
            ));
        }
        Some(decided)
    }

    fn stay(
        &self,
        view: Option<&ParkingView>,
        stay: &StayId,
    ) -> Result<(ParkingView, Stay), &'static str> {
        let view = view.ok_or(NO_PARKING)?;
        let known = view.state.stays().get(stay).ok_or(NO_STAY)?;
        Ok((view.clone(), known.clone()))
    }

    /// What it means that a person opens a lane's barrier: a stay that waits there ends, and what was due
    /// is kept on the list.
    #[must_use]
    pub fn let_out(&self, now: Time, lane: &LaneId, reason: &str) -> Vec<Event> {
        let Some(view) = self.parking() else { return Vec::new() };
        let waits =
            |stay: &Stay| stay.waits.as_ref().filter(|(at, _)| at == lane).map(|(_, at)| *at);
        let stays = view.state.stays().iter();
        let here =
            stays.filter_map(|(id, stay)| Some((waits(stay)?, id, stay))).max_by_key(|w| w.0);
        let Some((_, id, stay)) = here else { return Vec::new() };
        let unpaid_fen = view.due(stay, now).map_or(Fen::ZERO, |due| due.due_fen);
        let (stay, how, reason) = (id.clone(), EndedHow::LetOut, reason.to_owned());
        one(Parking::Ended { at: now, stay, how, unpaid_fen, reason })
    }

    /// Money for a stay: its bill, its payment, the grace; and the barrier opens where it waits.
    fn pay_stay(
        &self,
        view: Option<ParkingView>,
        now: Time,
        command: &Command,
        order: &PayStay,
    ) -> Decided {
        let (view, stay) = self.stay(view.as_ref(), &order.stay)?;
        let due = view.due(&stay, now).ok_or("the price is beyond what is exact")?;
        if due.due_fen <= Fen::ZERO {
            return Err("nothing is due for this stay now");
        }
        if order.amount_fen != due.due_fen {
            return Err("another amount is due now: ask payment-status again");
        }
        let account = &view.setup.account;
        let bill = self.stay_bill(&view, &order.stay, &stay, account, &due, now);
        let bill =
            bill.ok_or("the bill cannot be made: the tariff is not in the config any more")?;
        let recorded = RecordPayment {
            account: account.clone(),
            amount_fen: order.amount_fen,
            channel: order.channel,
            reference: order.reference.clone(),
            payer: None,
            toward: Toward::Bills { items: vec![view.setup.item.clone()] },
            pending: false,
            tendered_fen: order.tendered_fen,
            paid_on: None,
        };
        let paid = self.payment(&command.id, &recorded)?;
        let grace = stay.areas.first().and_then(|(_, _, tariff)| {
            let tariff = view.setup.tariffs.get(tariff)?;
            let revision = tariff.revision_on(view.zone.day(stay.entered))?;
            Some(revision.plan.after_payment.grace_min)
        });
        let until = now.plus(Span::from_mins(i64::from(grace.unwrap_or(0))));
        let mut events = vec![
            Event::Bill(Box::new(bill)),
            Event::Payment(Box::new(Payment {
                at: now,
                account: account.clone(),
                actor: command.actor.clone(),
                movement: Movement::Paid(paid),
            })),
        ];
        events.extend(one(Parking::Paid {
            at: now,
            stay: order.stay.clone(),
            amount_fen: order.amount_fen,
            payment: command.id.clone(),
            until,
        }));
        if stay.waits.is_some() {
            let (how, stay) = (EndedHow::PaidAtBarrier, order.stay.clone());
            let (unpaid_fen, reason) = (Fen::ZERO, String::new());
            events.extend(one(Parking::Ended { at: now, stay, how, unpaid_fen, reason }));
        }
        Ok(events)
    }

    fn permit_terms(
        &self,
        view: Option<&ParkingView>,
        id: &blockgate_types::PermitId,
        terms: &Permit,
    ) -> Result<(), &'static str> {
        let view = view.ok_or(NO_PARKING)?;
        if view.state.permits().len() >= PERMITS_MAX && !view.state.permits().contains_key(id) {
            return Err("there are as many permits as this box keeps");
        }
        if terms.plates.is_empty() || terms.plates.len() > PLATES_MAX {
            return Err("a permit has 1 to 20 plates");
        }
        if terms.account.as_ref().is_some_and(|a| !self.state.setup.accounts.contains_key(a)) {
            return Err("there is no account of this id");
        }
        if terms.on_account && terms.account.is_none() {
            return Err("on_account needs an account");
        }
        if terms.prepaid && terms.account.is_none() {
            return Err("prepaid needs an account, whose prepaid money is on the card");
        }
        if terms.prepaid && terms.on_account {
            return Err("a permit is prepaid or on_account, not both");
        }
        let backwards = terms.from.zip(terms.until).is_some_and(|(from, until)| from >= until);
        if backwards {
            return Err("until is not after from");
        }
        if terms.class == VehicleClass::Visitor && terms.until.is_none() {
            return Err("a visitor's permit ends: give until");
        }
        Ok(())
    }

    /// A pass is sold: the permit, and its price on the account.
    fn sell_pass(
        &self,
        view: Option<&ParkingView>,
        now: Time,
        command: &Command,
        order: &SellPass,
    ) -> Decided {
        let known = view.ok_or(NO_PARKING)?;
        if order.months == 0 || order.months > MONTHS_MAX || order.price_fen < Fen::ZERO {
            return Err("a pass is for 1 to 60 months, at a price that is not below zero");
        }
        let renewed = known.state.permit(&known.setup, &order.permit);
        let day = crate::calendar::parse_day(&order.from).ok_or("from is not a day")?;
        let from = known.zone.start_of(day);
        if renewed.is_some_and(|old| old.until.is_some_and(|until| until > from)) {
            return Err("the pass holds longer than that already: begin when it ends");
        }
        let months = i32::try_from(order.months).unwrap_or(1);
        let end = day.checked_add(jiff::Span::new().months(months)).map_err(|_| "too long")?;
        let total = order.price_fen.0.checked_mul(i64::from(order.months)).ok_or("too dear")?;
        let first = renewed.and_then(|old| (old.until == Some(from)).then_some(old.from).flatten());
        let kept = renewed.filter(|old| old.until == Some(from)).map_or(0, |old| old.paid_fen.0);
        let terms = Permit {
            class: VehicleClass::Monthly,
            plates: order.plates.clone(),
            account: Some(order.account.clone()),
            on_account: false,
            prepaid: false,
            spaces: order.spaces,
            from: Some(first.unwrap_or(from)),
            until: Some(known.zone.start_of(end)),
            paid_fen: Fen(kept.checked_add(total).ok_or("too dear")?),
        };
        self.permit_terms(view, &order.permit, &terms)?;
        let text = crate::event::Text {
            zh: format!("月租车位 {day} 至 {end}"),
            en: format!("Monthly pass {day} to {end}"),
        };
        let quantity = Decimal::from(order.months);
        let bill = self.pass_bill(
            known,
            command,
            &order.permit,
            &order.account,
            text,
            quantity,
            order.price_fen,
            (day, end),
            now,
        );
        let mut events = one(Parking::PermitSet {
            at: now,
            permit: order.permit.clone(),
            terms: Box::new(terms),
            command: command.id.clone(),
        });
        events.push(Event::Bill(Box::new(bill.ok_or("the price is beyond what is exact")?)));
        Ok(events)
    }

    /// A permit ends; what of its price is unused, by days, goes back to the account.
    fn revoke_parking(
        &self,
        view: Option<&ParkingView>,
        now: Time,
        command: &Command,
        id: &blockgate_types::PermitId,
        reason: &str,
    ) -> Decided {
        let view = view.ok_or(NO_PARKING)?;
        said(reason)?;
        let known = view.state.permits().get(id);
        let permit = known.ok_or("no permit of this id was given by a command")?;
        let mut events = one(Parking::PermitEnded {
            at: now,
            permit: id.clone(),
            reason: reason.to_owned(),
            command: command.id.clone(),
        });
        let bounds = permit.from.zip(permit.until).zip(permit.account.as_ref());
        let Some(((from, until), account)) = bounds.filter(|_| !permit.paid_fen.is_zero()) else {
            return Ok(events);
        };
        let zone = &view.zone;
        let (first, end) = (zone.day(from), zone.day(until));
        let today = next_day(zone.day(now)).max(first);
        let (unused, all) =
            (crate::calendar::days_between(today, end), crate::calendar::days_between(first, end));
        if unused == 0 || all == 0 {
            return Ok(events);
        }
        let part = Decimal::from(permit.paid_fen.0)
            .checked_mul(Decimal::from(unused))
            .and_then(|fen| fen.checked_div(Decimal::from(all)))
            .and_then(|fen| fen.checked_div(Decimal::ONE_HUNDRED))
            .and_then(Fen::round)
            .ok_or("the price is beyond what is exact")?;
        let text = crate::event::Text {
            zh: format!("退未使用 {unused}/{all} 天"),
            en: format!("Unused {unused} of {all} days"),
        };
        let price = Fen(part.0.checked_neg().ok_or("the price is beyond what is exact")?);
        let bill = self.pass_bill(
            view,
            command,
            id,
            account,
            text,
            Decimal::ONE,
            price,
            (today, end),
            now,
        );
        events.push(Event::Bill(Box::new(bill.ok_or("the price is beyond what is exact")?)));
        Ok(events)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a bill, named at the two callers")]
    fn pass_bill(
        &self,
        view: &ParkingView,
        command: &Command,
        permit: &blockgate_types::PermitId,
        account: &AccountId,
        label: crate::event::Text,
        quantity: Decimal,
        price: Fen,
        (from, to): (crate::calendar::Day, crate::calendar::Day),
        at: Time,
    ) -> Option<Bill> {
        let unit_price = Decimal::new(price.0, 2);
        let exact = crate::money::times(quantity, unit_price)?;
        let mut line = crate::parking::lines::off(label, Decimal::ZERO);
        (line.quantity, line.unit_price, line.exact) = (quantity, unit_price, exact);
        let mut lines = vec![line];
        let (_, total_fen) = crate::parking::lines::settle(&mut lines, "CNY")?;
        let tariff = view.setup.tariffs.keys().next()?.clone();
        let key = [account.as_str(), view.setup.item.as_str(), command.id.as_str(), "pass"];
        Some(Bill {
            permit: Some(permit.clone()),
            ..BillHead {
                bill: crate::billing::bill_id(&key)?,
                account: account.clone(),
                item: view.setup.item.clone(),
                period: Period {
                    from: from.to_string(),
                    to: to.to_string(),
                    zone: view.zone.name().to_owned(),
                },
                tariff,
                tariff_revision: "pass".to_owned(),
                currency: view.currency(),
                lines,
                total_fen,
                issued_at: at,
                due: self.due_day(view, at).filter(|_| total_fen > Fen::ZERO),
            }
            .bill()
        })
    }

    /// Folds an event of the car park in.
    pub(super) fn apply_parking(&mut self, event: &Parking) {
        let retention = self.state.setup.parking.as_ref().map(|parking| parking.retention);
        let state = Arc::make_mut(&mut self.state.parking);
        if let (Parking::Passed(passed), Some(retention)) = (event, retention) {
            state.forget_before(passed.passage.at.minus(retention));
        }
        state.apply(event);
        if matches!(event, Parking::PermitSet { .. } | Parking::PermitEnded { .. }) {
            self.find_cards();
        }
    }

    /// Which accounts are stored-value cards, and what is on them.
    pub(super) fn find_cards(&mut self) {
        let mut cards = BTreeMap::new();
        if let Some(setup) = &self.state.setup.parking {
            let permits = self.state.parking.all_permits(setup);
            let accounts =
                permits.filter(|(_, p)| p.prepaid).filter_map(|(_, p)| p.account.clone());
            cards.extend(accounts.map(|account| {
                let balance = self.state.ledger.prepaid_fen(&account);
                (account, balance)
            }));
        }
        if *self.cache.cards != cards {
            self.cache.cards = Arc::new(cards);
        }
    }

    /// Money moved on an account: what is on its card, where it is one.
    pub(super) fn find_card(&mut self, account: &AccountId) {
        if self.cache.cards.contains_key(account) {
            let balance = self.state.ledger.prepaid_fen(account);
            Arc::make_mut(&mut self.cache.cards).insert(account.clone(), balance);
        }
    }

    /// Whether an account is a stored-value card of the car park.
    #[must_use]
    pub fn is_card(&self, account: &AccountId) -> bool {
        self.cache.cards.contains_key(account)
    }
}

fn one(event: Parking) -> Vec<Event> {
    vec![Event::Parking(Box::new(event))]
}

fn said(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("say why");
    }
    if text.len() > TEXT_MAX {
        return Err("the text is too long");
    }
    Ok(())
}
