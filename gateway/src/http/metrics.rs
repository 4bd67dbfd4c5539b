//! `/metrics` in the Prometheus text format 0.0.4: prefix `blockgate_`, base units, counters end in
//! `_total`. No meter, flat or plate is ever a label (docs/metrics.md lists every series).

use super::Shared;
use super::certificate::Certificate;
use super::wire::{self, Freshness};
use blockgate_rules::event::Severity;
use blockgate_types::{ClockState, FaultClass, LineId, Time};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP blockgate_{name} {help}\n# TYPE blockgate_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "blockgate_{name}");
        for (n, (label, text)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// Thousandths as a decimal number.
fn thousandths(n: i64) -> String {
    format!("{}.{:03}", n / 1000, n % 1000)
}

/// Seconds since the epoch.
fn seconds(at: Time) -> String {
    thousandths(at.as_millis())
}

/// The whole document.
pub(super) fn render(shared: &Shared, certificate: Option<&Certificate>) -> String {
    let mut text = Text(String::with_capacity(4096));
    let status = &shared.status;
    text.family("build_info", "gauge", "The running version.");
    text.sample("build_info", &[("version", status.version)], 1);
    text.one("start_time_seconds", "gauge", "When the process started.", seconds(status.started));
    text.one(
        "clock_synced",
        "gauge",
        "1 when the wall clock is disciplined.",
        u8::from(shared.clock.state() == ClockState::Synced),
    );
    meters(&mut text, shared);
    lines(&mut text, shared);
    store(&mut text, shared);
    cloud(&mut text, shared, certificate);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let tasks = runtime.metrics().num_alive_tasks();
        text.one("tasks", "gauge", "Tasks of the page, the cloud and the doors.", tasks);
    }
    text.family("alarms", "gauge", "Open alarms by severity.");
    for (severity, word) in
        [(Severity::Info, "info"), (Severity::Warning, "warning"), (Severity::Critical, "critical")]
    {
        let open = shared.board.alarms().values().filter(|a| a.severity == severity).count();
        text.sample("alarms", &[("severity", word)], open);
    }
    budget(&mut text, shared);
    text.0
}

/// What the anomaly rules raised in the newest month.
fn budget(text: &mut Text, shared: &Shared) {
    let report = shared.board.budget().clone();
    let month = report.months.last();
    let count = month.map(|month| month.count).unwrap_or_default();
    text.family(
        "alarms_month",
        "gauge",
        "Alarms of the anomaly rules in the newest month with one.",
    );
    for (told, count) in [
        ("raised", count.raised),
        ("muted", count.muted),
        ("true", count.told_true),
        ("false", count.told_false),
        ("known", count.known),
    ] {
        text.sample("alarms_month", &[("told", told)], count);
    }
    text.one(
        "alarms_month_per_100_households",
        "gauge",
        "Alarms of the anomaly rules in that month per 100 households.",
        month.map_or("0", |month| month.per_100_households.as_str()),
    );
    text.one("alarm_households", "gauge", "Households that this is per 100 of.", report.households);
    if let Some(most) = report.per_100_households_max {
        text.one("alarm_budget", "gauge", "The most per 100 households and month.", most);
    }
}

fn meters(text: &mut Text, shared: &Shared) {
    let views = wire::meters(shared);
    let last = shared.board.alignment().last;
    if last.meters > 0 {
        let spread = thousandths(last.spread.as_millis());
        let what = "From the last quarter-hour's edge to the last reading for it, over all lines.";
        text.one("alignment_seconds", "gauge", what, spread);
    }
    text.family("meters", "gauge", "Meters by the freshness of their values.");
    for freshness in [Freshness::Good, Freshness::Late, Freshness::Silent] {
        let count = views.iter().filter(|v| v.freshness == freshness).count();
        text.sample("meters", &[("freshness", freshness.text())], count);
    }
    let held: usize = views.iter().map(|v| v.held().len()).sum();
    text.one("registers_held", "gauge", "Registers that wait for a person's decision.", held);

    let mut reads: BTreeMap<&LineId, [u64; 1 + FaultClass::ALL.len()]> = BTreeMap::new();
    for board in views.iter().map(|v| &v.board) {
        let Some(line) = &board.line else { continue };
        let counts = reads.entry(line).or_default();
        counts[0] += board.good;
        for (sum, count) in counts.iter_mut().skip(1).zip(board.faults) {
            *sum += count;
        }
    }
    text.family("meter_reads_total", "counter", "Polls of meters by line and result.");
    for (line, counts) in reads {
        let classes = FaultClass::ALL.iter().map(|c| c.text());
        for (result, count) in std::iter::once("ok").chain(classes).zip(counts) {
            text.sample("meter_reads_total", &[("line", line.as_str()), ("result", result)], count);
        }
    }
}

fn lines(text: &mut Text, shared: &Shared) {
    let lines = shared.board.lines().clone();
    text.family("line_open", "gauge", "1 when the line's port or connection is open.");
    for (id, line) in &lines {
        text.sample("line_open", &[("line", id.as_str())], u8::from(line.open));
    }
    text.family("line_busy_ratio", "gauge", "Share of time in which the wire was used.");
    for (id, line) in &lines {
        let busy = thousandths(i64::from(line.busy_permille));
        text.sample("line_busy_ratio", &[("line", id.as_str())], busy);
    }
    text.family("meter_read_duration_seconds", "histogram", "How long polls of a meter took.");
    for (id, line) in &lines {
        let name = "meter_read_duration_seconds";
        let (count, sum_us) = line.polls.totals();
        for (ms, upto) in line.polls.up_to() {
            let le = thousandths(i64::from(ms));
            text.sample(&format!("{name}_bucket"), &[("line", id.as_str()), ("le", &le)], upto);
        }
        text.sample(&format!("{name}_bucket"), &[("line", id.as_str()), ("le", "+Inf")], count);
        let sum = format!("{}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000);
        text.sample(&format!("{name}_sum"), &[("line", id.as_str())], sum);
        text.sample(&format!("{name}_count"), &[("line", id.as_str())], count);
    }
}

fn store(text: &mut Text, shared: &Shared) {
    let records = shared.board.counts.records.get();
    text.one("journal_records_total", "counter", "Records made durable.", records);
    let bills = shared.board.counts.bills.get();
    text.one("bills_total", "counter", "Bills made durable since the start.", bills);
    let disk = *shared.board.disk();
    if let Some(disk) = disk {
        text.one("store_free_bytes", "gauge", "Free on the state folder's disk.", disk.free);
        text.one("store_size_bytes", "gauge", "Size of the state folder's disk.", disk.total);
    }
}

fn cloud(text: &mut Text, shared: &Shared, certificate: Option<&Certificate>) {
    let mqtt = shared.board.mqtt().clone();
    let outbox = *shared.board.outbox();
    let age =
        outbox.oldest.and_then(|at| shared.clock.now().since(at)).map_or(0, |a| a.as_millis());
    text.one("outbox_messages", "gauge", "Events without a receipt.", outbox.waiting);
    text.one("outbox_bills", "gauge", "Of these, bills.", outbox.bills);
    text.one("outbox_oldest_age_seconds", "gauge", "Age of the oldest of them.", thousandths(age));
    text.one("outbox_dead_letters", "gauge", "Events that the cloud refused.", outbox.dead);
    text.one(
        "mqtt_connected",
        "gauge",
        "1 when the broker has accepted us.",
        u8::from(mqtt.connected),
    );
    text.one(
        "mqtt_reconnects_total",
        "counter",
        "Connections to the broker after the first.",
        mqtt.connects.saturating_sub(1),
    );
    text.one(
        "mqtt_published_total",
        "counter",
        "Messages acknowledged by the broker.",
        mqtt.published,
    );
    text.family("tls_cert_expiry_timestamp_seconds", "gauge", "Until when a certificate is good.");
    let page = certificate.map(|c| ("page".to_owned(), c.not_after()));
    for (name, until) in mqtt.certificates.into_iter().chain(page) {
        text.sample("tls_cert_expiry_timestamp_seconds", &[("certificate", &name)], seconds(until));
    }
}
