//! Forms: what was typed, what is wrong with it, and what is shown again. A form is sent once: its
//! `once` becomes the command's id, so a second press is known as the same order, even after a restart.

use super::Page;
use super::text::Say;
use crate::http::request::Fields;
use blockgate_rules::Fen;
use blockgate_types::{Decimal, parse_decimal};
use maud::{Markup, html};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What a form brought, for showing it again with what is wrong.
#[derive(Debug, Default)]
pub(super) struct Typed {
    values: BTreeMap<String, String>,
    faults: BTreeMap<&'static str, String>,
}

impl Typed {
    /// What a form brought, with nothing wrong.
    pub(super) fn of(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: values.into_iter().collect(), faults: BTreeMap::new() }
    }

    /// Whether the form that is shown again brought this value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.values.get(name).is_some_and(|typed| typed == value)
    }

    /// What was typed into a field.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// What is wrong with a field that no screen shows as one.
    pub(super) fn fault(&self, name: &str) -> Option<&str> {
        self.faults.get(name).map(String::as_str)
    }
}

/// Reads a form's fields and gathers everything that is wrong with them.
pub(super) struct Reader<'f> {
    fields: &'f Fields,
    pub(super) say: Say,
    faults: BTreeMap<&'static str, String>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(fields: &'f Fields, say: Say) -> Self {
        Self { fields, say, faults: BTreeMap::new() }
    }

    /// Notes what is wrong with a field.
    pub(super) fn fault(&mut self, name: &'static str, text: impl Into<String>) {
        self.faults.entry(name).or_insert_with(|| text.into());
    }

    /// Whether nothing is wrong.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// The first thing that is wrong.
    pub(super) fn first_fault(&self) -> Option<&str> {
        self.faults.values().next().map(String::as_str)
    }

    /// What to show again; `secret` forms bring nothing back.
    pub(super) fn typed(self, secret: bool) -> Typed {
        let values = if secret { BTreeMap::new() } else { self.fields.all().clone() };
        Typed { values, faults: self.faults }
    }

    /// A text as it was typed, without blanks around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.fields.get(name).unwrap_or("").trim().to_owned()
    }

    /// A field exactly as it was typed: a password.
    pub(super) fn raw(&self, name: &str) -> &'f str {
        self.fields.get(name).unwrap_or("")
    }

    /// A text that must be there, of at most `most` bytes.
    pub(super) fn said(&mut self, name: &'static str, most: usize) -> String {
        let text = self.text(name);
        if text.is_empty() {
            self.fault(name, self.say.must_fill());
        } else if text.len() > most {
            self.fault(name, self.say.too_long());
        }
        text
    }

    /// A field that parses; `None` with its fault where it does not or is not there.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, name: &'static str) -> Option<T> {
        let text = self.said(name, 4096);
        if text.is_empty() {
            return None;
        }
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(name, self.say.not_understood());
        }
        parsed
    }

    /// A quantity: `1204.55`.
    pub(super) fn decimal(&mut self, name: &'static str) -> Option<Decimal> {
        let text = self.said(name, 64);
        if text.is_empty() {
            return None;
        }
        let value = parse_decimal(&text).ok();
        if value.is_none() {
            self.fault(name, self.say.no_number());
        }
        value
    }

    /// An amount in yuan, to the fen: `128`, `128.5`, `128.50`; more than nothing.
    pub(super) fn money(&mut self, name: &'static str) -> Option<Fen> {
        let text = self.said(name, 32);
        if text.is_empty() {
            return None;
        }
        let fen = yuan(&text).filter(|fen| *fen > Fen::ZERO);
        if fen.is_none() {
            self.fault(name, self.say.no_amount());
        }
        fen
    }

    /// The same, where nothing typed is fine, and zero too.
    pub(super) fn money_or_none(&mut self, name: &'static str) -> Option<Fen> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        let fen = yuan(&text).filter(|fen| *fen >= Fen::ZERO);
        if fen.is_none() {
            self.fault(name, self.say.no_amount());
        }
        fen
    }
}

/// Yuan as people type them, full-width digits and a currency sign allowed, as whole fen.
pub(super) fn yuan(text: &str) -> Option<Fen> {
    let plain: String = text
        .chars()
        .map(|c| match u32::from(c) {
            // Full-width forms lie in the same order as ASCII (Unicode block FF00).
            wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
            _ => c,
        })
        .filter(|c| !matches!(c, '¥' | '￥' | ',' | ' ' | '元'))
        .collect();
    let value = parse_decimal(&plain).ok()?;
    let fen = value.checked_mul(Decimal::ONE_HUNDRED)?;
    fen.is_integer().then(|| fen.to_string().split('.').next()?.parse().ok().map(Fen)).flatten()
}

/// How a field is filled in.
pub(super) enum Input<'a> {
    /// A line of text.
    Text,
    /// An id, a plate, a code: no capitals by itself, no correction.
    Code,
    /// An amount in yuan.
    Money,
    /// A quantity.
    Number,
    /// A day.
    Date,
    /// A month.
    Month,
    /// Several lines.
    Lines(u8),
    /// A new password.
    NewPassword,
    /// The present password.
    Password,
    /// One of several: value and word.
    Choice(&'a [(String, String)]),
}

/// A field of a form.
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'a str,
    pub(super) input: Input<'a>,
    pub(super) value: &'a str,
    pub(super) hint: &'a str,
    pub(super) required: bool,
}

impl<'a> Field<'a> {
    /// A field that must be filled in.
    pub(super) fn new(name: &'static str, label: &'a str, input: Input<'a>) -> Self {
        Self { name, label, input, value: "", hint: "", required: true }
    }

    /// It may be left empty.
    pub(super) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// What stands in it at first.
    pub(super) fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    /// A sentence below its label.
    pub(super) fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }
}

/// A number for a form or a field that no other of the process has: 128 random bits.
pub(super) fn once() -> String {
    let mut bytes = [0_u8; 16];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // Without randomness no form can be told from another: an empty id is refused.
        return String::new();
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Page<'_> {
    /// Whether the form for `action` is the one that is shown again.
    pub(super) fn sends(&self, action: &str) -> bool {
        self.sent.as_deref() == Some(action)
    }

    /// The same of a form that stands on the screen once for each `(field, id)`.
    pub(super) fn sends_of(&self, action: &str, (name, id): (&str, &str)) -> bool {
        self.sends(action) && self.typed.is(name, id)
    }

    /// A form with the page's tokens.
    pub(super) fn form(&self, action: &str, content: impl FnOnce() -> Markup) -> Markup {
        self.filled(action, self.sends(action), content)
    }

    /// A form that stands on the screen once for each `(field, id)`, which it carries.
    pub(super) fn form_of(
        &self,
        action: &str,
        (name, id): (&'static str, &str),
        content: impl FnOnce() -> Markup,
    ) -> Markup {
        self.filled(action, self.sends_of(action, (name, id)), || {
            html! { input type="hidden" name=(name) value=(id); (content()) }
        })
    }

    /// What was typed goes into the form that it came from, and into no other with fields of the same names.
    fn filled(&self, action: &str, again: bool, content: impl FnOnce() -> Markup) -> Markup {
        self.again.store(again, Ordering::Relaxed);
        let content = content();
        self.again.store(false, Ordering::Relaxed);
        html! {
            form method="post" action=(action) {
                input type="hidden" name="csrf" value=(self.csrf);
                input type="hidden" name="once" value=(once());
                (content)
            }
        }
    }

    /// A field with its label, its hint, what was typed and what is wrong with it.
    pub(super) fn field(&self, field: &Field<'_>) -> Markup {
        let (name, required) = (field.name, field.required);
        let again = self.again.load(Ordering::Relaxed);
        let fault = self.typed.faults.get(name).filter(|_| again);
        let typed = self.typed.values.get(name).map(String::as_str).filter(|_| again);
        // The first field that is wrong, or of a form that only waits to be sent: there a person goes on.
        let wanted = again && (fault.is_some() || self.typed.faults.is_empty());
        let focus = wanted && !self.focused.swap(true, Ordering::Relaxed);
        let value = typed.unwrap_or(field.value);
        // The same form may stand on a screen several times.
        let id = format!("{name}-{}", self.fields.fetch_add(1, Ordering::Relaxed));
        let (hint, error) = (format!("{id}-hint"), format!("{id}-error"));
        let told = match (field.hint.is_empty(), fault) {
            (true, None) => None,
            (false, None) => Some(hint.clone()),
            (true, Some(_)) => Some(error.clone()),
            (false, Some(_)) => Some(format!("{error} {hint}")),
        };
        let wrong = fault.map(|_| "true");
        let line = |kind: &str, mode: Option<&str>, complete: &str| {
            html! {
                input id=(id) name=(name) type=(kind) value=(value) inputmode=[mode] required[required] autofocus[focus]
                    autocomplete=(complete) autocapitalize="none" aria-invalid=[wrong] aria-describedby=[told.as_deref()];
            }
        };
        html! {
            div.field.wrong[fault.is_some()] {
                label for=(id) { (field.label) @if !required { span.mute { " " (self.view.say.may_be_empty()) } } }
                @if !field.hint.is_empty() { p.small.mute id=(hint) { (field.hint) } }
                @match &field.input {
                    Input::Text => (line("text", None, "off")),
                    Input::Code => (line("text", None, "off")),
                    Input::Money | Input::Number => (line("text", Some("decimal"), "off")),
                    Input::Date => (line("date", None, "off")),
                    Input::Month => (line("month", None, "off")),
                    Input::NewPassword | Input::Password => {
                        @let complete = if matches!(field.input, Input::Password) { "current-password" } else { "new-password" };
                        input id=(id) name=(name) type="password" autocomplete=(complete) required[required] autofocus[focus]
                            aria-invalid=[wrong] aria-describedby=[told.as_deref()];
                    }
                    Input::Lines(rows) => {
                        textarea id=(id) name=(name) rows=(rows) required[required] autofocus[focus] spellcheck="false"
                            aria-invalid=[wrong] aria-describedby=[told.as_deref()] { (value) }
                    }
                    Input::Choice(all) => {
                        select id=(id) name=(name) required[required] autofocus[focus] aria-invalid=[wrong] aria-describedby=[told.as_deref()] {
                            @for (key, word) in all.iter() {
                                option value=(key) selected[key == value] { (word) }
                            }
                        }
                    }
                }
                @if let Some(fault) = fault { p.error id=(error) role="alert" { (fault) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_are_read_as_people_type_them_and_never_rounded() {
        for (text, want) in [
            ("128", Some(12_800)),
            ("128.5", Some(12_850)),
            ("¥128.50", Some(12_850)),
            ("１２８．５０元", Some(12_850)),
            ("1,280.00", Some(128_000)),
            ("0.01", Some(1)),
            ("0.001", None),
            ("abc", None),
            ("-5", Some(-500)),
            ("", None),
        ] {
            assert_eq!(yuan(text), want.map(Fen), "{text}");
        }
    }
}
