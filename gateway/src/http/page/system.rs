//! The box itself: the way to the cloud step by step, certificates, clock, disk, log, audit trail,
//! diagnostics, and what is still to be done when it is new.

use super::components::{View, empty, tabs};
use super::network::Network;
use super::{Page, overview};
use crate::board::MqttBoard;
use crate::http::answer::{Answered, Desk, attachment, query};
use crate::http::request::Fields;
use crate::http::wire;
use crate::mqtt::trouble::Trouble;
use crate::ports::Discipline;
use crate::problem::{Code, Problem};
use crate::telemetry::{recent, redact};
use blockgate_types::{ClockState, Time};
use maud::{Markup, html};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Lines of the log on one screen.
const LINES: usize = 300;
/// Newest records that are looked through for the audit trail.
const RECORDS: usize = 2_000;
/// Rows of the audit trail on one screen.
const ROWS: usize = 200;

/// The screens of this section.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    tabs(
        page,
        &[
            ("/system", say.system()),
            ("/outbox", say.outbox()),
            ("/audit", say.audit()),
            ("/log", say.log()),
            ("/diagnostics", say.diagnostics()),
            ("/backup", say.backup()),
            ("/start", say.first_run()),
        ],
    )
}

/// A step on the way to the cloud.
struct Step {
    name: &'static str,
    /// Good, bad, or not reached.
    state: Option<bool>,
}

/// The steps from the name to the receipt. Which one fails is said by the trouble that the client met.
fn steps(view: &View, mqtt: &MqttBoard) -> Vec<Step> {
    let say = view.say;
    let failing = mqtt.trouble.as_ref().filter(|_| !mqtt.connected).map(place);
    let reached = |n: usize| match failing {
        _ if mqtt.connected => Some(true),
        Some(at) if n < at => Some(true),
        Some(at) if n == at => Some(false),
        Some(_) | None => None,
    };
    let receipt = mqtt.last_receipt.is_some();
    vec![
        Step { name: say.step_name(), state: reached(0) },
        Step { name: say.step_tcp(), state: reached(1) },
        Step { name: say.step_tls(), state: reached(2) },
        Step { name: say.step_mqtt(), state: reached(3) },
        Step {
            name: say.step_event(),
            state: if mqtt.connected && mqtt.published > 0 { Some(true) } else { None },
        },
        Step { name: say.step_receipt(), state: if receipt { Some(true) } else { None } },
    ]
}

/// At which step a trouble stands in the way.
fn place(trouble: &Trouble) -> usize {
    match trouble.word() {
        "dns" => 0,
        "refused" | "unreachable" | "connect-timeout" => 1,
        word if word.starts_with("tls-") => 2,
        _ => 3,
    }
}

/// The steps as a list, with the cause and what to do where one fails.
pub(super) fn cloud_check(view: &View, mqtt: &MqttBoard) -> Markup {
    let say = view.say;
    html! {
        @if mqtt.broker.is_empty() { p.mute { (say.not_configured()) } } @else {
            p.mono { (mqtt.broker) }
            ol.steps {
                @for step in steps(view, mqtt) {
                    li {
                        @match step.state {
                            Some(true) => span.pill.good { (step.name) },
                            Some(false) => span.pill.bad { (step.name) },
                            None => span.pill { (step.name) " · " (say.step_waits()) },
                        }
                    }
                }
            }
            @if let Some(trouble) = mqtt.trouble.as_ref().filter(|_| !mqtt.connected) {
                div.note.bad role="alert" {
                    strong { (say.of(&trouble.text())) }
                    p { (say.of(&trouble.next())) }
                    p.mono { (trouble.word()) }
                }
            }
            p.small.mute { (say.last_receipt()) " " @match mqtt.last_receipt { Some(at) => (view.ago(at)), None => (say.never()) } }
        }
    }
}

fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

/// The page.
pub(super) fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let shared = &desk.shared;
    let mqtt = shared.board.mqtt().clone();
    let (disk, outbox) = (*shared.board.disk(), *shared.board.outbox());
    Ok(page.framed(
        say.system(),
        true,
        html! {
            div.head { h1.grow { (say.system()) } span.mute.num { (view.time(view.now)) } }
            (section(page))
            div.grid {
                section.card { header { h2 { (say.cloud()) } } (cloud_check(view, &mqtt)) }
                section.card {
                    header { h2 { (say.outbox()) } a href="/outbox" { (say.details()) } }
                    p.big { span data-overview="waiting" { (outbox.waiting) } }
                    p { (say.oldest()) " " @match outbox.oldest { Some(at) => (view.ago(at)), None => "–" } }
                    p { (say.dead_letters()) " " span.pill.bad[outbox.dead > 0] { (outbox.dead) } }
                }
                section.card {
                    header { h2 { (say.clock()) } }
                    (clock(view, shared.clock.state()))
                    p { (view.time(view.now)) " " span.mute { (shared.status.zone) } }
                    (discipline(view, shared.clock.discipline().as_ref()))
                }
                section.card {
                    header { h2 { (say.disk()) } }
                    @match disk {
                        Some(disk) => {
                            @let used = disk.total.saturating_sub(disk.free).saturating_mul(100) / disk.total.max(1);
                            p.big { (gigabytes(disk.free)) " " span.unit { (say.disk_free()) } }
                            svg.meter viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                                rect.none width="100" height="6" {} rect width=(used.min(100)) height="6" {}
                            }
                            p.small.mute { (say.fill(say.disk_used(), &[&used.to_string(), &gigabytes(disk.total)])) }
                        },
                        None => p.mute { (say.not_known_yet()) },
                    }
                }
            }
            section.card { header { h2 { (say.certificates()) } } (certificates(desk, page, &mqtt)) }
            (overview::about(desk, view))
            p.small.mute { a href="/backup" { (say.backup()) } " · " (say.backup_where()) }
        },
    ))
}

fn clock(view: &View, state: ClockState) -> Markup {
    let say = view.say;
    html! {
        @match state {
            ClockState::Synced => span.pill.good { (say.clock_synced()) },
            ClockState::Holdover => span.pill.late { (say.clock_holdover()) },
            ClockState::Unsynced => span.pill.bad { (say.clock_unsynced()) },
        }
    }
}

fn certificates(desk: &Desk, page: &Page<'_>, mqtt: &MqttBoard) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    let own = desk.certificate.as_ref().map(|c| ("page".to_owned(), c.not_after()));
    let all: Vec<(String, Time)> = mqtt.certificates.iter().cloned().chain(own).collect();
    let days = |until: Time| until.since(view.now).map_or(0, |left| left.as_millis() / 86_400_000);
    html! {
        @if let Some(unfit) = &mqtt.unfit { p.note.bad lang="en" { (unfit) } }
        @if all.is_empty() { (empty(say.no_certificates())) } @else {
            table.stack {
                thead { tr { th { (say.certificate_of()) } th.num { (say.certificate()) } th.num { (say.days_left()) } } }
                tbody {
                    @for (name, until) in &all {
                        @let left = days(*until);
                        tr {
                            td.lead { (name) }
                            td.num data-name=(say.certificate()) { (view.time(*until)) }
                            td.num data-name=(say.days_left()) { span.pill.good[left > 30].late[left <= 30 && left > 3].bad[left <= 3] { (left) } }
                        }
                    }
                }
            }
        }
    }
}

/// The last lines of the log, newest first.
pub(super) fn log(page: &Page<'_>) -> Answered {
    let say = page.view.say;
    let fields = Fields::parse(page.request.query.as_bytes(), &["q", "level"])?;
    let wanted = fields.get("q").unwrap_or("").to_lowercase();
    let level = fields.get("level").unwrap_or("");
    let lines = recent::lines();
    let fits = |line: &&recent::Line| {
        (level.is_empty() || line.level.eq_ignore_ascii_case(level))
            && (wanted.is_empty()
                || line.text.to_lowercase().contains(&wanted)
                || line.target.contains(&wanted))
    };
    let shown: Vec<&recent::Line> = lines.iter().rev().filter(fits).take(LINES).collect();
    Ok(page.framed(
        say.log(),
        false,
        html! {
            div.head { h1 { (say.log()) } }
            (section(page))
            form.card method="get" action="/log" {
                div.row {
                    label { (say.find()) input name="q" type="search" value=(wanted); }
                    label { (say.level())
                        select name="level" {
                            option value="" { (say.all()) }
                            @for one in ["ERROR", "WARN", "INFO", "DEBUG"] { option value=(one) selected[level == one] { (one) } }
                        }
                    }
                    button.button type="submit" { (say.filter()) }
                }
            }
            section.card {
                div.row {
                    p.small.mute { (say.log_why()) }
                    // Shown by the page's script, which alone can follow.
                    button.button.second type="button" data-follow=(say.log_follow()) data-pause=(say.log_pause()) hidden { (say.log_follow()) }
                }
                @if shown.is_empty() { (empty(say.no_log())) }
                ul.log #log lang="en" {
                    @for line in shown {
                        li {
                            span.num { (page.view.time(line.at)) } " "
                            span.pill.bad[line.level == "ERROR"].late[line.level == "WARN"] { (line.level) } " "
                            span.mono { (line.text) }
                        }
                    }
                }
            }
        },
    ))
}

/// Who did what to the block, newest first.
pub(super) async fn audit(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["q"])?;
    let wanted = fields.get("q").unwrap_or("").to_lowercase();
    let newest = query(desk, |archive| archive.newest(RECORDS)).await?;
    let mut rows: Vec<(u64, Value)> = Vec::new();
    for (seq, envelope) in newest.iter().rev() {
        let Ok(event) = serde_json::from_slice::<Value>(envelope) else { continue };
        let data = &event["data"];
        let kind = data["kind"].as_str().unwrap_or_default();
        let told = match kind {
            "audit" => !matches!(
                data["what"].as_str(),
                Some("command-accepted" | "gate-asked" | "gate-opening" | "head-signed")
            ),
            "payment" => true,
            _ => false,
        };
        let codes = [&data["name"], &data["what"], &data["did"]["done"]];
        let words = codes.iter().filter_map(|code| say.deed(code.as_str()?));
        let fits = wanted.is_empty()
            || data.to_string().to_lowercase().contains(&wanted)
            || words.into_iter().any(|word| word.to_lowercase().contains(&wanted));
        if told && fits {
            rows.push((*seq, data.clone()));
        }
        if rows.len() >= ROWS {
            break;
        }
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    // A cell without anything in it is not shown on a phone.
    let result = |data: &Value| {
        let outcome = say.outcome(&text(&data["outcome"])).to_owned();
        let parts = [outcome, say.told(&text(&data["detail"])), did(&data["did"])];
        let said: Vec<&str> =
            parts.iter().map(|part| part.trim()).filter(|p| !p.is_empty()).collect();
        said.join(" ")
    };
    Ok(page.framed(
        say.audit(),
        false,
        html! {
            div.head { h1 { (say.audit()) } }
            (section(page))
            form.card method="get" action="/audit" role="search" {
                div.row {
                    label { (say.find()) input name="q" type="search" value=(wanted); }
                    button.button type="submit" { (say.filter()) }
                }
                p.small.mute { (say.fill(say.audit_why(), &[&RECORDS.to_string()])) }
            }
            section.card {
                @if rows.is_empty() { (empty(say.no_audit())) } @else {
                    table.stack {
                        thead { tr { th { (say.when()) } th { (say.what()) } th { (say.by()) } th { (say.result()) } th.num { (say.seq()) } } }
                        tbody {
                            @for (seq, data) in &rows {
                                @let at: Option<Time> = data["at"].as_str().and_then(|at| at.parse().ok());
                                @let name = if data["name"].is_string() { text(&data["name"]) } else { text(&data["what"]) };
                                tr {
                                    td.lead.num { @if let Some(at) = at { (view.time(at)) } }
                                    // The narrower code says what was done: `user-saved` rather than `upkeep`.
                                    @let code = data["did"]["done"].as_str().unwrap_or(&name);
                                    td data-name=(say.what()) { span { @if let Some(word) = say.deed(code) { (word) br; } span.mono.mute { (code) } } }
                                    td data-name=(say.by()) { (text(&data["actor"])) (text(&data["by"])) }
                                    td data-name=(say.result()) { (result(data)) }
                                    td.num data-name=(say.seq()) { (seq) }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

impl super::text::Say {
    /// How a command ended, as the journal says it; what it does not say so stays as it is.
    fn outcome(self, word: &str) -> &str {
        match word {
            "done" => self.outcome_done(),
            "failed" => self.outcome_failed(),
            "expired" => self.outcome_expired(),
            "duplicate" => self.outcome_duplicate(),
            "refused" => self.outcome_refused(),
            "unknown" => self.outcome_unknown(),
            other => other,
        }
    }
}

/// What upkeep was about: `user clerk · role finance`.
fn did(data: &Value) -> String {
    let Some(fields) = data.as_object() else { return String::new() };
    let rows = fields.iter().filter(|(name, _)| *name != "done");
    let one = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name} {text}"),
        Value::Array(all) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            format!("{name} {}", all.join(", "))
        }
        other => format!("{name} {other}"),
    };
    rows.map(one).collect::<Vec<_>>().join(" · ")
}

/// The parts of the diagnostics, in the order of the document.
fn parts(page: &Page<'_>) -> [(&'static str, &'static str); 5] {
    let say = page.view.say;
    [
        ("status", say.diag_status()),
        ("meters", say.diag_meters()),
        ("outbox", say.diag_outbox()),
        ("alarms", say.diag_alarms()),
        ("log", say.diag_log()),
    ]
}

/// What a diagnostics document would hold, before it is made.
pub(super) fn diagnostics(page: &Page<'_>) -> Answered {
    let say = page.view.say;
    Ok(page.framed(
        say.diagnostics(),
        false,
        html! {
            div.head { h1 { (say.diagnostics()) } }
            (section(page))
            section.card {
                p { (say.diag_why()) }
                dl.wide-list { @for (name, what) in parts(page) { dt.mono { (name) } dd { (what) } } }
                p.note { (say.diag_not()) }
                a.button href="/diagnostics.json" download="blockgate-diagnostics.json" { (say.diag_get()) }
            }
        },
    ))
}

/// The diagnostics: nothing that names a household, a plate or a secret.
pub(super) fn diagnostics_file(desk: &Desk) -> Answered {
    let shared = &desk.shared;
    let meters: Vec<Value> = wire::meters(shared)
        .iter()
        .map(|meter| {
            let mut of = wire::meter_json(meter);
            if let Some(map) = of.as_object_mut() {
                // Values are a household's use, accounts are the household.
                for private in ["accounts", "last", "verdicts"] {
                    map.remove(private);
                }
            }
            of
        })
        .collect();
    let alarms: Vec<Value> = shared
        .board
        .alarms()
        .values()
        .map(|a| json!({ "id": a.id, "code": a.code, "since": a.since, "severity": a.severity }))
        .collect();
    let log: Vec<Value> = recent::lines()
        .iter()
        .map(|line| json!({ "at": line.at, "level": line.level, "target": line.target, "text": line.text }))
        .collect();
    let mut document = json!({
        "status": wire::status_json(shared), "meters": meters, "outbox": wire::outbox_json(shared),
        "alarms": alarms, "log": log,
    });
    redact::document(&mut document);
    let text =
        serde_json::to_string_pretty(&document).map_err(|_| Problem::from(Code::Internal))?;
    Ok(attachment(text, "application/json", "blockgate-diagnostics.json"))
}

/// Who sets the clock, and how well.
fn discipline(view: &View, discipline: Option<&Discipline>) -> Markup {
    let say = view.say;
    let milli = |us: i64| format!("{}.{:03} ms", us / 1000, (us % 1000).abs());
    html! {
        dl.wide-list {
            dt { (say.clock_source()) } dd { (discipline.and_then(|d| d.source).unwrap_or(say.clock_source_unknown())) }
            @if let Some(discipline) = discipline {
                dt { (say.clock_offset()) } dd { (milli(discipline.offset_us)) }
                dt { (say.clock_error()) } dd { "± " (milli(discipline.error_us)) }
            }
        }
    }
}

/// Whether names have been answered: the way to the cloud has passed its first step, or there is none
/// and somebody is there to be asked.
fn names_answer(network: &Network, mqtt: &MqttBoard) -> Option<bool> {
    match &mqtt.trouble {
        _ if mqtt.broker.is_empty() => Some(!network.names.is_empty()),
        _ if mqtt.connected => Some(true),
        Some(trouble) => Some(place(trouble) > 0),
        None => None,
    }
}

/// Whether the network has been looked at and is whole: an address, a way out, names that are answered.
fn is_checked(network: &Network, mqtt: &MqttBoard) -> bool {
    !network.addresses.is_empty()
        && !network.gateways.is_empty()
        && names_answer(network, mqtt) == Some(true)
}

/// Addresses, gateway and names, each with what to do where it is missing.
fn addresses(view: &View, network: &Network, mqtt: &MqttBoard) -> Markup {
    let say = view.say;
    let on = |all: &[(String, IpAddr)]| {
        html! { @for (port, address) in all { span.mono { (address) } " " span.mute { (port) } br; } }
    };
    let mark = |good: Option<bool>, name: &str| {
        html! {
            @match good {
                Some(true) => span.pill.good { (name) },
                Some(false) => span.pill.bad { (name) },
                None => span.pill { (name) " · " (say.step_waits()) },
            }
        }
    };
    html! {
        dl.wide-list {
            dt { (mark(Some(!network.addresses.is_empty()), say.net_addresses())) }
            dd { (on(&network.addresses)) @if network.addresses.is_empty() { (say.net_no_address()) } }
            dt { (mark(Some(!network.gateways.is_empty()), say.net_gateway())) }
            dd { (on(&network.gateways)) @if network.gateways.is_empty() { (say.net_no_gateway()) } }
            dt { (mark(names_answer(network, mqtt), say.net_names())) }
            dd {
                @for server in &network.names { span.mono { (server) } br; }
                @if network.names.is_empty() { (say.net_no_names()) }
                @else if names_answer(network, mqtt) == Some(false) { (say.net_names_silent()) }
            }
        }
    }
}

/// What is still to be done on a new box, each with how it stands.
pub(super) fn first_run(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let shared = &desk.shared;
    let mqtt = shared.board.mqtt().clone();
    let meters = wire::meters(shared);
    let heard = meters.iter().filter(|m| m.board.last.is_some()).count();
    let step = |done: bool, title: &str, content: Markup| {
        html! {
            li.card {
                header { h2 { (title) } @if done { span.pill.good { (say.step_done()) } } @else { span.pill.late { (say.step_open()) } } }
                (content)
            }
        }
    };
    let clock_good = shared.clock.state() == ClockState::Synced;
    let network = Network::read();
    Ok(page.framed(
        say.first_run(),
        false,
        html! {
            div.head { h1 { (say.first_run()) } }
            p.mute { (say.first_run_why()) }
            ol.run {
                (step(true, say.run_language(), html! {
                    p { a href="/language/zh?back=/start" lang="zh-CN" { "中文" } " · " a href="/language/en?back=/start" lang="en" { "English" } }
                }))
                (step(true, say.run_password(), html! { p { (say.run_password_why()) " " a href="/me" { (say.change_password()) } } }))
                (step(clock_good, say.run_clock(), html! {
                    p { (clock(view, shared.clock.state())) " " span.num { (view.time(view.now)) } " " span.mute { (shared.status.zone) } }
                    (discipline(view, shared.clock.discipline().as_ref()))
                    @if !clock_good { p { (say.run_clock_why()) } ol { li { (say.run_clock_1()) } li { (say.run_clock_2()) } li { (say.run_clock_3()) } } }
                }))
                (step(is_checked(&network, &mqtt), say.run_network(), html! {
                    (addresses(view, &network, &mqtt))
                    p { (say.run_network_why()) " " span.mono { (page.request.authority.as_deref().unwrap_or_default()) } }
                    p.small.mute { @if page.tls { (say.run_network_tls()) } @else { (say.plain_http()) } }
                }))
                (step(mqtt.connected && mqtt.last_receipt.is_some(), say.run_cloud(), cloud_check(view, &mqtt)))
                (step(!meters.is_empty() && heard == meters.len(), say.run_meters(), html! {
                    p { (say.fill(say.sheet_count(), &[&heard.to_string(), &meters.len().to_string()])) }
                    p { a href="/scan" { (say.scan()) } " · " a href="/meters?show=trouble" { (say.with_trouble()) } " · " a href="/sheet" { (say.sheet()) } }
                }))
            }
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::text::Say;
    use crate::problem::Lang;
    use jiff::tz::TimeZone;

    #[test]
    fn the_step_that_fails_is_the_one_that_the_trouble_names_and_those_before_it_are_good() {
        let view = View { say: Say(Lang::En), zone: TimeZone::UTC, now: Time::from_millis(0) };
        let states = |trouble: Trouble| {
            let mqtt = MqttBoard { trouble: Some(trouble), ..MqttBoard::default() };
            steps(&view, &mqtt).into_iter().map(|step| step.state).collect::<Vec<_>>()
        };
        let (good, bad) = (Some(true), Some(false));
        assert_eq!(states(Trouble::Dns(String::new())), [bad, None, None, None, None, None]);
        assert_eq!(states(Trouble::Refused), [good, bad, None, None, None, None]);
        assert_eq!(states(Trouble::TlsUnknownCa), [good, good, bad, None, None, None]);
        assert_eq!(states(Trouble::NotAuthorised), [good, good, good, bad, None, None]);
        let mqtt = MqttBoard { connected: true, published: 3, ..MqttBoard::default() };
        let all: Vec<_> = steps(&view, &mqtt).into_iter().map(|step| step.state).collect();
        assert_eq!(all, [good, good, good, good, good, None]);
    }

    #[test]
    fn the_network_is_checked_once_it_has_an_address_a_way_out_and_names_that_answer() {
        let port = |text: &str| ("eth0".to_owned(), text.parse().unwrap());
        let whole = Network {
            addresses: vec![port("192.168.1.41")],
            gateways: vec![port("192.168.1.1")],
            names: vec![IpAddr::from([192, 168, 1, 1])],
        };
        let broker = || MqttBoard { broker: "b:8883".to_owned(), ..MqttBoard::default() };
        let with = |trouble| MqttBoard { trouble: Some(trouble), ..broker() };
        assert!(is_checked(&whole, &MqttBoard::default()), "no cloud is configured");
        assert!(!is_checked(&whole, &broker()), "nothing was tried yet");
        assert!(!is_checked(&whole, &with(Trouble::Dns(String::new()))));
        assert!(is_checked(&whole, &with(Trouble::Refused)), "its name was answered");
        assert!(is_checked(&whole, &MqttBoard { connected: true, ..broker() }));
        for lacks in [
            Network { addresses: Vec::new(), ..whole.clone() },
            Network { gateways: Vec::new(), ..whole.clone() },
        ] {
            assert!(!is_checked(&lacks, &MqttBoard { connected: true, ..broker() }));
        }
        let no_names = Network { names: Vec::new(), ..whole };
        assert!(!is_checked(&no_names, &MqttBoard::default()));
    }
}
