//! What stood there when a form was opened. The form carries it, in words that are no language's; where
//! something else stands there when the form comes, nothing is ordered, and both are shown.

use super::forms::Reader;
use super::rights::named_right;
use super::{Act, Note, Page};
use crate::http::answer::Desk;
use blockgate_rules::Fen;
use blockgate_rules::ledger::{Deposit, Ledger, Standing};
use blockgate_types::{AccountId, GrantId, Time};
use maud::{Markup, html};

/// Where nothing stands.
const NOTHING: &str = "-";
/// Grants that a form carries; a block has a few visitors a day.
const GRANTS: usize = 200;

/// The hidden field of a form.
pub(super) fn field(seen: &str) -> Markup {
    html! { input type="hidden" name="seen" value=(seen); }
}

/// What a household owes and has prepaid: `12.50 0.00`.
pub(super) fn of_household(desk: &Desk, id: &AccountId) -> String {
    of_standing(&desk.shared.board.books().ledger().standing(id))
}

/// The same of a standing that is at hand.
pub(super) fn of_standing(standing: &Standing) -> String {
    format!("{} {}", standing.owed_fen, standing.prepaid_fen)
}

/// What a household owes, has prepaid, and has left as deposits: `12.50 0.00 1 500.00`.
pub(super) fn of_deposits(ledger: &Ledger, id: &AccountId) -> String {
    let mine = ledger.deposits().values().filter(|deposit| deposit.account == *id);
    let held: Vec<Fen> = mine.map(Deposit::held).filter(|held| *held > Fen::ZERO).collect();
    let sum = Fen::sum(held.iter().copied()).unwrap_or_default();
    format!("{} {} {sum}", of_standing(&ledger.standing(id)), held.len())
}

/// The version of a rule file that is in force by command, and who brought it: `3 page/clerk`.
pub(super) fn of_rules(desk: &Desk, file: &str) -> String {
    let books = desk.shared.board.books();
    let applied = books.applied().get(file);
    applied.map_or_else(|| NOTHING.to_owned(), |rules| format!("{} {}", rules.version, rules.by))
}

/// Every visitor's right: `visit-7 20000001 2026-04-01T…`, one behind the other.
pub(super) fn of_grants(desk: &Desk) -> String {
    let state = desk.shared.doors.state();
    let one = |(id, used): (&GrantId, &blockgate_rules::access::state::Used)| {
        format!("{id} {} {}", used.terms.card, used.terms.until)
    };
    let all: Vec<String> = state.grants().iter().take(GRANTS).map(one).collect();
    if all.is_empty() { NOTHING.to_owned() } else { all.join(";") }
}

/// What a form says was seen, and what stands there now; `None` for a form that carries nothing.
fn both(desk: &Desk, act: &Act, read: &Reader<'_>) -> Option<(String, String)> {
    let seen = read.text("seen");
    if seen.is_empty() {
        return None;
    }
    let now = match act {
        Act::Pay(id) => of_household(desk, id),
        Act::TakeDeposit(id) | Act::DeductDeposit(id) | Act::AskRefund(id) => {
            of_deposits(desk.shared.board.books().ledger(), id)
        }
        Act::ApplyRules => of_rules(desk, &read.text("file")),
        Act::GrantCard => {
            // Only the right of this name matters: others come and go.
            let wanted = read.text("grant");
            let of = |all: &str| {
                let mut rows = all.split(';').filter(|row| row.split(' ').next() == Some(&wanted));
                rows.next().unwrap_or(NOTHING).to_owned()
            };
            return Some((of(&seen), of(&of_grants(desk))));
        }
        Act::RestoreRight => {
            let state = desk.shared.doors.state();
            let kind = (read.text("of_kind"), read.text("of"));
            let mut rows = state.revoked().iter();
            let since = rows.find(|(of, _)| named_right(of) == kind).map(|(_, since)| *since);
            // One that is not shut out any more is refused by the rules, with their own sentence.
            since?.to_string()
        }
        _ => return None,
    };
    Some((seen, now))
}

/// What a form carries, in the reader's words.
fn told(page: &Page<'_>, act: &Act, seen: &str) -> String {
    let say = page.view.say;
    let words: Vec<&str> = seen.split(' ').collect();
    let time = |text: &str| match text.parse::<Time>() {
        Ok(at) => page.view.civil(at),
        Err(_) => text.to_owned(),
    };
    match (act, words.as_slice()) {
        (_, [NOTHING]) => say.seen_nothing().to_owned(),
        (Act::ApplyRules, [version, by]) => say.fill(say.seen_rules(), &[version, by]),
        (Act::GrantCard, [id, card, until]) => {
            say.fill(say.seen_grant(), &[id, card, &time(until)])
        }
        (Act::RestoreRight, [since]) => say.fill(say.seen_revoked(), &[&time(since)]),
        (Act::Pay(_), [owed, prepaid]) => say.fill(say.seen_owed(), &[owed, prepaid]),
        (
            Act::TakeDeposit(_) | Act::DeductDeposit(_) | Act::AskRefund(_),
            [owed, prepaid, count, held],
        ) => say.fill(say.seen_deposits(), &[owed, prepaid, count, held]),
        _ => seen.to_owned(),
    }
}

/// The difference, where something else stands there than was seen.
pub(super) fn changed(desk: &Desk, page: &Page<'_>, act: &Act, read: &Reader<'_>) -> Option<Note> {
    let (seen, now) = both(desk, act, read)?;
    (seen != now).then(|| {
        let say = page.view.say;
        let both = [told(page, act, &seen), told(page, act, &now)];
        Note { good: false, text: say.fill(say.seen_changed(), &[&both[0], &both[1]]) }
    })
}
