//! `[dunning]`, bounds of refunds, and how households want to be told things.

use blockgate_rules::Fen;
use blockgate_rules::setup::{Dunning, NoticeTerms};
use blockgate_types::Decimal;
use blockgate_types::strict::Table;

/// Longest own text of a household, in bytes.
const TEXT_MAX: usize = 500;

/// What may stand in braces in a household's own text.
const PLACES: [&str; 5] = ["{account}", "{amount}", "{due}", "{items}", "{days}"];

/// The most of something, in yuan.
pub(super) fn at_most(table: &Table<'_>, key: &'static str) -> Option<Fen> {
    let most = table.decimal(key)?;
    if most < Decimal::ZERO {
        table.note_at(key, format!("{key} must not be negative"));
    }
    Fen::round(most)
}

/// `[dunning]`: when bills are due and when households are reminded.
pub(super) fn dunning(table: &Table<'_>) -> Option<Dunning> {
    table.need("due_days");
    let due_days = table.integer("due_days", 1..=366);
    let remind_days = table.integer("remind_days", 0..=60).unwrap_or(3);
    let hour = table.integer("hour", 0..=23).unwrap_or(9);
    table.done();
    Some(Dunning {
        due_days: u32::try_from(due_days?).ok()?,
        remind_days: u32::try_from(remind_days).ok()?,
        hour: u8::try_from(hour).ok()?,
    })
}

/// `notice_channel` and `notice_text` of an account.
pub(super) fn notice(account: &Table<'_>) -> Option<NoticeTerms> {
    let channel = account.text("notice_channel");
    let text = account.text("notice_text");
    if let Some(text) = text {
        if text.len() > TEXT_MAX {
            account.note_at("notice_text", format!("longer than {TEXT_MAX} bytes"));
        }
        let known = PLACES.iter().fold(text.to_owned(), |text, place| text.replace(place, ""));
        if known.contains(['{', '}']) {
            let message = format!("what stands in braces must be one of {}", PLACES.join(", "));
            account.note_at("notice_text", message);
        }
    }
    if channel.is_none() && text.is_none() {
        return None;
    }
    let channel = channel.unwrap_or("app").to_owned();
    Some(NoticeTerms { channel, text: text.map(str::to_owned) })
}
