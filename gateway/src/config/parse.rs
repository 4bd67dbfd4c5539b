//! From texts to a [`Config`]. Each section is one function; each notes all its faults and goes on.

use super::{
    ClockTrust, Config, FileFault, HttpConfig, Identity, MeterConfig, MqttConfig, MqttVersion,
    Text, money,
};
use crate::mapper::{MapperConfig, MapperKind};
use crate::mqtt::authority::{Authority, Rule, unhex};
use blockgate_drivers::line::{Framing, LineSettings};
use blockgate_drivers::profile::Profile;
use blockgate_drivers::transport::{Parity, Target};
use blockgate_drivers::{Address, Protocol};
use blockgate_rules::apportionment::Apportionment;
use blockgate_rules::input::Order;
use blockgate_rules::parking::ParkingTariff;
use blockgate_rules::setup::{
    AccountSetup, BillingRegister, Charge, MeterSetup, RefundLimits, Setup, SubMeter,
};
use blockgate_rules::tariff::{
    BasePrice, Pricing, RuleError, RuleFile, Tariff, TariffFile, bind, check_apportionments,
    check_late_fees,
};
use blockgate_types::strict::{Document, Fault, Table, nearest};
use blockgate_types::{
    AccountId, Control, Decimal, ItemId, LineId, MeterId, RegisterName, Role, Span, TariffId, Unit,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `[meter_defaults]` may say for every meter; a meter's own key goes before it.
#[derive(Default)]
struct MeterDefaults {
    poll_every: Option<Span>,
    record_every: Option<Span>,
    stuck_after: Option<Span>,
    offline_after: Option<Span>,
    max_per_hour: Option<Decimal>,
    authority_file: Option<PathBuf>,
}

pub(super) fn parse(
    main: &Text,
    added: &[Text],
    rule_texts: &[Text],
    profiles: &[Text],
    folder: &Path,
) -> Result<Config, Vec<FileFault>> {
    let mut faults = Vec::new();
    let profiles_by_id = own_profiles(profiles, &mut faults);
    let rules = tariff_rules(rule_texts, &mut faults);
    let tariffs = rules.rules.iter().map(|rule| (rule.id.clone(), rule.tariff.clone())).collect();
    let shared = rules.apportionments.iter().map(|entry| (entry.id.clone(), entry.rule.clone()));
    let parking = rules.parking.iter().cloned().collect();
    let tariffs = Rules { tariffs, apportionments: shared.collect(), parking };
    let anomalies = super::anomalies::read(rule_texts, &mut faults);
    let document = Document::parse(&main.text);
    let added_documents: Vec<Document<'_>> =
        added.iter().map(|text| Document::parse(&text.text)).collect();
    let mut config = read(&document, &added_documents, &profiles_by_id, tariffs, folder);
    if let Some(config) = &mut config {
        config.setup.anomalies = anomalies;
        super::anomalies::check(&config.setup, rule_texts, &mut faults);
        let accounts = &mut config.setup.accounts;
        let bound = bind(&rules.rules, accounts);
        let shared = check_apportionments(&rules.apportionments, accounts);
        let late = check_late_fees(&rules.rules, &config.setup);
        let errors = bound.err().into_iter().chain(shared.err()).chain(late.err()).flatten();
        faults.extend(errors.map(rule_fault));
    }
    let documents = std::iter::once(&document).chain(&added_documents);
    for (text, document) in std::iter::once(main).chain(added).zip(documents) {
        let of = |fault| FileFault { file: text.name.clone(), fault };
        faults.extend(document.faults().into_iter().map(of));
    }
    match config {
        Some(mut config) if faults.is_empty() => {
            let all = std::iter::once(main).chain(added).chain(rule_texts).chain(profiles);
            config.hash = hash(all);
            Ok(config)
        }
        Some(_) | None => Err(faults),
    }
}

fn hash<'t>(texts: impl Iterator<Item = &'t Text>) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for text in texts {
        context.update(&(text.text.len() as u64).to_be_bytes());
        context.update(text.text.as_bytes());
    }
    context.finish().as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The built-in profiles and those of `profiles.d`; one of one's own replaces a built-in one.
fn own_profiles(texts: &[Text], faults: &mut Vec<FileFault>) -> BTreeMap<String, Arc<Profile>> {
    let mut profiles: BTreeMap<String, Arc<Profile>> =
        Profile::shipped().map(|p| (p.id.clone(), p.clone())).collect();
    for text in texts {
        match Profile::parse(&text.text, &text.name) {
            Ok(profile) => {
                profiles.insert(profile.id.clone(), Arc::new(profile));
            }
            Err(errors) => faults.extend(errors.errors.into_iter().map(|error| {
                let fault =
                    Fault { line: error.line, column: error.column, message: error.message };
                FileFault { file: text.name.clone(), fault }
            })),
        }
    }
    profiles
}

/// What the rule files say, by id.
struct Rules {
    tariffs: BTreeMap<TariffId, Tariff>,
    apportionments: BTreeMap<TariffId, Apportionment>,
    parking: BTreeMap<TariffId, ParkingTariff>,
}

fn tariff_rules(texts: &[Text], faults: &mut Vec<FileFault>) -> RuleFile {
    let mut all = RuleFile::default();
    for text in texts {
        match TariffFile::read(&text.text, &text.name) {
            Ok(file) => {
                for entry in file.apportionments {
                    let known = all.apportionments.iter().find(|known| known.id == entry.id);
                    if let Some(known) = known {
                        let (id, other) = (&entry.id, &known.file);
                        let message = format!("apportionment {id} stands in {other} already");
                        let (line, column) = entry.place;
                        let fault = Fault { line, column, message };
                        faults.push(FileFault { file: text.name.clone(), fault });
                    }
                    all.apportionments.push(entry);
                }
                for (id, tariff) in file.parking {
                    if all.parking.iter().any(|(known, _)| *known == id) {
                        let message = format!("parking tariff {id} stands in another file already");
                        let fault = Fault { line: 1, column: 1, message };
                        faults.push(FileFault { file: text.name.clone(), fault });
                    }
                    all.parking.push((id, tariff));
                }
                for rule in file.rules {
                    if let Some(known) = all.rules.iter().find(|known| known.id == rule.id) {
                        let message =
                            format!("tariff {} stands in {} already", rule.id, known.file);
                        let (line, column) = rule.place;
                        let fault = Fault { line, column, message };
                        faults.push(FileFault { file: text.name.clone(), fault });
                    }
                    all.rules.push(rule);
                }
            }
            Err(errors) => faults.extend(errors.into_iter().map(rule_fault)),
        }
    }
    all
}

fn rule_fault(error: RuleError) -> FileFault {
    let fault = Fault { line: error.line, column: error.column, message: error.message };
    FileFault { file: error.file, fault }
}

fn read(
    document: &Document<'_>,
    added: &[Document<'_>],
    profiles: &BTreeMap<String, Arc<Profile>>,
    rules: Rules,
    folder: &Path,
) -> Option<Config> {
    let root = document.root();
    let path = |text: &str| folder.join(text);

    root.need("gateway");
    let gateway = root.table("gateway");
    let mut head = None;
    if let Some(table) = &gateway {
        let gateway: Option<MeterId> = table.need_parsed("id");
        let tenant: Option<MeterId> = table.need_parsed("tenant");
        let zone = table.need_text("zone");
        if let Some(zone) = zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            table.note_at("zone", format!("{zone:?} is not a time zone like \"Asia/Shanghai\""));
        }
        let state_dir = table.text("state_dir").unwrap_or("/var/lib/blockgate");
        let state_dir = path(state_dir);
        if let (Some(gateway), Some(tenant), Some(zone)) = (gateway, tenant, zone) {
            let identity = Identity { tenant: tenant.to_string(), gateway: gateway.to_string() };
            head = Some((identity, zone.to_owned(), state_dir));
        }
        table.done();
    }

    let mut commit_interval = Span::from_millis(200);
    if let Some(store) = root.table("store") {
        commit_interval = store.parsed("commit_interval").unwrap_or(commit_interval);
        if !(10..=10_000).contains(&commit_interval.as_millis()) {
            store.note_at("commit_interval", "commit_interval must be from 10ms to 10s");
        }
        store.done();
    }
    let mut clock = ClockTrust::Kernel;
    if let Some(table) = root.table("clock") {
        let words = [("kernel", ClockTrust::Kernel), ("always", ClockTrust::Always)];
        clock = table.word("trust", &words).unwrap_or(clock);
        table.done();
    }
    // No default: it decides what a late reading does to a bill.
    root.need("billing");
    let mut close_grace = None;
    let mut refund_alone_max = None;
    let mut refund_limits = RefundLimits::default();
    let mut align_within = Span::from_mins(2);
    if let Some(table) = root.table("billing") {
        close_grace = table.need_parsed("close_grace");
        align_within = bounded(&table, "align_within", align_within, 1_000, 900_000);
        refund_alone_max = money::at_most(&table, "refund_alone_max");
        refund_limits = RefundLimits {
            clerk_day_max_fen: money::at_most(&table, "refund_clerk_day_max"),
            day_max_fen: money::at_most(&table, "refund_day_max"),
            decide_days: table
                .integer("refund_decide_days", 1..=366)
                .and_then(|days| u32::try_from(days).ok()),
        };
        table.done();
    }
    let dunning = root.table("dunning").and_then(|table| money::dunning(&table));
    let gateway_id = head.as_ref().map_or("", |(identity, _, _)| identity.gateway.as_str());
    let mqtt = root.table("mqtt").and_then(|table| mqtt(&table, gateway_id, &path));
    let mappers = mappers(&root, gateway_id, &path);
    let http = root.table("http").and_then(|table| http(&table, &path));
    // Lines and meters stand in the main file and in those of `meters.d`; nothing else stands there.
    let more: Vec<Table<'_>> = added.iter().map(Document::root).collect();
    let roots: Vec<&Table<'_>> = std::iter::once(&root).chain(&more).collect();
    let lines = lines(&roots);
    let defaults = root.table("meter_defaults").map(|t| meter_defaults(&t, &path));
    let defaults = defaults.unwrap_or_default();
    let (meters, meter_setups) = meters(&roots, &lines, profiles, &defaults, &path);
    more.iter().for_each(Table::done);
    let accounts = accounts(&root, &meter_setups, &rules);
    let parking = super::parking::parking(&root, &rules.parking, &accounts);
    let lanes_at = super::lanes::read(&root, &path);
    let with_camera = lanes_at.cameras.values().map(|camera| camera.lane.clone()).collect();
    let (access, doors_at) = super::doors::read(&root, &accounts, &with_camera, &path);
    root.done();

    let (identity, zone, state_dir) = head?;
    let close_grace = close_grace?;
    if (root.has("mqtt") && mqtt.is_none()) || (root.has("http") && http.is_none()) {
        return None;
    }
    let Rules { tariffs, apportionments, parking: _ } = rules;
    // Where nothing is said, each refund needs a second person.
    let refund_alone_max_fen = refund_alone_max.unwrap_or_default();
    let setup = Setup {
        zone,
        close_grace,
        refund_alone_max_fen,
        refund_limits,
        dunning,
        meters: meter_setups,
        accounts,
        tariffs,
        apportionments,
        parking: parking.map(Arc::new),
        access: access.map(Arc::new),
        ..Setup::default()
    };
    Some(Config {
        identity,
        state_dir,
        commit_interval,
        clock,
        align_within,
        mqtt,
        mappers,
        http,
        lines,
        meters,
        lanes_at,
        doors_at,
        setup,
        profiles: profiles.clone(),
        max_per_hour: defaults.max_per_hour,
        hash: String::new(),
    })
}

const MQTT_VERSIONS: [(&str, MqttVersion); 3] =
    [("auto", MqttVersion::Auto), ("5", MqttVersion::Five), ("3.1.1", MqttVersion::Three)];

fn mqtt(table: &Table<'_>, gateway: &str, path: &dyn Fn(&str) -> PathBuf) -> Option<MqttConfig> {
    mqtt_of(table, gateway, path, true)
}

/// A broker; `with_done` where nothing else stands in the section.
fn mqtt_of(
    table: &Table<'_>,
    gateway: &str,
    path: &dyn Fn(&str) -> PathBuf,
    with_done: bool,
) -> Option<MqttConfig> {
    let host = table.need_text("host");
    let port = table.integer("port", 1..=65_535).unwrap_or(8883);
    let cert = table.text("cert").map(path);
    let key = table.text("key").map(path);
    if cert.is_some() != key.is_some() {
        table.note("cert and key belong together: give both or none");
    }
    let username = table.text("username").map(str::to_owned);
    let password_file = table.text("password_file").map(path);
    if password_file.is_some() && username.is_none() {
        table.note_at("password_file", "a password needs a username");
    }
    let default_id = format!("blockgate-{gateway}");
    let config = MqttConfig {
        host: host.unwrap_or_default().to_owned(),
        port: u16::try_from(port).unwrap_or(8883),
        ca: table.text("ca").map(path),
        cert,
        key,
        username,
        password_file,
        client_id: table.text("client_id").map_or(default_id, str::to_owned),
        keep_alive: bounded(table, "keep_alive", Span::from_secs(30), 5_000, 1_200_000),
        receipt_timeout: bounded(table, "receipt_timeout", Span::from_secs(60), 1000, 86_400_000),
        telemetry_every: bounded(table, "telemetry_every", Span::from_secs(10), 0, 86_400_000),
        version: table.word("version", &MQTT_VERSIONS).unwrap_or(MqttVersion::Auto),
        reconnect_spread: bounded(table, "reconnect_spread", Span::ZERO, 0, 600_000),
        backfill_per_second: table
            .integer("backfill_per_second", 0..=100_000)
            .and_then(|rate| u32::try_from(rate).ok())
            .unwrap_or(500),
        pins: pins(table),
        authority: Authority(table.tables("allow").iter().filter_map(allow).collect()),
    };
    if with_done {
        table.done();
    }
    host.map(|_| config)
}

/// `[mapper.…]`: other clouds beside the native contract.
fn mappers(root: &Table<'_>, gateway: &str, path: &dyn Fn(&str) -> PathBuf) -> Vec<MapperConfig> {
    let Some(all) = root.table("mapper") else { return Vec::new() };
    let mut found = Vec::new();
    for name in ["aliyun", "sparkplug", "homeassistant"] {
        let Some(table) = all.table(name) else { continue };
        let kind = match name {
            "aliyun" => {
                let text = |key| table.need_text(key).unwrap_or_default().to_owned();
                MapperKind::Aliyun {
                    product_key: text("product_key"),
                    device_name: text("device_name"),
                    device_secret_file: path(table.need_text("device_secret_file").unwrap_or("")),
                    meter_product_key: text("meter_product_key"),
                }
            }
            "sparkplug" => {
                MapperKind::Sparkplug { group: table.need_text("group").unwrap_or("").to_owned() }
            }
            _ => {
                let prefix = table.text("prefix").unwrap_or("homeassistant");
                MapperKind::HomeAssistant { prefix: prefix.to_owned() }
            }
        };
        let words = match &kind {
            MapperKind::Aliyun { product_key, device_name, meter_product_key, .. } => {
                vec![product_key, device_name, meter_product_key]
            }
            MapperKind::Sparkplug { group } => vec![group],
            MapperKind::HomeAssistant { prefix } => vec![prefix],
        };
        if words.iter().any(|word| word.contains(['/', '+', '#', '\0'])) {
            table.note("what stands in a topic cannot hold / + or #");
        }
        let mqtt = mqtt_of(&table, &format!("{gateway}-{name}"), path, false);
        table.done();
        found.extend(mqtt.map(|mqtt| MapperConfig { mqtt, kind }));
    }
    all.done();
    found
}

/// `pins`: SHA-256 of public keys.
fn pins(table: &Table<'_>) -> Vec<[u8; 32]> {
    let texts = table.texts("pins");
    let pins = texts.iter().filter_map(|text| {
        let pin = unhex(text).and_then(|bytes| bytes.try_into().ok());
        if pin.is_none() {
            table.note_at("pins", "a pin is a SHA-256 in 64 hexadecimal digits");
        }
        pin
    });
    pins.collect()
}

/// One `[[mqtt.allow]]`.
fn allow(table: &Table<'_>) -> Option<Rule> {
    let actor = table.need_text("actor");
    table.need("commands");
    let commands: Vec<String> = table.texts("commands").into_iter().map(str::to_owned).collect();
    let known = Order::NAMES;
    for name in commands.iter().filter(|name| *name != "*" && !known.contains(&name.as_str())) {
        let near = nearest(name, &known).map(|n| format!("; is {n:?} meant?")).unwrap_or_default();
        table.note_at("commands", format!("there is no command {name:?}{near}"));
    }
    let key = table.text("key").and_then(|text| {
        let key = unhex(text).and_then(|bytes| bytes.try_into().ok());
        if key.is_none() {
            table.note_at("key", "key must be an Ed25519 public key in 64 hexadecimal digits");
        }
        key
    });
    table.done();
    actor.map(|actor| Rule { actor: actor.to_owned(), commands, key })
}

/// A span with a default and bounds in milliseconds.
pub(super) fn bounded(
    table: &Table<'_>,
    key: &'static str,
    default: Span,
    min: i64,
    max: i64,
) -> Span {
    let span: Span = table.parsed(key).unwrap_or(default);
    if !(min..=max).contains(&span.as_millis()) {
        let (min, max) = (Span::from_millis(min), Span::from_millis(max));
        table.note_at(key, format!("{key} must be from {min} to {max}, not {span}"));
    }
    span
}

/// A form takes a few seconds to fill in.
const LOCK_AFTER_MIN: Span = Span::from_secs(5);
/// A session ends after an hour.
const LOCK_AFTER_MAX: Span = Span::from_mins(60);

fn http(table: &Table<'_>, path: &dyn Fn(&str) -> PathBuf) -> Option<HttpConfig> {
    let listen = table.need_text("listen").and_then(|text| {
        let listen = text.parse().ok();
        if listen.is_none() {
            let example = "an address with a port, like \"127.0.0.1:8080\"";
            table.note_at("listen", format!("listen must be {example}, not {text:?}"));
        }
        listen
    });
    let cert = table.text("cert").map(path);
    let key = table.text("key").map(path);
    if cert.is_some() != key.is_some() {
        table.note("cert and key belong together: give both or none");
    }
    let hosts = table.texts("hosts").into_iter().map(str::to_owned).collect();
    let lock_after = table.parsed("lock_after").unwrap_or(HttpConfig::LOCK_AFTER);
    if !(LOCK_AFTER_MIN..=LOCK_AFTER_MAX).contains(&lock_after) {
        let text = format!(
            "lock_after must be from {LOCK_AFTER_MIN} to {LOCK_AFTER_MAX}, not {lock_after}"
        );
        table.note_at("lock_after", text);
    }
    table.done();
    Some(HttpConfig { listen: listen?, cert, key, hosts, lock_after })
}

fn lines(roots: &[&Table<'_>]) -> BTreeMap<LineId, LineSettings> {
    let mut lines = BTreeMap::new();
    let mut wires: BTreeMap<String, LineId> = BTreeMap::new();
    for table in roots.iter().flat_map(|root| root.tables("line")) {
        let id: Option<LineId> = table.need_parsed("id");
        let settings = line(&table);
        table.done();
        // Modbus TCP has connections, and as many masters as like.
        if let (Some(id), Some(settings)) = (&id, &settings)
            && settings.framing == Framing::Rtu
        {
            let (key, wire) = match &settings.target {
                Target::Serial { path, .. } => ("path", path.clone()),
                Target::Tcp { host, port } => ("host", format!("{host}:{port}")),
            };
            if let Some(other) = wires.get(&wire) {
                let what = format!("line {other} uses {wire} already: one wire has one master");
                table.note_at(key, what);
            } else {
                wires.insert(wire, id.clone());
            }
        }
        if let (Some(id), Some(settings)) = (id, settings)
            && lines.insert(id.clone(), settings).is_some()
        {
            table.note_at("id", format!("line {id} stands here twice"));
        }
    }
    lines
}

/// Every key that some kind of line has.
const LINE_KEYS: [&str; 12] = [
    "path",
    "baud",
    "data_bits",
    "parity",
    "stop_bits",
    "host",
    "port",
    "gap",
    "reply_timeout",
    "late_reply",
    "connect_timeout",
    "pipeline",
];

#[derive(Clone, Copy)]
enum Kind {
    Serial,
    RtuOverTcp,
    Tcp,
}

fn line(table: &Table<'_>) -> Option<LineSettings> {
    table.need("kind");
    let words = [("serial", Kind::Serial), ("rtu-over-tcp", Kind::RtuOverTcp), ("tcp", Kind::Tcp)];
    let Some(kind) = table.word("kind", &words) else {
        // Which keys belong here is not known now, so none of them is called unknown.
        for key in LINE_KEYS {
            let _ = table.has(key);
        }
        return None;
    };
    let mut settings = match kind {
        Kind::Serial => {
            let path = table.need_text("path");
            let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
            let whole = |key, range, default| table.integer(key, range).unwrap_or(default);
            let target = Target::Serial {
                path: path?.to_owned(),
                baud: u32::try_from(whole("baud", 300..=4_000_000, 9600)).unwrap_or(9600),
                data_bits: u8::try_from(whole("data_bits", 5..=8, 8)).unwrap_or(8),
                parity: table.word("parity", &parities).unwrap_or(Parity::None),
                stop_bits: u8::try_from(whole("stop_bits", 1..=2, 1)).unwrap_or(1),
            };
            LineSettings::new(target, Framing::Rtu)
        }
        Kind::RtuOverTcp | Kind::Tcp => {
            let host = table.need_text("host");
            let port = table.integer("port", 1..=65_535).unwrap_or(502);
            let framing = if matches!(kind, Kind::Tcp) { Framing::Tcp } else { Framing::Rtu };
            LineSettings::tcp(host?, u16::try_from(port).unwrap_or(502), framing)
        }
    };
    let span = |key, default: std::time::Duration, min, max| {
        let default = Span::from_millis(i64::try_from(default.as_millis()).unwrap_or(0));
        bounded(table, key, default, min, max).into()
    };
    if table.has("gap") {
        settings.gap = span("gap", settings.gap, 0, 1000);
    }
    settings.reply_timeout = span("reply_timeout", settings.reply_timeout, 20, 60_000);
    settings.late_reply_max = span("late_reply", settings.late_reply_max, 0, 60_000);
    settings.connect_timeout = span("connect_timeout", settings.connect_timeout, 100, 60_000);
    settings.pipeline = table.flag("pipeline").unwrap_or(false);
    Some(settings)
}

fn meter_defaults(table: &Table<'_>, path: &dyn Fn(&str) -> PathBuf) -> MeterDefaults {
    let defaults = MeterDefaults {
        poll_every: table.parsed("poll_every"),
        record_every: table.parsed("record_every"),
        stuck_after: table.parsed("stuck_after"),
        offline_after: table.parsed("offline_after"),
        max_per_hour: table.decimal("max_per_hour"),
        authority_file: table.text("authority_file").map(path),
    };
    table.done();
    defaults
}

type Meters = (BTreeMap<MeterId, MeterConfig>, BTreeMap<MeterId, MeterSetup>);

fn meters(
    roots: &[&Table<'_>],
    lines: &BTreeMap<LineId, LineSettings>,
    profiles: &BTreeMap<String, Arc<Profile>>,
    defaults: &MeterDefaults,
    path: &dyn Fn(&str) -> PathBuf,
) -> Meters {
    let (mut configs, mut setups) = (BTreeMap::new(), BTreeMap::new());
    let mut addresses: BTreeMap<(LineId, Address), MeterId> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for table in roots.iter().flat_map(|root| root.tables("meter")) {
        let id: Option<MeterId> = table.need_parsed("id");
        let parts = meter(&table, lines, profiles, &mut missing, (defaults, path));
        table.done();
        let (Some(id), Some((config, setup))) = (id, parts) else { continue };
        let place = (config.line.clone(), config.address);
        if let Some(other) = addresses.insert(place, id.clone()) {
            let (line, address) = (&config.line, config.address);
            table.note(format!("meter {other} has address {address} on line {line} already"));
        }
        if configs.insert(id.clone(), config).is_some() {
            table.note_at("id", format!("meter {id} stands here twice"));
        }
        setups.insert(id, setup);
    }
    (configs, setups)
}

fn meter(
    table: &Table<'_>,
    lines: &BTreeMap<LineId, LineSettings>,
    profiles: &BTreeMap<String, Arc<Profile>>,
    missing: &mut BTreeSet<String>,
    (defaults, path): (&MeterDefaults, &dyn Fn(&str) -> PathBuf),
) -> Option<(MeterConfig, MeterSetup)> {
    let line: Option<LineId> = table.need_parsed("line");
    if let Some(line) = &line
        && !lines.contains_key(line)
    {
        let known: Vec<&str> = lines.keys().map(LineId::as_str).collect();
        table.note_at("line", unknown("line", line.as_str(), &known));
    }
    let profile = table.need_text("profile").and_then(|id| {
        let profile = profiles.get(id);
        // One missing profile is one fault, however many meters name it.
        if profile.is_none() && missing.insert(id.to_owned()) {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            table.note_at("profile", unknown("profile", id, &known));
        }
        profile
    });
    let settings = line.as_ref().and_then(|line| lines.get(line));
    let address = address(table, profile.map(|p| p.as_ref()), settings);
    let multiplier = table.decimal("multiplier").unwrap_or(Decimal::ONE);
    if multiplier <= Decimal::ZERO {
        table.note_at("multiplier", "multiplier must be greater than zero");
    }
    let max_per_hour = table.decimal("max_per_hour").or(defaults.max_per_hour);
    if max_per_hour.is_none() && !table.has("max_per_hour") {
        table.note(
            "max_per_hour is missing, here or in [meter_defaults]: the most that can pass in an \
             hour (100 A on one phase: \"27.6\" kWh)",
        );
    }
    let span =
        |key, default: Option<Span>, fallback| table.parsed(key).or(default).unwrap_or(fallback);
    let poll_every = span("poll_every", defaults.poll_every, Span::from_secs(60));
    let record_every = span("record_every", defaults.record_every, Span::from_mins(15));
    let offline_after = span("offline_after", defaults.offline_after, Span::from_mins(30));
    let stuck_after = table.parsed("stuck_after").or(defaults.stuck_after);
    let own = table.text("authority_file").map(path);
    let authority_file = own.or_else(|| defaults.authority_file.clone());
    let controls = controls(table, profile.map(|p| p.as_ref()), authority_file.is_some());
    let (line, address, profile) = (line?, address?, profile?);
    let mut registers = billing_registers(profile, max_per_hour?);
    let record = table.texts("record");
    for name in &record {
        if !registers.iter().any(|register| register.name.as_str() == *name) {
            let known: Vec<&str> = registers.iter().map(|r| r.name.as_str()).collect();
            table.note_at("record", unknown("billing register", name, &known));
        }
    }
    if !record.is_empty() {
        registers.retain(|register| record.contains(&register.name.as_str()));
    }
    if registers.is_empty() {
        let id = &profile.id;
        table.note_at("profile", format!("profile {id} has no register with role \"billing\""));
    }
    let config = MeterConfig {
        line,
        address,
        profile: profile.clone(),
        poll_every,
        record_every,
        authority_file,
        controls: controls.clone(),
    };
    let setup = MeterSetup {
        profile: profile.id.clone(),
        registers,
        multiplier,
        record_every,
        stuck_after,
        offline_after,
        controls,
    };
    Some((config, setup))
}

/// What the meter may be told: only what stands here, and what its profile's protocol knows.
fn controls(
    table: &Table<'_>,
    profile: Option<&Profile>,
    has_authority: bool,
) -> BTreeSet<Control> {
    let mut found = BTreeSet::new();
    for word in table.texts("controls") {
        let Some(control) = Control::ALL.into_iter().find(|control| control.text() == word) else {
            let known = Control::ALL.map(Control::text);
            table.note_at("controls", unknown("control", word, &known));
            continue;
        };
        if let Some(profile) = profile
            && !blockgate_drivers::act::controls(profile).contains(&control)
        {
            let (id, protocol) = (&profile.id, profile.protocol());
            let what = format!("a meter of profile {id} ({protocol}) has no {word} to be told");
            table.note_at("controls", what);
        }
        if control == Control::Relay && !has_authority {
            let what = "a relay needs an authority_file, here or in [meter_defaults]";
            table.note_at("controls", what);
        }
        found.insert(control);
    }
    found
}

/// A meter's address: a number for Modbus and for M-Bus by primary address; text for the others, where
/// leading zeros count.
fn address(
    table: &Table<'_>,
    profile: Option<&Profile>,
    line: Option<&LineSettings>,
) -> Option<Address> {
    table.need("address");
    let protocol = profile.map_or(Protocol::Modbus, Profile::protocol);
    if protocol != Protocol::Modbus && line.is_some_and(|line| line.framing == Framing::Tcp) {
        table.note_at(
            "line",
            format!("a line of kind \"tcp\" carries Modbus TCP only; {protocol} needs serial or rtu-over-tcp"),
        );
    }
    let text = match (protocol, table.is_text("address")) {
        (Protocol::Modbus, _) => table.integer("address", 1..=247)?.to_string(),
        (Protocol::Mbus, false) => table.integer("address", 1..=250)?.to_string(),
        (Protocol::Dlt645 | Protocol::Cjt188 | Protocol::Mbus, _) => {
            table.text("address")?.to_owned()
        }
    };
    match Address::parse(protocol, &text) {
        Ok(address) => Some(address),
        Err(why) => {
            table.note_at("address", why);
            None
        }
    }
}

fn unknown(what: &str, id: &str, known: &[&str]) -> String {
    match nearest(id, known) {
        Some(near) => format!("there is no {what} {id:?}; did you mean {near:?}?"),
        None if known.is_empty() => format!("there is no {what} {id:?}; there is none at all"),
        None => format!("there is no {what} {id:?}; there are: {}", known.join(", ")),
    }
}

fn billing_registers(profile: &Profile, max_per_hour: Decimal) -> Vec<BillingRegister> {
    let billing = profile.specs().iter().filter(|spec| spec.role == Role::Billing);
    let registers = billing.map(|spec| BillingRegister {
        name: spec.name.clone(),
        unit: spec.unit,
        decimals: spec.decimals,
        rollover_at: spec
            .rollover_digits
            .and_then(|digits| 10_i64.checked_pow(digits))
            .map(Decimal::from),
        max_per_hour,
    });
    registers.collect()
}

fn accounts(
    root: &Table<'_>,
    meters: &BTreeMap<MeterId, MeterSetup>,
    rules: &Rules,
) -> BTreeMap<AccountId, AccountSetup> {
    let mut accounts = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for table in root.tables("account") {
        let id: Option<AccountId> = table.need_parsed("id");
        let persons = table.integer("persons", 0..=1000).and_then(|n| u32::try_from(n).ok());
        let account = AccountSetup {
            building: table.text("building").unwrap_or_default().to_owned(),
            area_m2: table.decimal("area_m2"),
            persons,
            spaces: table.integer("spaces", 0..=10_000).and_then(|n| u32::try_from(n).ok()),
            occupied_from: occupied_from(&table),
            groups: table.texts("groups").into_iter().map(str::to_owned).collect(),
            notice: money::notice(&table),
            floor: table.integer("floor", -100..=1000).and_then(|n| i32::try_from(n).ok()),
            charges: charges(&table, meters, rules, &mut missing),
        };
        table.done();
        if let Some(id) = id
            && accounts.insert(id.clone(), account).is_some()
        {
            table.note_at("id", format!("account {id} stands here twice"));
        }
    }
    accounts
}

fn occupied_from(table: &Table<'_>) -> Option<blockgate_rules::calendar::Day> {
    let text = table.text("occupied_from")?;
    let day = blockgate_rules::calendar::parse_day(text);
    if day.is_none() {
        let message = format!("{text:?} is not a day: write it like \"2026-01-01\"");
        table.note_at("occupied_from", message);
    }
    day
}

fn charges(
    account: &Table<'_>,
    meters: &BTreeMap<MeterId, MeterSetup>,
    rules: &Rules,
    missing: &mut BTreeSet<TariffId>,
) -> BTreeMap<ItemId, Charge> {
    let tariffs = &rules.tariffs;
    let mut charges = BTreeMap::new();
    for table in account.tables("charges") {
        let item: Option<ItemId> = table.need_parsed("item");
        let tariff: Option<TariffId> = table.need_parsed("tariff");
        let meter: Option<MeterId> = table.parsed("meter");
        let register: Option<RegisterName> = table.parsed("register");
        // One missing tariff is one fault, however many accounts name it.
        if let Some(tariff) = &tariff
            && !tariffs.contains_key(tariff)
            && missing.insert(tariff.clone())
        {
            let known: Vec<&str> = tariffs.keys().map(TariffId::as_str).collect();
            table.note_at("tariff", unknown("tariff", tariff.as_str(), &known));
        }
        if let Some(meter) = &meter
            && !meters.contains_key(meter)
        {
            let known: Vec<&str> = meters.keys().map(MeterId::as_str).collect();
            table.note_at("meter", unknown("meter", meter.as_str(), &known));
        }
        let share: Option<TariffId> = table.parsed("share");
        if let Some(share) = &share
            && !rules.apportionments.contains_key(share)
        {
            let known: Vec<&str> = rules.apportionments.keys().map(TariffId::as_str).collect();
            table.note_at("share", unknown("apportionment", share.as_str(), &known));
        }
        let shared_by = share.as_ref().and_then(|id| rules.apportionments.get(id));
        let by = tariff.as_ref().and_then(|id| tariffs.get(id));
        let minus = sub_meters(&table, meters, shared_by, by);
        if let Some(tariff) = tariff.as_ref().and_then(|id| tariffs.get(id)) {
            fits(account, &table, tariff, meter.as_ref().and_then(|m| meters.get(m)), &register);
        }
        table.done();
        let (Some(item), Some(tariff)) = (item, tariff) else { continue };
        if charges.insert(item.clone(), Charge { tariff, meter, register, minus, share }).is_some()
        {
            table.note_at("item", format!("item {item} stands in this account twice"));
        }
    }
    charges
}

/// The first billing registers of the meters in `minus`.
fn sub_meters(
    table: &Table<'_>,
    meters: &BTreeMap<MeterId, MeterSetup>,
    shared_by: Option<&Apportionment>,
    tariff: Option<&Tariff>,
) -> Vec<SubMeter> {
    let mut subs = Vec::new();
    for name in table.texts("minus") {
        let found = MeterId::new(name).ok().and_then(|id| Some((id.clone(), meters.get(&id)?)));
        let Some((meter, setup)) = found else {
            let known: Vec<&str> = meters.keys().map(MeterId::as_str).collect();
            table.note_at("minus", unknown("meter", name, &known));
            continue;
        };
        let unit =
            tariff.and_then(|tariff| tariff.revisions.first()).and_then(|revision| match &revision
                .pricing
            {
                Pricing::Metered(metered) => Some(metered.unit),
                Pricing::PerArea(_) | Pricing::Fixed(_) | Pricing::Dated(_) => None,
            });
        match setup.registers.iter().find(|register| Some(register.unit) == unit) {
            Some(register) => subs.push(SubMeter { meter, register: register.name.clone() }),
            None => table.note_at("minus", format!("meter {meter} has no register in that unit")),
        }
    }
    if !subs.is_empty() && shared_by.is_none_or(|rule| rule.loss.is_none()) {
        table.note_at("minus", "a loss needs \"share\" with an apportionment that has \"loss\"");
    }
    if !subs.is_empty() && tariff.is_some_and(Tariff::has_windows) {
        table.note_at("minus", "a loss has no time of use: take a tariff without windows");
    }
    subs
}

/// Notes what a tariff needs and the account or the charge does not have.
fn fits(
    account: &Table<'_>,
    charge: &Table<'_>,
    tariff: &Tariff,
    meter: Option<&MeterSetup>,
    register: &Option<RegisterName>,
) {
    for revision in &tariff.revisions {
        match &revision.pricing {
            Pricing::Metered(metered) => {
                charge.need("meter");
                let Some(meter) = meter else { continue };
                let found = match register {
                    Some(name) => meter.registers.iter().find(|r| r.name == *name),
                    None => meter.registers.first(),
                };
                let Some(found) = found else {
                    let known: Vec<&str> =
                        meter.registers.iter().map(|r| r.name.as_str()).collect();
                    let name = register.as_ref().map_or("", RegisterName::as_str);
                    charge.note_at("register", unknown("billing register", name, &known));
                    return;
                };
                if found.unit != metered.unit {
                    let (is, wants) = (found.unit, metered.unit);
                    charge.note_at(
                        "tariff",
                        format!("the tariff is per {wants}, the register counts {is}"),
                    );
                }
                if !metered.quota_shift.is_empty() {
                    account.need("persons");
                }
                match metered.base.as_ref().map(|base| &base.price) {
                    Some(BasePrice::Month(monthly)) => needs(account, monthly.per),
                    Some(BasePrice::Season(dated)) => needs(account, dated.per),
                    None => {}
                }
            }
            Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => needs(account, monthly.per),
            Pricing::Dated(dated) => needs(account, dated.per),
        }
    }
}

/// What an account must say for a price per so much.
fn needs(account: &Table<'_>, per: Unit) {
    let key = if per == Unit::SquareMetre {
        "area_m2"
    } else if per == Unit::Person {
        "persons"
    } else if per == Unit::Space {
        "spaces"
    } else {
        return;
    };
    account.need(key);
}
