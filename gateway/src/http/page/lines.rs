//! Lines: their state, their errors by class with what to check; the search for devices, which become
//! meters in `adding`; the sheet
//! that is signed when meters are put into service.

use super::components::{ROWS, View, address, empty, pages, polls, tabs, unit};
use super::forms::{Field, Input, Reader};
use super::{Act, Outcome, Page, adding, faults};
use crate::figures::table::{Cell, Table};
use crate::http::answer::{Answered, Desk, attachment};
use crate::http::auth::Role;
use crate::http::request::Fields;
use crate::http::wire::{self, MeterView};
use crate::problem::{Code, Problem};
use crate::scans::Wanted;
use blockgate_drivers::scan::Found;
use blockgate_types::{FaultClass, LineId, Role as RegisterRole, ScanId};
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// The screens of this section.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    tabs(
        page,
        &[
            ("/meters", say.meters()),
            ("/lines", say.lines()),
            ("/scan", say.scan()),
            ("/sheet", say.sheet()),
        ],
    )
}

/// Lines with what their meters' polls came to.
pub(super) fn list(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let lines = desk.shared.board.lines().clone();
    let mut counts: BTreeMap<LineId, (u64, [u64; FaultClass::ALL.len()])> = BTreeMap::new();
    for meter in desk.shared.board.meters().values() {
        let Some(line) = &meter.line else { continue };
        let (good, faults) = counts.entry(line.clone()).or_default();
        *good = good.saturating_add(meter.good);
        for (sum, more) in faults.iter_mut().zip(meter.faults) {
            *sum = sum.saturating_add(more);
        }
    }
    Ok(page.framed(
        say.lines(),
        false,
        html! {
            div.head { h1 { (say.lines()) } }
            (section(page))
            @if lines.is_empty() { (empty(say.no_lines_yet())) }
            @for (id, line) in &lines {
                @let (good, faults) = counts.get(id).copied().unwrap_or_default();
                section.card {
                    header {
                        h2 { (id) }
                        @if line.open { span.pill.good { (say.line_open()) } } @else { span.pill.bad { (say.line_closed()) } }
                    }
                    p { span.mono { (line.what) } " · " (say.busy()) " " (line.busy_permille / 10) "." (line.busy_permille % 10) " % · "
                        a href={ "/meters?line=" (id) } { (say.meters()) } }
                    @if let Some(trouble) = &line.trouble { div.note.late { strong { (say.line_trouble()) } p.small { (say.line_trouble_why()) } p.small { (faults::told(say, trouble)) } } }
                    (polls(view, good, faults))
                }
            }
        },
    ))
}

/// Whether the person puts meters into service.
pub(super) fn installs(page: &Page<'_>) -> bool {
    !page.locked && page.role.is_some_and(Role::may_scan)
}

/// The search for devices: where, and what was found until now.
pub(super) fn scan(desk: &Desk, page: &Page<'_>) -> Answered {
    let say = page.view.say;
    let all = desk.shared.scans.json();
    let scans: Vec<Value> = all["scans"].as_array().cloned().unwrap_or_default();
    let mut places = vec![(String::new(), say.scan_elsewhere().to_owned())];
    places
        .extend(desk.shared.board.lines().keys().map(|line| (line.to_string(), line.to_string())));
    places.rotate_left(1);
    let protocols = [
        (String::new(), say.all().to_owned()),
        ("modbus".to_owned(), "Modbus".to_owned()),
        ("dlt645".to_owned(), "DL/T 645".to_owned()),
        ("cjt188".to_owned(), "CJ/T 188".to_owned()),
        ("mbus".to_owned(), "M-Bus".to_owned()),
    ];
    Ok(page.framed(
        say.scan(),
        false,
        html! {
            div.head { h1 { (say.scan()) } }
            (section(page))
            p.mute { (say.scan_why()) }
            @if installs(page) {
                section.card {
                    (page.form("/scan/begin", || html! {
                        div.columns {
                            (page.field(&Field::new("line", say.line(), Input::Choice(&places)).optional()))
                            (page.field(&Field::new("place", say.scan_place(), Input::Code).optional().hint(say.scan_place_hint())))
                            (page.field(&Field::new("protocol", say.protocol(), Input::Choice(&protocols)).optional()))
                            (page.field(&Field::new("units", say.scan_units(), Input::Code).optional().hint(say.scan_units_hint())))
                        }
                        button.button type="submit" { (say.scan_begin()) }
                    }))
                }
            }
            section.card {
                header { h2 { (say.scans_before()) } }
                @if scans.is_empty() { (empty(say.no_scans())) } @else {
                    table.stack {
                        thead { tr { th { (say.scan()) } th { (say.state()) } th { (say.line()) } th.num { (say.found()) } } }
                        tbody {
                            @for scan in &scans {
                                @let id = scan["id"].as_str().unwrap_or_default();
                                tr {
                                    td.lead { a href={ "/scan/" (id) } { (id) } }
                                    td data-name=(say.state()) { (say.scan_state(scan["state"].as_str().unwrap_or_default())) }
                                    td data-name=(say.line()) { (scan["target"].as_str().unwrap_or_default()) }
                                    td.num data-name=(say.found()) { (scan["found"].as_array().map_or(0, Vec::len)) }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

/// One search: how far it is, what it found, and the config for it.
pub(super) fn one_scan(desk: &Desk, page: &Page<'_>, id: &ScanId) -> Answered {
    let say = page.view.say;
    let scan = desk.shared.scans.one(id).ok_or(Code::NotFound)?;
    let running = matches!(scan["state"].as_str(), Some("waiting" | "running"));
    let (step, steps) = (scan["step"].as_u64().unwrap_or(0), scan["steps"].as_u64().unwrap_or(0));
    let found: Vec<Value> = scan["found"].as_array().cloned().unwrap_or_default();
    let finds = desk.shared.scans.finds(id).ok_or(Code::NotFound)?;
    let new: Vec<&Found> =
        finds.found.iter().filter(|one| !finds.known.contains_key(&one.address)).collect();
    let adds = installs(page) && !running && desk.shared.upkeep.file().is_some();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    if running {
        page.refresh.store(2, Ordering::Relaxed);
    }
    Ok(page.framed(
        say.scan(),
        false,
        html! {
            div.head { h1.grow { (say.scan()) " " (id) } span.pill.good[!running] { (say.scan_state(scan["state"].as_str().unwrap_or_default())) } }
            (section(page))
            section.card {
                p { span.mono { (text(&scan["target"])) } }
                @if running {
                    progress max=(steps.max(1)) value=(step) aria-label=(say.scan_progress()) { (step) "/" (steps) }
                    p { (say.fill(say.scan_step(), &[&step.to_string(), &steps.to_string(), &scan["remaining_s"].to_string()])) }
                    @if installs(page) {
                        (page.form(&format!("/scan/{id}/cancel"), || html! { button.button.second type="submit" { (say.scan_cancel()) } }))
                    }
                }
                @for note in scan["notes"].as_array().into_iter().flatten() { p.note.late lang="en" { (text(note)) } }
            }
            section.card {
                header { h2 { (say.found()) } span.pill { (found.len()) } }
                @if found.is_empty() { (empty(if running { say.none_found_yet() } else { say.none_found() })) } @else {
                    @if adds && new.len() > 1 { (adding::all(desk, page, id, &new)) }
                    table.stack {
                        thead { tr { th { (say.address()) } th { (say.protocol()) } th { (say.serial()) } th { (say.profile()) } th { (say.meter()) } } }
                        tbody {
                            @for (nth, one) in found.iter().enumerate() {
                                tr {
                                    td.lead.mono { (text(&one["address"])) }
                                    td data-name=(say.protocol()) { (text(&one["protocol"])) }
                                    td data-name=(say.serial()) { (text(&one["serial"])) }
                                    td data-name=(say.profile()) { (text(&one["profile"])) }
                                    td.wide {
                                        @match (one["meter"].as_str(), finds.found.get(nth)) {
                                            (Some(meter), _) => a href={ "/meters/" (meter) } { (meter) },
                                            (None, Some(device)) if adds => {
                                                span.pill.late { (say.new_device()) }
                                                (adding::one(desk, page, id, (nth, device), &finds))
                                            },
                                            (None, _) => span.pill.late { (say.new_device()) },
                                        }
                                    }
                                }
                            }
                        }
                    }
                    @if installs(page) && !adds { p.note { (say.no_config_file()) } }
                }
            }
            @if !found.is_empty() {
                details.card open[!adds] {
                    summary { (say.scan_config()) }
                    p.mute { (say.scan_config_why()) }
                    pre tabindex="0" { (text(&scan["config"])) }
                }
            }
        },
    ))
}

/// Begins or cancels a search.
///
/// # Errors
/// [`Code::Forbidden`] for who may not.
pub(super) fn act(
    desk: &Desk,
    page: &Page<'_>,
    act: &Act,
    mut read: Reader<'_>,
) -> Result<Outcome, Problem> {
    let say = page.view.say;
    if !installs(page) {
        return Err(Problem::new(Code::Forbidden, "a scan is for the installer"));
    }
    if let Act::CancelScan(id) = act {
        desk.shared.scans.cancel(id).ok_or(Code::NotFound)?;
        return Ok(Outcome::Done(say.scan_cancelled().to_owned(), act.screen().path()));
    }
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let (line, place) = (read.text("line"), read.text("place"));
    let parsed: Option<LineId> = line.parse().ok();
    if line.is_empty() == place.is_empty() {
        read.fault("place", say.scan_one_place());
    }
    if !read.is_good() {
        return Ok(Outcome::Again(read.typed(false), None));
    }
    let port = place.starts_with('/').then(|| place.clone());
    let wanted = Wanted {
        line: parsed.filter(|_| !line.is_empty()),
        tcp: some(place).filter(|_| port.is_none()),
        port,
        protocols: some(read.text("protocol")).into_iter().collect(),
        bauds: Vec::new(),
        units: some(read.text("units")),
    };
    match desk.shared.scans.begin(&wanted) {
        Ok(scan) => {
            let id = scan["id"].as_str().unwrap_or_default();
            Ok(Outcome::Done(say.scan_begun().to_owned(), format!("/scan/{id}")))
        }
        Err(problem) => {
            let note = page.refused(&problem);
            Ok(Outcome::Again(read.typed(false), Some(note)))
        }
    }
}

/// The commissioning sheet: each meter with its start reading, to print and sign; a page at a time on the screen,
/// or whole for the printer.
pub(super) fn sheet(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["line", "from", "whole"])?;
    let all = of_line(desk, fields.get("line"));
    let good = all.iter().filter(|m| m.board.last.is_some()).count();
    let lines: Vec<LineId> = desk.shared.board.lines().keys().cloned().collect();
    let from = fields.parsed::<usize>("from")?.unwrap_or(0);
    let (count, whole) = (all.len(), fields.get("whole").is_some());
    let shown: &[MeterView] = if whole {
        &all
    } else {
        all.get(from..count.min(from.saturating_add(ROWS))).unwrap_or_default()
    };
    let line = fields.get("line").map(|line| ("line", line));
    let link =
        |more: (&str, &str)| address("/sheet", &line.into_iter().chain([more]).collect::<Vec<_>>());
    let file = address("/sheet.csv", &line.into_iter().collect::<Vec<_>>());
    Ok(page.framed(
        say.sheet(),
        false,
        html! {
            div.no-print { div.head { h1 { (say.sheet()) } } (section(page)) }
            form.card.no-print method="get" action="/sheet" {
                div.row {
                    label { (say.line())
                        select name="line" {
                            option value="" { (say.all()) }
                            @for line in &lines { option value=(line) selected[fields.get("line") == Some(line.as_str())] { (line) } }
                        }
                    }
                    button.button type="submit" { (say.filter()) }
                    button.button.second type="button" data-print { (say.print()) }
                    a.button.second href=(file) download { (say.as_csv()) }
                }
                @if shown.len() < count {
                    p.small.mute { (say.sheet_part()) " " a href=(link(("whole", "yes"))) { (say.fill(say.sheet_whole(), &[&count.to_string()])) } }
                }
            }
            section.sheet.card {
                h2 { (say.sheet()) " · " (page.gateway) }
                p { (view.time(view.now)) " · " (say.fill(say.sheet_count(), &[&good.to_string(), &all.len().to_string()])) }
                table.stack {
                    thead { tr {
                        th { (say.meter()) } th { (say.accounts()) } th { (say.line()) } th { (say.address()) }
                        th.num { (say.start_reading()) } th.num { (say.when()) } th { (say.photo()) } th { (say.checked()) }
                    } }
                    tbody { @for meter in shown { (sheet_row(view, meter)) } }
                }
                p.signatures { span { (say.signed_installer()) } span { (say.signed_owner()) } span { (say.day()) } }
            }
            @if !whole { (pages(say, from, count, |from| link(("from", &from.to_string())))) }
        },
    ))
}

/// The meters of a line, or of all.
fn of_line(desk: &Desk, line: Option<&str>) -> Vec<MeterView> {
    let mut all = wire::meters(&desk.shared);
    if let Some(line) = line.filter(|line| !line.is_empty()) {
        all.retain(|m| m.board.line.as_ref().is_some_and(|l| l.as_str() == line));
    }
    all
}

/// The whole sheet as CSV, for who goes on with it in a spreadsheet; its heads in the reader's language.
pub(super) fn sheet_file(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["line"])?;
    let head = [
        say.meter(),
        say.accounts(),
        say.line(),
        say.address(),
        say.profile(),
        say.start_reading(),
        say.unit_word(),
        say.when(),
        say.photo(),
        say.checked(),
    ];
    let row = |meter: &MeterView| {
        let board = &meter.board;
        let first = board.last.as_ref().and_then(|(at, values)| {
            let (spec, value) = values.iter().find(|(s, _)| s.role == RegisterRole::Billing)?;
            let value = value.map(|value| value.to_string()).unwrap_or_default();
            Some((value, unit(spec.unit), view.civil(*at)))
        });
        let (value, unit, at) = first.unwrap_or_default();
        let line = board.line.as_ref().map(ToString::to_string).unwrap_or_default();
        let cells = [
            meter.id.to_string(),
            meter.accounts.join(" "),
            line,
            board.address.to_string(),
            board.profile.clone(),
            value,
            unit.to_owned(),
            at,
            String::new(),
            String::new(),
        ];
        cells.into_iter().map(Cell::Text).collect()
    };
    let table = Table {
        name: say.sheet().to_owned(),
        head: head.map(str::to_owned).into(),
        rows: of_line(desk, fields.get("line")).iter().map(row).collect(),
    };
    Ok(attachment(table.csv(), "text/csv; charset=utf-8", "blockgate-sheet.csv"))
}

fn sheet_row(view: &View, meter: &MeterView) -> Markup {
    let say = view.say;
    let board = &meter.board;
    html! {
        tr {
            td.lead { (meter.id) }
            td data-name=(say.accounts()) { (meter.accounts.join(" ")) }
            td.line data-name=(say.line()) { @if let Some(line) = &board.line { (line) } }
            td.mono data-name=(say.address()) { (board.address) br; (board.profile) }
            td.num data-name=(say.start_reading()) {
                @match &board.last {
                    Some((_, values)) => @for (spec, value) in values.iter().filter(|(s, _)| s.role == RegisterRole::Billing).take(1) {
                        div { @match value { Some(value) => { (value) " " (unit(spec.unit)) }, None => "–" } }
                    },
                    None => span.pill.bad { (say.never_read()) },
                }
            }
            td.num data-name=(say.when()) { @if let Some((at, _)) = &board.last { (view.time(*at)) } }
            // Written by hand, on paper.
            td data-name=(say.photo()) {}
            td data-name=(say.checked()) { "☐" }
        }
    }
}

impl super::text::Say {
    /// How a search stands, by its word.
    fn scan_state(self, word: &str) -> &'static str {
        match word {
            "waiting" => self.scan_waiting(),
            "running" => self.scan_running(),
            "done" => self.scan_done(),
            _ => self.scan_was_cancelled(),
        }
    }
}
