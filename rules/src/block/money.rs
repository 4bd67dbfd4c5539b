//! Payments, deposits and refunds: what an order means for the ledger. Nothing here changes the state.

use super::Block;
use crate::event::{Event, NoticeReason, Payment, Text};
use crate::input::{Command, Order, RecordPayment, RequestRefund};
use crate::ledger::{
    Channel, Movement, Paid, REFUND_DECIDE_DAYS, REFUND_WAITS, Refund, Source, Toward,
};
use crate::money::Fen;
use blockgate_types::{AccountId, CommandId, Span, Time};

/// Longest text of a payment, a deposit or a refund, in bytes.
const TEXT_MAX: usize = 200;

/// Who acts where no person does.
pub(super) const GATEWAY: &str = "gateway";

type Decided = Result<Vec<Event>, &'static str>;

impl Block {
    /// What an order about money means; `None` for the other orders.
    pub(super) fn decide_money(&self, now: Time, command: &Command) -> Option<Decided> {
        let one = |account: &AccountId, movement: Movement| {
            let (account, actor) = (account.clone(), command.actor.clone());
            vec![Event::Payment(Box::new(Payment { at: now, account, actor, movement }))]
        };
        let ledger = &self.state.ledger;
        Some(match &command.order {
            Order::RecordPayment(order) => self
                .payment(&command.id, order)
                .and_then(|paid| self.dated(now, paid))
                .map(|paid| {
                    let (account, actor) = (order.account.clone(), command.actor.clone());
                    let movement = Movement::Paid(paid);
                    self.with_late_fees(Payment { at: now, account, actor, movement })
                }),
            Order::SettlePayment { payment, posted } => {
                let announced = ledger.announced(payment).ok_or("no payment of this id waits");
                announced.map(|(account, paid)| {
                    let settled = Movement::Settled {
                        payment: payment.clone(),
                        posted: *posted,
                        amount_fen: paid.amount_fen,
                        channel: Some(paid.channel),
                        receipt: posted.then(|| ledger.next_receipt()),
                    };
                    one(account, settled)
                })
            }
            Order::DepositCondition { deposit, met, evidence } => {
                let known = ledger.deposits().get(deposit).ok_or(NO_DEPOSIT);
                known.and_then(|known| {
                    said(evidence)?;
                    let (deposit, met, evidence) = (deposit.clone(), *met, evidence.clone());
                    let on = self.cache.zone.as_ref().map(|zone| zone.day(now)).filter(|_| met);
                    Ok(one(&known.account, Movement::Condition { deposit, met, evidence, on }))
                })
            }
            Order::DeductDeposit { deposit, item, amount_fen, reason } => {
                let known = ledger.deposits().get(deposit).ok_or(NO_DEPOSIT);
                known.and_then(|known| {
                    said(reason)?;
                    let owed = ledger.standing(&known.account).owed;
                    let owed = owed.get(item).copied().unwrap_or_default();
                    if *amount_fen <= Fen::ZERO || *amount_fen > owed {
                        return Err("a deduction pays what is owed for the item, and no more");
                    }
                    if *amount_fen > known.free() {
                        return Err("the deposit has not so much left");
                    }
                    let (deposit, item) = (deposit.clone(), item.clone());
                    let (amount_fen, reason) = (*amount_fen, reason.clone());
                    let deducted = Movement::Deducted { deposit, item, amount_fen, reason };
                    Ok(one(&known.account, deducted))
                })
            }
            Order::RequestRefund(order) => self.refund_asked(now, command, order),
            Order::ApproveRefund { refund } => {
                let open = ledger.refunds().get(refund).ok_or(NO_REFUND);
                open.and_then(|open| {
                    if open.expires_at.is_some() {
                        return Err("the refund is approved already");
                    }
                    if open.decide_by.is_some_and(|by| by <= now) {
                        return Err("nobody approved the refund in time: ask for it again");
                    }
                    if open.asked_by == command.actor {
                        return Err("another person than the one who asked must approve it");
                    }
                    if open.amount_fen > ledger.refundable(&open.account, &open.source) {
                        return Err(NOT_SO_MUCH);
                    }
                    self.day_has_room(now, open, &command.actor, Fen::ZERO)?;
                    Ok(one(&open.account, approved(refund, &command.actor, now)))
                })
            }
            Order::RefundPaid { refund, reference } => {
                let open = ledger.refunds().get(refund).ok_or(NO_REFUND);
                open.and_then(|open| {
                    if open.expires_at.is_none() {
                        return Err("the refund is not approved");
                    }
                    let paid = Movement::RefundPaid {
                        refund: refund.clone(),
                        reference: reference.clone(),
                        amount_fen: open.amount_fen,
                        channel: Some(open.channel),
                    };
                    Ok(one(&open.account, paid))
                })
            }
            Order::VoidRefund { refund, reason } => {
                let open = ledger.refunds().get(refund).ok_or(NO_REFUND);
                open.and_then(|open| {
                    said(reason)?;
                    let (refund, reason) = (refund.clone(), reason.clone());
                    let voided = Movement::RefundVoided { refund, reason, expired: false };
                    Ok(one(&open.account, voided))
                })
            }
            Order::Resend { .. }
            | Order::RetryDeadLetter { .. }
            | Order::ReadNow { .. }
            | Order::PreviewRules { .. }
            | Order::OpenBarrier { .. }
            | Order::Relay { .. }
            | Order::Valve { .. }
            | Order::SetClock { .. }
            | Order::DecideHeld { .. }
            | Order::ExchangeMeter { .. }
            | Order::EstimateReading { .. }
            | Order::ApplyRules { .. }
            | Order::Reconcile { .. }
            | Order::CountCash { .. }
            | Order::MoveOut(_)
            | Order::Correct(_)
            | Order::MuteAlarm { .. }
            | Order::UnmuteAlarm { .. }
            | Order::AlarmFeedback { .. }
            | Order::ConfirmAlarm { .. }
            | Order::CheckAlarm { .. }
            | Order::PayStay(_)
            | Order::DiscountStay { .. }
            | Order::CorrectStay { .. }
            | Order::CloseStay { .. }
            | Order::SettleParking { .. }
            | Order::GrantParking { .. }
            | Order::SellPass(_)
            | Order::RevokeParking { .. }
            | Order::OpenDoor(_)
            | Order::HoldDoor(_)
            | Order::LockDown(_)
            | Order::ReleaseDoors(_)
            | Order::EmergencyOpen(_)
            | Order::EndEmergency { .. }
            | Order::Grant(_)
            | Order::Revoke(_)
            | Order::Restore { .. }
            | Order::ConfirmArrears(_) => return None,
        })
    }

    pub(super) fn payment(
        &self,
        id: &CommandId,
        order: &RecordPayment,
    ) -> Result<Paid, &'static str> {
        let ledger = &self.state.ledger;
        let known = self.state.setup.accounts.contains_key(&order.account);
        if !known && ledger.standing(&order.account).owed.is_empty() {
            return Err("there is no account of this id");
        }
        if order.amount_fen <= Fen::ZERO {
            return Err("a payment is more than nothing");
        }
        if ledger.knows(order.channel, &order.reference) {
            return Err("this reference of the channel was recorded before");
        }
        let texts = [&order.reference].into_iter().chain(&order.payer);
        if texts.into_iter().any(|text| text.len() > TEXT_MAX) {
            return Err(TOO_LONG);
        }
        if let Toward::Deposit { deposit, kind, contract, condition, release } = &order.toward {
            if let Some(release) = release {
                release.checked()?;
            }
            if ledger.deposits().contains_key(deposit) {
                return Err("there is a deposit of this id");
            }
            for text in [kind, contract, condition] {
                said(text)?;
            }
        }
        let change_fen = match order.tendered_fen {
            None => None,
            Some(_) if order.channel != Channel::Cash => {
                return Err("tendered_fen is for cash");
            }
            Some(tendered) => {
                let change = tendered.0.checked_sub(order.amount_fen.0).filter(|fen| *fen >= 0);
                Some(Fen(change.ok_or("less was handed over than is paid")?))
            }
        };
        Ok(Paid {
            payment: id.clone(),
            amount_fen: order.amount_fen,
            channel: order.channel,
            reference: order.reference.clone(),
            payer: order.payer.clone(),
            toward: order.toward.clone(),
            pending: order.pending,
            receipt: if order.pending { 0 } else { ledger.next_receipt() },
            change_fen,
            paid_on: order.paid_on,
        })
    }

    /// A payment whose day, where it has one of its own, can be one.
    fn dated(&self, now: Time, paid: Paid) -> Result<Paid, &'static str> {
        if let Some(zone) = &self.cache.zone {
            super::late::may_be_paid_on(paid.paid_on, zone.day(now))?;
        }
        Ok(paid)
    }

    fn refund_asked(&self, now: Time, command: &Command, order: &RequestRefund) -> Decided {
        let ledger = &self.state.ledger;
        said(&order.reason)?;
        if order.amount_fen <= Fen::ZERO {
            return Err("a refund is more than nothing");
        }
        if order.amount_fen > ledger.refundable(&order.account, &order.source) {
            return Err(NOT_SO_MUCH);
        }
        let met = match &order.source {
            Source::Prepaid => {
                // Money goes back on the way on which it came, as far as it came on any.
                let came = ledger.came(&order.account);
                let by = came.get(&order.channel).copied().unwrap_or_default();
                let by_any = came.values().any(|fen| *fen >= order.amount_fen);
                if by < order.amount_fen && by_any {
                    return Err("less came in on this way: money goes back as it came");
                }
                true
            }
            Source::Deposit { deposit } => {
                let deposit = ledger.deposits().get(deposit).ok_or(NO_DEPOSIT)?;
                if deposit.channel != order.channel {
                    return Err("a deposit goes back by the way on which it came");
                }
                deposit.met
            }
        };
        let refund = Refund {
            refund: command.id.clone(),
            account: order.account.clone(),
            source: order.source.clone(),
            amount_fen: order.amount_fen,
            channel: order.channel,
            reason: order.reason.clone(),
            asked_by: command.actor.clone(),
            expires_at: None,
            decide_by: Some(self.decide_by(now)),
            instalment: None,
        };
        let payment = |actor: &str, movement| {
            let (account, actor) = (order.account.clone(), actor.to_owned());
            Event::Payment(Box::new(Payment { at: now, account, actor, movement }))
        };
        let room = self.day_has_room(now, &refund, GATEWAY, Fen::ZERO).is_ok();
        let mut events = vec![payment(&command.actor, Movement::RefundAsked(Box::new(refund)))];
        // Without the condition, above the bound, or beyond what a day gives back, it waits for a
        // second person.
        if met && room && order.amount_fen <= self.state.setup.refund_alone_max_fen {
            events.push(payment(GATEWAY, approved(&command.id, GATEWAY, now)));
        }
        Ok(events)
    }

    /// Until when a refund that is asked for now can be approved.
    pub(super) fn decide_by(&self, now: Time) -> Time {
        let days = self.state.setup.refund_limits.decide_days.unwrap_or(REFUND_DECIDE_DAYS);
        now.plus(Span::from_days(i64::from(days)))
    }

    /// Refunds that nobody paid out in time, or approved, are void; their households are told.
    pub(super) fn decide_expiry(&self, now: Time, out: &mut Vec<Event>) {
        for refund in self.state.ledger.overdue_refunds(now) {
            let fen = refund.amount_fen;
            let (reason, zh, en) = if refund.expires_at.is_some() {
                ("expired", "未按时付出", "was not paid out in time")
            } else {
                (NOT_APPROVED, "无人按时批准", "was not approved in time")
            };
            let (zh_then, en_then) = if refund.instalment.is_some() && refund.expires_at.is_none() {
                ("将按合同重新申请", "it is asked for again by the contract")
            } else {
                ("请重新申请", "please ask for it again")
            };
            let movement = Movement::RefundVoided {
                refund: refund.refund.clone(),
                reason: reason.to_owned(),
                expired: true,
            };
            let (account, actor) = (refund.account.clone(), GATEWAY.to_owned());
            out.push(Event::Payment(Box::new(Payment { at: now, account, actor, movement })));
            let text = Text {
                zh: format!("{fen} 元的退款{zh}，已失效；{zh_then}。"),
                en: format!("The refund of {fen} yuan {en} and has expired; {en_then}."),
            };
            let back = Fen(fen.0.saturating_neg());
            let (account, why) = (&refund.account, NoticeReason::Refund);
            out.push(self.told(now, account, why, text, back, Vec::new()));
        }
    }
}

const NOT_APPROVED: &str = "not approved in time";
const NO_DEPOSIT: &str = "there is no deposit of this id";
const NO_REFUND: &str = "there is no open refund of this id";
const NOT_SO_MUCH: &str = "there is not so much to give back";
const TOO_LONG: &str = "a text is longer than 200 bytes";

pub(super) fn approved(refund: &CommandId, by: &str, now: Time) -> Movement {
    let expires_at = now.plus(REFUND_WAITS);
    Movement::RefundApproved { refund: refund.clone(), by: by.to_owned(), expires_at }
}

/// A text that must say something, and not too much.
fn said(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("a reason, an evidence or a condition is empty");
    }
    if text.len() > TEXT_MAX { Err(TOO_LONG) } else { Ok(()) }
}
