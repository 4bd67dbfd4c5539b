//! The page's components: times and ages, pills, money, empty states, icons. A screen is made of these,
//! so that one thing looks and reads the same everywhere.

use super::Page;
use super::text::Say;
use crate::http::wire::{Freshness, Suspect};
use crate::problem::Lang;
use blockgate_rules::Fen;
use blockgate_rules::event::{Hold, Severity, Verdict};
use blockgate_types::{FaultClass, Span, Time, Unit};
use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, html};

/// A page's language, zone and moment.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) say: Say,
    pub(super) zone: TimeZone,
    pub(super) now: Time,
}

impl View {
    /// A point in time as the block's people read it.
    pub(super) fn time(&self, at: Time) -> Markup {
        html! { time datetime=(at) title=(at) { (self.civil(at)) } }
    }

    /// The same as text.
    pub(super) fn civil(&self, at: Time) -> String {
        let civil = jiff::Timestamp::from(at).to_zoned(self.zone.clone());
        civil.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// How long ago; the script keeps it moving.
    pub(super) fn ago(&self, at: Time) -> Markup {
        let text = self.span(self.now.since(at).unwrap_or(Span::ZERO));
        html! { time datetime=(at) data-age { (text) } }
    }

    fn span(&self, span: Span) -> String {
        let seconds = span.as_millis() / 1000;
        let (text, count) = match seconds {
            0..60 => (self.say.seconds_ago(), seconds),
            60..3600 => (self.say.minutes_ago(), seconds / 60),
            3600..172_800 => (self.say.hours_ago(), seconds / 3600),
            _ => (self.say.days_ago(), seconds / 86_400),
        };
        self.say.fill(text, &[&count.to_string()])
    }

    /// A meter's freshness in word, colour and shape.
    pub(super) fn freshness(&self, freshness: Freshness) -> Markup {
        let word = match freshness {
            Freshness::Good => self.say.good(),
            Freshness::Late => self.say.late(),
            Freshness::Silent => self.say.silent(),
        };
        html! { span class={ "pill " (freshness.text()) } data-freshness { (word) } }
    }

    /// An alarm's urgency.
    pub(super) fn severity(&self, severity: Severity) -> Markup {
        let (class, word) = match severity {
            Severity::Info => ("pill", self.say.info()),
            Severity::Warning => ("pill late", self.say.warning()),
            Severity::Critical => ("pill bad", self.say.critical()),
        };
        html! { span class=(class) { (word) } }
    }
}

/// What to check, in Chinese and in English.
pub(in crate::http) fn what_to_check(suspect: Suspect) -> (&'static str, &'static str) {
    let of = |say: Say| match suspect {
        Suspect::Class(class) => say.class(class).1,
        Suspect::Line => say.check_line_silent(),
    };
    (of(Say(Lang::Zh)), of(Say(Lang::En)))
}

impl Say {
    /// A class of faults, and what to check.
    pub(super) fn class(self, class: FaultClass) -> (&'static str, &'static str) {
        match class {
            FaultClass::Timeout => (self.class_timeout(), self.check_timeout()),
            FaultClass::Checksum => (self.class_checksum(), self.check_checksum()),
            FaultClass::Protocol => (self.class_protocol(), self.check_protocol()),
            FaultClass::WrongDevice => (self.class_wrong_device(), self.check_wrong_device()),
            FaultClass::Value => (self.class_value(), self.check_value()),
        }
    }

    /// What is charged, by its id.
    pub(super) fn item_name(self, id: &str) -> String {
        let known = match id {
            "electricity" => Some(("电费", "electricity")),
            "water" | "cold-water" => Some(("水费", "water")),
            "hot-water" => Some(("热水费", "hot water")),
            "gas" => Some(("燃气费", "gas")),
            "heat" | "heating" => Some(("暖气费", "heating")),
            "property" | "property-fee" | "service" => Some(("物业费", "property fee")),
            "garbage" | "waste" => Some(("垃圾处理费", "waste")),
            "parking" => Some(("停车费", "parking")),
            "prepaid" => Some(("预存", "prepaid")),
            "late-fee" => Some(("违约金", "late fee")),
            _ => None,
        };
        match (known, self.0) {
            (Some((zh, _)), Lang::Zh) => zh.to_owned(),
            (Some((_, en)), Lang::En) => en.to_owned(),
            (None, _) => id.replace(['-', '_'], " "),
        }
    }

    /// A way of payment, by its word.
    pub(super) fn channel(self, word: &str) -> &'static str {
        match word {
            "wechat" => self.channel_wechat(),
            "alipay" => self.channel_alipay(),
            "unionpay" => self.channel_unionpay(),
            "cash" => self.channel_cash(),
            "bank-transfer" => self.channel_bank(),
            "pos-scan" => self.channel_pos_scan(),
            "pos-card" => self.channel_pos_card(),
            "kiosk" => self.channel_kiosk(),
            _ => self.channel_other(),
        }
    }

    /// A step of a household's money, by its word.
    pub(super) fn step(self, word: &str) -> &'static str {
        match word {
            "bill" => self.bill(),
            "paid" => self.step_paid(),
            "settled" => self.step_settled(),
            "condition" => self.step_condition(),
            "deducted" => self.step_deducted(),
            "refund-asked" => self.step_refund_asked(),
            "refund-approved" => self.step_refund_approved(),
            "refund-paid" => self.step_refund_paid(),
            "refund-voided" => self.step_refund_voided(),
            _ => self.updated(),
        }
    }

    /// Why something was corrected, by its code; a code of others stands for itself.
    pub(super) fn correction_reason(self, code: &str) -> &str {
        match code {
            "misread" => self.reason_misread(),
            "wrong-price" => self.reason_price(),
            "wrong-meter" => self.reason_meter(),
            "wrong-area" => self.reason_area(),
            "wrong-multiplier" => self.reason_multiplier(),
            "paid-earlier" => self.reason_paid_earlier(),
            "goodwill" => self.reason_goodwill(),
            "meter-error" => self.reason_meter_error(),
            other => other,
        }
    }

    /// Why a register is held.
    pub(super) fn hold(self, why: Hold) -> &'static str {
        match why {
            Hold::Reverse => self.held_reverse(),
            Hold::Backwards => self.held_backwards(),
            Hold::TooFast => self.held_too_fast(),
            Hold::NotLater => self.held_not_later(),
            Hold::ClockUnset => self.held_clock_unset(),
        }
    }

    /// How a reading was judged.
    pub(super) fn verdict(self, verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Opened => self.judged_opened(),
            Verdict::Accepted { .. } => self.judged_accepted(),
            Verdict::Rollover { .. } => self.judged_rollover(),
            Verdict::Exchanged { .. } => self.judged_exchanged(),
            Verdict::Estimated { .. } => self.judged_estimated(),
            Verdict::Rebased { .. } => self.judged_rebased(),
            Verdict::Held { why: Hold::ClockUnset, .. } => self.judged_waiting(),
            Verdict::Held { .. } => self.judged_held(),
        }
    }

    /// A standard register's name for people; others keep their own.
    pub(super) fn register(self, name: &str) -> String {
        let known = match name {
            "energy_import" => Some(("正向有功电能", "energy import")),
            "energy_export" => Some(("反向有功电能", "energy export")),
            "energy_total" => Some(("组合有功电能", "energy total")),
            "energy_import_t1" => Some(("正向有功电能 · 尖", "energy import T1")),
            "energy_import_t2" => Some(("正向有功电能 · 峰", "energy import T2")),
            "energy_import_t3" => Some(("正向有功电能 · 平", "energy import T3")),
            "energy_import_t4" => Some(("正向有功电能 · 谷", "energy import T4")),
            "reactive_import" => Some(("正向无功电能", "reactive import")),
            "reactive_export" => Some(("反向无功电能", "reactive export")),
            "demand" | "demand_max" => Some(("最大需量", "highest demand")),
            "voltage_l1" => Some(("A 相电压", "voltage L1")),
            "voltage_l2" => Some(("B 相电压", "voltage L2")),
            "voltage_l3" => Some(("C 相电压", "voltage L3")),
            "current_l1" => Some(("A 相电流", "current L1")),
            "current_l2" => Some(("B 相电流", "current L2")),
            "current_l3" => Some(("C 相电流", "current L3")),
            "power_total" => Some(("总有功功率", "power total")),
            "power_l1" => Some(("A 相功率", "power L1")),
            "power_l2" => Some(("B 相功率", "power L2")),
            "power_l3" => Some(("C 相功率", "power L3")),
            "power_factor" => Some(("功率因数", "power factor")),
            "frequency" => Some(("频率", "frequency")),
            "volume" => Some(("累计水量", "volume")),
            "volume_flow" => Some(("流量", "flow")),
            "heat" => Some(("累计热量", "heat")),
            _ => None,
        };
        match (known, self.0) {
            (Some((zh, _)), Lang::Zh) => zh.to_owned(),
            (Some((_, en)), Lang::En) => en.to_owned(),
            (None, _) => name.replace('_', " "),
        }
    }
}

/// A unit as people write it.
pub(super) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::CubicMetre => "m³",
        Unit::CubicMetrePerHour => "m³/h",
        Unit::SquareMetre => "m²",
        Unit::Celsius => "°C",
        Unit::Degree => "°",
        Unit::One => "",
        other => other.text(),
    }
}

/// An amount of money; no line breaks between sign and number.
pub(super) fn money(amount: Fen) -> String {
    format!("¥\u{a0}{amount}")
}

/// The screens of a section, as links.
pub(super) fn tabs(page: &Page<'_>, all: &[(&str, &str)]) -> Markup {
    html! {
        nav.tabs-row.no-print aria-label=(page.view.say.in_this_section()) {
            @for (path, name) in all {
                a href=(path) aria-current=[(page.at == *path).then_some("page")] { (name) }
            }
        }
    }
}

/// What polls came to, by class, with what to check; a phone shows no class that never came.
pub(super) fn polls(view: &View, good: u64, faults: [u64; FaultClass::ALL.len()]) -> Markup {
    let say = view.say;
    html! {
        table.stack {
            thead { tr { th { (say.result()) } th.num { (say.count()) } th { (say.what_to_check()) } } }
            tbody {
                tr { td.lead { (say.class_good()) } td.num data-name=(say.count()) { (good) } td {} }
                @for (class, count) in FaultClass::ALL.into_iter().zip(faults) {
                    @let (name, check) = say.class(class);
                    tr.zero[count == 0] {
                        td.lead { (name) }
                        td.num data-name=(say.count()) { (count) }
                        td.wide.mute.small { @if count > 0 { (check) } }
                    }
                }
            }
        }
    }
}

/// A screen's address with what it is asked for.
pub(super) fn address(path: &str, asked: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", query.extend_pairs(asked).finish())
}

/// Rows of a list that one screen shows: a block of 3,000 meters is looked through by search and by pages.
pub(super) const ROWS: usize = 60;

/// Which part of a long list the screen shows, with links to what lies before and behind it.
pub(super) fn pages(say: Say, from: usize, count: usize, link: impl Fn(usize) -> String) -> Markup {
    html! {
        @if count > ROWS {
            nav.row.pages.no-print aria-label=(say.pages()) {
                @if from > 0 { a.button.second href=(link(from.saturating_sub(ROWS))) { (say.page_before()) } }
                span.mute.num { (from.min(count).saturating_add(1).min(count)) "–" (from.saturating_add(ROWS).min(count)) " / " (count) }
                @if from.saturating_add(ROWS) < count { a.button.second href=(link(from + ROWS)) { (say.next_page()) } }
            }
        }
    }
}

/// Where nothing is to be shown: a sentence that says so.
pub(super) fn empty(text: &str) -> Markup {
    html! { p.empty.mute { (text) } }
}

/// The drawing of a navigation entry: its path data on a 24 × 24 field.
pub(super) fn icon(path: &'static str) -> Markup {
    html! {
        svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" {
            path d=(PreEscaped(path)) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit_and_is_never_negative() {
        let now: Time = "2026-03-01T12:00:00Z".parse().unwrap();
        let view = View { say: Say(Lang::En), zone: TimeZone::UTC, now };
        for (seconds, want) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (172_800, "2 d")]
        {
            let text = view.ago(now.minus(Span::from_secs(seconds))).into_string();
            assert!(text.contains(&format!(">{want} ago<")), "{text}");
        }
        let ahead = view.ago(now.plus(Span::from_hours(1))).into_string();
        assert!(ahead.contains(">0 s ago<"), "{ahead}");
    }
}
