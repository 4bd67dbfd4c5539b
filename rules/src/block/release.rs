//! Deposits that go back by their contract: when its condition is met, or its day has come, the
//! gateway asks for the refund itself, part by part as the contract says, and approves it where the
//! rule allows it. Whoever owes something, and whatever is above the bound, waits for a person.

use super::{Block, GATEWAY};
use crate::calendar;
use crate::event::{Event, NoticeReason, Payment, Text};
use crate::ledger::{Deposit, Movement, Refund, Source};
use crate::money::Fen;
use blockgate_types::{CommandId, Time};

/// Most deposits that move on in one tick.
const AT_ONCE: usize = 200;

impl Block {
    /// Deposits that go back now.
    pub(super) fn decide_release(&self, now: Time, out: &mut Vec<Event>) {
        let Some(zone) = &self.cache.zone else { return };
        let today = zone.day(now);
        let payment = |deposit: &Deposit, movement: Movement| {
            let (account, actor) = (deposit.account.clone(), GATEWAY.to_owned());
            Event::Payment(Box::new(Payment { at: now, account, actor, movement }))
        };
        let (first, mut given) = (out.len(), Fen::ZERO);
        for (id, deposit) in self.state.ledger.deposits() {
            if out.len().saturating_sub(first) >= AT_ONCE {
                break;
            }
            let Some(release) = &deposit.release else { continue };
            if !deposit.met {
                if release.on.is_some_and(|on| on <= today) && !deposit.refused {
                    let evidence = "the contract's day has come".to_owned();
                    let (deposit_id, on) = (id.clone(), Some(today));
                    let met = Movement::Condition { deposit: deposit_id, met: true, evidence, on };
                    out.push(payment(deposit, met));
                }
                continue;
            }
            let Some((n, fen)) = deposit.due(today, release) else { continue };
            let name = match deposit.again {
                0 => format!("{id}.{n}"),
                again => format!("{id}.{n}-{again}"),
            };
            let Ok(refund) = CommandId::new(&name) else { continue };
            let asked = Refund {
                refund: refund.clone(),
                account: deposit.account.clone(),
                source: Source::Deposit { deposit: id.clone() },
                amount_fen: fen,
                channel: deposit.channel,
                reason: format!("contract {}, part {n}", deposit.contract),
                asked_by: GATEWAY.to_owned(),
                expires_at: None,
                decide_by: Some(self.decide_by(now)),
                instalment: Some(n),
            };
            let room = self.day_has_room(now, &asked, GATEWAY, given).is_ok();
            out.push(payment(deposit, Movement::RefundAsked(Box::new(asked))));
            let owes = self.state.ledger.standing(&deposit.account).owed_fen > Fen::ZERO;
            let alone = fen <= self.state.setup.refund_alone_max_fen && !owes && room;
            if alone {
                given = Fen(given.0.saturating_add(fen.0));
                out.push(payment(deposit, super::money::approved(&refund, GATEWAY, now)));
            }
            let (zh, en) = if alone {
                ("已自动批准", "approved")
            } else {
                ("待人工审核", "waits for a person")
            };
            let text = Text {
                zh: format!("押金（{}）第 {n} 期退还 {fen} 元，{zh}。", deposit.kind),
                en: format!("Deposit ({}), part {n}: {fen} yuan go back, {en}.", deposit.kind),
            };
            let back = Fen(fen.0.saturating_neg());
            let account = &deposit.account;
            out.push(self.told(now, account, NoticeReason::Refund, text, back, Vec::new()));
        }
    }

    /// When deposits are looked at next: as the next day begins.
    pub(super) fn release_due(&self) -> Option<Time> {
        let (zone, last) = (self.cache.zone.as_ref()?, self.watch.last_tick?);
        let waits = |deposit: &Deposit| deposit.release.is_some();
        let any = self.state.ledger.deposits().values().any(waits);
        any.then(|| zone.start_of(calendar::next_day(zone.day(last))))
    }
}
