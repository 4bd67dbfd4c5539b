//! The car park's nights: every stay that was inside over midnight and owes something has its statement
//! in the morning, before people go to work. A statement charges nothing: what was read at the entry
//! alone can be another car's plate, and the exit is what settles a stay.

use super::Block;
use crate::calendar::{Day, Zone, next_day};
use crate::event::{Event, NoticeReason, Text};
use crate::money::Fen;
use crate::parking::ParkingView;
use crate::parking::event::{Parking, Statement};
use crate::parking::judge::Due;
use crate::parking::state::Stay;
use blockgate_types::{AccountId, StayId, Time};

/// Most statements of one tick; the next tick goes on.
const STATEMENTS_AT_ONCE: usize = 200;

impl Block {
    /// The statements that are due: those of one tick.
    pub(super) fn decide_statements(&self, now: Time, out: &mut Vec<Event>) {
        let Some((view, today)) = self.morning(now) else { return };
        for (id, stay, due) in to_state(&view, today, now).take(STATEMENTS_AT_ONCE) {
            let account = self.account_of(&view, stay, now);
            let text = text(&view.zone, stay, now, due.due_fen);
            if let Some(account) = &account {
                let (reason, none) = (NoticeReason::Parking, Vec::new());
                out.push(self.told(now, account, reason, text.clone(), due.due_fen, none));
            }
            out.push(Event::Parking(Box::new(Parking::Stated(Box::new(Statement {
                at: now,
                day: today.to_string(),
                stay: id.clone(),
                account,
                entered: stay.entered,
                lines: due.lines,
                due_fen: due.due_fen,
                diagram: due.diagram,
                text,
            })))));
        }
    }

    /// When statements are due next; never without a car park.
    pub(super) fn statements_due(&self) -> Option<Time> {
        let (parking, zone) = (self.state.setup.parking.as_ref()?, self.cache.zone.as_ref()?);
        let today = zone.day(self.watch.last_tick?);
        let day = if self.watch.stated == Some(today) { next_day(today) } else { today };
        Some(zone.moment(day, parking.statement_at))
    }

    /// Notes after a tick that no stay is left without its statement today.
    pub(super) fn statements_are_out(&mut self, now: Time) {
        let Some((view, today)) = self.morning(now) else { return };
        if to_state(&view, today, now).next().is_none() {
            self.watch.stated = Some(today);
        }
    }

    /// The car park and the day, where its statements may be due.
    fn morning(&self, now: Time) -> Option<(ParkingView, Day)> {
        let (parking, zone) = (self.state.setup.parking.as_ref()?, self.cache.zone.as_ref()?);
        let today = zone.day(now);
        let early = zone.minute_of_day(now) < parking.statement_at;
        if early || self.watch.stated == Some(today) {
            return None;
        }
        Some((self.parking()?, today))
    }

    /// The account to which a stay will be charged if it leaves as it came.
    fn account_of(&self, view: &ParkingView, stay: &Stay, now: Time) -> Option<AccountId> {
        let plate = stay.plate.as_ref()?;
        let (_, permit) = view.state.permit_of(&view.setup, plate, now)?;
        let account = permit.account.as_ref().filter(|_| permit.on_account || permit.prepaid)?;
        self.state.setup.accounts.contains_key(account).then(|| account.clone())
    }
}

/// The stays that were inside over midnight, owe something and have no statement of this morning.
fn to_state(
    view: &ParkingView,
    today: Day,
    now: Time,
) -> impl Iterator<Item = (&StayId, &Stay, Due)> {
    let midnight = view.zone.start_of(today);
    let stays = view.state.stays().iter();
    stays.filter_map(move |(id, stay)| {
        if stay.entered >= midnight || stay.stated == Some(today) {
            return None;
        }
        let due = view.due(stay, now).filter(|due| due.due_fen > Fen::ZERO)?;
        Some((id, stay, due))
    })
}

fn text(zone: &Zone, stay: &Stay, now: Time, due: Fen) -> Text {
    let civil = |at: Time| {
        let minute = zone.minute_of_day(at);
        let (hour, minute) = (minute.div_euclid(60), minute.rem_euclid(60));
        format!("{} {hour:02}:{minute:02}", zone.day(at))
    };
    let (from, to) = (civil(stay.entered), civil(now));
    Text {
        zh: format!("您的车辆自 {from} 停放至今（{to}），目前停车费 {due} 元，以离场时为准。"),
        en: format!(
            "Your car has been parked since {from}; as of {to} that comes to {due} yuan. The exit settles it."
        ),
    }
}
