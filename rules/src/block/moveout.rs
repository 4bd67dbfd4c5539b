//! A move-out, settled at once: the last bills, the deposits, the refunds, and the document.

use super::{Block, GATEWAY, period::terms, share::amount_line};
use crate::billing::{Closing, Due, bill_id};
use crate::calendar::{self, Day, Month, parse_day};
use crate::event::{Audit, Bill, BillHead, Event, Payment, Text};
use crate::input::Command;
use crate::ledger::{Channel, Ledger, Movement, Refund, Source};
use crate::money::Fen;
use crate::settlement::{MoveOut, SettledBill, SettledDeposit, SettledRefund, Settlement};
use crate::tariff::{Pricing, Proration, Tariff};
use blockgate_types::{CommandId, TariffId, Time};

/// Most damages of one settlement.
const DAMAGES_MAX: usize = 50;

/// What a settlement is put together in: the household's own books, and the events so far.
struct Draft {
    ledger: Ledger,
    events: Vec<Event>,
    /// What of its refunds is approved.
    given: Fen,
}

impl Draft {
    fn pay(&mut self, payment: Payment) {
        self.ledger.apply(&payment.account, &payment.movement);
        self.events.push(Event::Payment(Box::new(payment)));
    }
}

impl Block {
    /// What a move-out means.
    pub(super) fn moved_out(
        &self,
        now: Time,
        command: &Command,
        order: &MoveOut,
    ) -> Result<(Vec<Event>, String), String> {
        let zone = self.cache.zone.as_ref().ok_or("the block has no time zone")?;
        let setup = &self.state.setup;
        let account = setup.accounts.get(&order.account).ok_or("there is no account of this id")?;
        let until = parse_day(&order.until).ok_or("until is not a day like \"2026-04-15\"")?;
        let today = zone.day(now);
        if until != today && until != calendar::next_day(today) {
            return Err("until must be today or tomorrow: meters are read now".to_owned());
        }
        let open = self.state.open_month.ok_or("nothing is charged yet")?;
        if now >= zone.end_of(Month::of(open)) {
            return Err("the month before is not closed yet: try again after its close".to_owned());
        }
        if order.damages.len() > DAMAGES_MAX {
            return Err(format!("more than {DAMAGES_MAX} damages"));
        }
        for damage in &order.damages {
            let said = !damage.reason.trim().is_empty() && damage.reason.len() <= 200;
            if damage.amount_fen <= Fen::ZERO || !said {
                return Err("a damage is more than nothing and has a reason".to_owned());
            }
        }
        if order.inspection.len() > 200 {
            return Err("inspection is longer than 200 bytes".to_owned());
        }
        let before = self.state.ledger.standing(&order.account);
        let mut draft = Draft {
            ledger: self.state.ledger.only(&order.account),
            events: Vec::new(),
            given: Fen::ZERO,
        };
        let closing = Closing::new(setup, zone, &self.state.meters, now, now);
        let mut document = Settlement {
            settlement: command.id.clone(),
            account: order.account.clone(),
            at: now,
            by: command.actor.clone(),
            until: order.until.clone(),
            readings: Vec::new(),
            bills: Vec::new(),
            arrears_fen: before.owed_fen,
            damages: order.damages.clone(),
            owed_fen: Fen::ZERO,
            prepaid_fen: Fen::ZERO,
            deposits: Vec::new(),
            refunds: Vec::new(),
            refund_fen: Fen::ZERO,
            left_to_pay_fen: Fen::ZERO,
        };
        let last = Month::of(open).next().first();
        for bill in self.last_bills(&closing, &order.account, account, until, last)? {
            document.readings.extend(bill.evidence.iter().cloned());
            let (id, item, total_fen) = (bill.bill.clone(), bill.item.clone(), bill.total_fen);
            document.bills.push(SettledBill { bill: id, item, total_fen });
            let fund = setup.tariffs.get(&bill.tariff).and_then(|tariff| tariff.fund);
            draft.ledger.bill(&bill, fund);
            draft.events.push(Event::Bill(Box::new(bill)));
        }
        for (n, damage) in order.damages.iter().enumerate() {
            let bill = damage_bill(&closing, command, order, until, n, damage)
                .ok_or("the numbers are too large")?;
            let (id, item, total_fen) = (bill.bill.clone(), bill.item.clone(), bill.total_fen);
            document.bills.push(SettledBill { bill: id, item, total_fen });
            draft.ledger.bill(&bill, None);
            draft.events.push(Event::Bill(Box::new(bill)));
        }
        for bill in self.last_late_fees(&closing, &command.id, &order.account, today) {
            let (id, item, total_fen) = (bill.bill.clone(), bill.item.clone(), bill.total_fen);
            document.bills.push(SettledBill { bill: id, item, total_fen });
            draft.ledger.bill(&bill, None);
            draft.events.push(Event::Bill(Box::new(bill)));
        }
        let standing = draft.ledger.standing(&order.account);
        (document.owed_fen, document.prepaid_fen) = (standing.owed_fen, standing.prepaid_fen);
        self.settle_deposits(now, command, order, today, &mut draft, &mut document)?;
        self.settle_prepaid(now, command, order, &mut draft, &mut document)?;
        let refunds = document.refunds.iter().map(|refund| refund.amount_fen);
        document.refund_fen = Fen::sum(refunds).ok_or("the numbers are too large")?;
        document.left_to_pay_fen = draft.ledger.standing(&order.account).owed_fen;
        let detail =
            format!("refund {}, left to pay {}", document.refund_fen, document.left_to_pay_fen);
        draft.events.push(Event::Audit(Audit::MovedOut { settlement: Box::new(document) }));
        Ok((draft.events, detail))
    }

    /// The bills of the household's charges until a day.
    fn last_bills(
        &self,
        closing: &Closing<'_>,
        id: &blockgate_types::AccountId,
        account: &crate::setup::AccountSetup,
        until: Day,
        last: Day,
    ) -> Result<Vec<Bill>, String> {
        let mut bills = Vec::new();
        let charges = self.state.charges.get(id).into_iter().flatten();
        for (item, state) in charges {
            let Some(charge) = account.charges.get(item) else { continue };
            if charge.share.is_some() {
                return Err(format!(
                    "{item} is a shared cost: a household does not move out of it"
                ));
            }
            let tariff = self.state.setup.tariffs.get(&charge.tariff);
            // What is not divided by days is charged to the end of its month, once.
            let to = if tariff.is_some_and(is_undivided) { last } else { until };
            let terms = terms(account, charge);
            let counter = self.counter(id, item);
            let years = self.years(id, item);
            let due = Due { account: id, item, terms: &terms, state, counter, years, to };
            let bill = closing
                .bill(&due)
                .map_err(|why| format!("{item} cannot be billed until {until}: {why}"))?;
            bills.extend(bill);
        }
        Ok(bills)
    }

    fn settle_deposits(
        &self,
        now: Time,
        command: &Command,
        order: &MoveOut,
        today: Day,
        draft: &mut Draft,
        document: &mut Settlement,
    ) -> Result<(), String> {
        let by = |actor: &str, movement: Movement| Payment {
            at: now,
            account: order.account.clone(),
            actor: actor.to_owned(),
            movement,
        };
        let ids: Vec<CommandId> = draft.ledger.deposits().keys().cloned().collect();
        for (n, id) in ids.into_iter().enumerate() {
            let Some(deposit) = draft.ledger.deposits().get(&id).cloned() else { continue };
            let mut settled = SettledDeposit {
                deposit: id.clone(),
                kind: deposit.kind.clone(),
                contract: deposit.contract.clone(),
                held_fen: deposit.held(),
                deducted_fen: Fen::ZERO,
                refund_fen: Fen::ZERO,
            };
            if !order.inspection.trim().is_empty() && !deposit.met {
                let (deposit, evidence) = (id.clone(), order.inspection.clone());
                let on = Some(today);
                let met = Movement::Condition { deposit, met: true, evidence, on };
                draft.pay(by(&command.actor, met));
            }
            if order.deduct {
                let owed = draft.ledger.standing(&order.account).owed;
                for (item, fen) in owed {
                    let free = draft.ledger.deposits().get(&id).map_or(Fen::ZERO, |d| d.free());
                    let part = Fen(fen.0.min(free.0));
                    if part > Fen::ZERO {
                        settled.deducted_fen =
                            settled.deducted_fen.plus(part).ok_or("the numbers are too large")?;
                        let reason = format!("settlement {}", command.id);
                        let deposit = id.clone();
                        let amount_fen = part;
                        let deducted = Movement::Deducted { deposit, item, amount_fen, reason };
                        draft.pay(by(&command.actor, deducted));
                    }
                }
            }
            let rest = draft.ledger.deposits().get(&id).map_or(Fen::ZERO, |d| d.free());
            let met = draft.ledger.deposits().get(&id).is_some_and(|d| d.met);
            if rest > Fen::ZERO {
                settled.refund_fen = rest;
                let source = Source::Deposit { deposit: id };
                let refund = (format!("d{n}"), source, rest, deposit.channel);
                let refund = self.ask_back(now, command, order, refund, met, draft)?;
                document.refunds.push(refund);
            }
            document.deposits.push(settled);
        }
        Ok(())
    }

    fn settle_prepaid(
        &self,
        now: Time,
        command: &Command,
        order: &MoveOut,
        draft: &mut Draft,
        document: &mut Settlement,
    ) -> Result<(), String> {
        let mut left = draft.ledger.refundable(&order.account, &Source::Prepaid);
        let came = draft.ledger.came(&order.account);
        for (n, (channel, came)) in came.into_iter().enumerate() {
            let part = Fen(left.0.min(came.0));
            if part > Fen::ZERO {
                left = Fen(left.0.saturating_sub(part.0));
                let refund = (format!("p{n}"), Source::Prepaid, part, channel);
                document.refunds.push(self.ask_back(now, command, order, refund, true, draft)?);
            }
        }
        if left > Fen::ZERO {
            let channel = order.channel.ok_or_else(|| {
                format!("{left} yuan go back that came in by no channel: \"channel\" says the way")
            })?;
            let refund = ("px".to_owned(), Source::Prepaid, left, channel);
            document.refunds.push(self.ask_back(now, command, order, refund, false, draft)?);
        }
        Ok(())
    }

    /// Asks for a refund, and approves it where its rule allows it.
    fn ask_back(
        &self,
        now: Time,
        command: &Command,
        order: &MoveOut,
        (tail, source, amount_fen, channel): (String, Source, Fen, Channel),
        may: bool,
        draft: &mut Draft,
    ) -> Result<SettledRefund, String> {
        let id = CommandId::new(&format!("{}.{tail}", command.id))
            .map_err(|_| "the command's id is too long for the ids of its refunds".to_owned())?;
        let payment = |actor: &str, movement: Movement| Payment {
            at: now,
            account: order.account.clone(),
            actor: actor.to_owned(),
            movement,
        };
        let refund = Refund {
            refund: id.clone(),
            account: order.account.clone(),
            source,
            amount_fen,
            channel,
            reason: format!("settlement {}", command.id),
            asked_by: command.actor.clone(),
            expires_at: None,
            decide_by: Some(self.decide_by(now)),
            instalment: None,
        };
        let room = self.day_has_room(now, &refund, GATEWAY, draft.given).is_ok();
        draft.pay(payment(&command.actor, Movement::RefundAsked(Box::new(refund))));
        let approved = may && room && amount_fen <= self.state.setup.refund_alone_max_fen;
        if approved {
            draft.given = Fen(draft.given.0.saturating_add(amount_fen.0));
            draft.pay(payment(GATEWAY, super::money::approved(&id, GATEWAY, now)));
        }
        Ok(SettledRefund { refund: id, channel, amount_fen, approved })
    }
}

/// Whether a tariff charges a begun month whole.
fn is_undivided(tariff: &Tariff) -> bool {
    tariff.revisions.iter().any(|revision| match &revision.pricing {
        Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => {
            matches!(monthly.proration, Proration::FullMonth | Proration::Free)
        }
        Pricing::Metered(_) | Pricing::Dated(_) => false,
    })
}

/// The bill of a damage: one line, by the command.
fn damage_bill(
    closing: &Closing<'_>,
    command: &Command,
    order: &MoveOut,
    until: Day,
    n: usize,
    damage: &crate::settlement::Damage,
) -> Option<Bill> {
    let from = calendar::days_before(until, 1)?;
    let label = Text { zh: damage.reason.clone(), en: damage.reason.clone() };
    let exact = blockgate_types::Decimal::new(damage.amount_fen.0, 2);
    let n = n.to_string();
    let key = ["damage", command.id.as_str(), order.account.as_str(), n.as_str()];
    Some(
        BillHead {
            bill: bill_id(&key)?,
            account: order.account.clone(),
            item: damage.item.clone(),
            period: calendar::period(from, until, closing.zone),
            tariff: TariffId::new("by-command").ok()?,
            tariff_revision: command.id.to_string(),
            currency: "CNY".to_owned(),
            lines: vec![amount_line(label, exact, damage.amount_fen)],
            total_fen: damage.amount_fen,
            issued_at: closing.now,
            due: closing.due(damage.amount_fen),
        }
        .bill(),
    )
}
