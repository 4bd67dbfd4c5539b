//! Where log lines go. Inside a systemd unit: to journald, each field of an event and of its spans
//! as a field of its own (`journalctl BG_METER=m-0101`); else as text to stderr.
//!
//! It must never hold the program up: journald's socket blocks its writer when journald hangs, so
//! records pass through a bounded queue (invariant 10) to a thread of their own, and a full queue
//! drops and counts. What a line must never carry, a name, a plate, a flat, is the caller's duty.
//!
//! ```text
//! event  meter_offline meter=m-0101      inside span  bus{line=a}
//! journal  MESSAGE=meter_offline  PRIORITY=4  BG_LINE=a  BG_METER=m-0101  BG_SPAN=bus
//! ```
//!
//! The prefix keeps a field called `unit` or `priority` from standing for one of systemd's own.
//! Levels become priorities by systemd-journal-logger's table: ERROR 3, WARN 4, INFO 5, DEBUG 6,
//! TRACE 7.

pub mod recent;
pub mod redact;

use crate::limits;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use systemd_journal_logger::{JournalLog, connected_to_journal};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};
use tracing_log::{AsLog, LogTracer, NormalizeEvent};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The filter when neither `BLOCKGATE_LOG` nor the config names one.
pub const FILTER_DEFAULT: &str = "info,sled=warn,rumqttc=warn,hyper=warn,rustls=warn";

/// The variable that overrides the config's filter: `BLOCKGATE_LOG=debug,sled=warn`.
pub const FILTER_VARIABLE: &str = "BLOCKGATE_LOG";

/// Keeps logging alive; dropped last, it waits a moment for the queue to empty.
#[derive(Debug)]
#[must_use = "dropping it ends the wait for the last log lines"]
pub struct Telemetry {
    queue: Option<Queue>,
}

/// Why logging could not start.
#[derive(Debug)]
pub enum TelemetryError {
    /// The filter has a directive that cannot be read.
    Filter {
        /// The whole filter.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A second start in one process, or no thread to be had.
    Start(String),
}

impl std::fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Filter { text, why } => {
                write!(f, "log filter {text:?}: {why}; write it like \"info,blockgate=debug\"")
            }
            Self::Start(why) => write!(f, "logging did not start: {why}"),
        }
    }
}

impl std::error::Error for TelemetryError {}

/// Starts logging for the process. `filter` is the config's; `BLOCKGATE_LOG` comes before it.
///
/// # Errors
/// [`TelemetryError`] for a filter that cannot be read, or when logging already runs.
pub fn init(filter: Option<&str>) -> Result<Telemetry, TelemetryError> {
    let asked = std::env::var(FILTER_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = parse_filter(asked.as_deref().or(filter).unwrap_or(FILTER_DEFAULT))?;
    let start = |why: &dyn std::fmt::Display| TelemetryError::Start(why.to_string());
    let ceiling = Layer::<Registry>::max_level_hint(&filter)
        .map_or(log::LevelFilter::Trace, |level| level.as_log());
    let registry = tracing_subscriber::registry().with(filter).with(recent::Recent);
    // A unit whose stderr goes to a file, or a box without journald, falls back to text.
    let journal = if connected_to_journal() { JournalLog::new().ok() } else { None };
    let telemetry = if let Some(journal) = journal {
        let queue = Queue::start(journal).map_err(|e| start(&e))?;
        let layer = JournalLayer { queue: queue.clone() };
        tracing::subscriber::set_global_default(registry.with(layer)).map_err(|e| start(&e))?;
        Telemetry { queue: Some(queue) }
    } else {
        let text = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        tracing::subscriber::set_global_default(registry.with(text)).map_err(|e| start(&e))?;
        Telemetry { queue: None }
    };
    LogTracer::init_with_filter(ceiling).map_err(|e| start(&e))?;
    Ok(telemetry)
}

fn parse_filter(text: &str) -> Result<Targets, TelemetryError> {
    text.parse::<Targets>()
        .map_err(|e| TelemetryError::Filter { text: text.to_owned(), why: e.to_string() })
}

impl Telemetry {
    /// Log records dropped since the start because journald did not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.dropped.load(Ordering::Relaxed))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.flush();
        }
    }
}

/// One log record on its way to journald.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    level: log::Level,
    target: String,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    message: String,
    /// Journal field names with their values, each name once.
    fields: Vec<(String, String)>,
}

impl Entry {
    fn about_us(level: log::Level, message: String) -> Self {
        Self {
            level,
            target: module_path!().to_owned(),
            module: Some(module_path!().to_owned()),
            file: None,
            line: None,
            message,
            fields: Vec::new(),
        }
    }
}

/// Where entries end: journald, or a test.
trait Sink: Send + 'static {
    fn put(&mut self, entry: &Entry);
}

impl Sink for JournalLog {
    fn put(&mut self, entry: &Entry) {
        // Nobody is left to be told that journald does not take it.
        let _ = self.journal_send(
            &log::Record::builder()
                .args(format_args!("{}", entry.message))
                .level(entry.level)
                .target(&entry.target)
                .module_path(entry.module.as_deref())
                .file(entry.file.as_deref())
                .line(entry.line)
                .key_values(&entry.fields)
                .build(),
        );
    }
}

enum Message {
    Entry(Box<Entry>),
    Flush(SyncSender<()>),
}

/// The bounded way to the sink's own thread.
#[derive(Debug, Clone)]
struct Queue {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    fn start(sink: impl Sink) -> std::io::Result<Self> {
        let (queue, receiver) = Self::new(limits::LOG_QUEUE_MAX);
        let dropped = Arc::clone(&queue.dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || drain(&receiver, sink, &dropped))?;
        Ok(queue)
    }

    fn new(bound: usize) -> (Self, Receiver<Message>) {
        let (sender, receiver) = sync_channel(bound);
        (Self { sender, dropped: Arc::new(AtomicU64::new(0)) }, receiver)
    }

    fn push(&self, entry: Entry) {
        match self.sender.try_send(Message::Entry(Box::new(entry))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until what is queued now has reached the sink, at most `limits::LOG_FLUSH_MAX`. A full
    /// queue means that journald hangs, and is not waited for.
    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limits::LOG_FLUSH_MAX);
        }
    }
}

/// The log thread: ends when every sender is gone. Must not log by itself.
fn drain(receiver: &Receiver<Message>, mut sink: impl Sink, dropped: &AtomicU64) {
    let mut told = 0;
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Entry(entry) => sink.put(&entry),
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let now = dropped.load(Ordering::Relaxed);
        if now != told {
            let lost = now - told;
            told = now;
            let text = format!("{lost} log records were dropped: journald does not keep up");
            sink.put(&Entry::about_us(log::Level::Warn, text));
        }
    }
}

/// Fields in the order in which they came; a later value replaces an earlier one.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    pairs: Vec<(String, String)>,
}

impl Fields {
    fn set(&mut self, key: String, value: String) {
        match self.pairs.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((key, value)),
        }
    }

    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name if name.starts_with("log.") => {} // the bridge's own; already in the metadata
            name => self.set(journal_name(name), value),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = Short::default();
        let _ = write!(text, "{value:?}"); // Short never fails
        self.take(field, text.finish());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Short::default();
        let _ = text.write_str(value);
        self.take(field, text.finish());
    }
}

/// `BG_` and the name in journald's alphabet `[A-Z0-9_]`, at most 64 bytes.
fn journal_name(name: &str) -> String {
    let letters =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "BG_".chars().chain(letters).take(64).collect()
}

/// A text of at most `limits::LOG_FIELD_BYTES_MAX` bytes that says how much was cut.
#[derive(Debug, Default)]
struct Short {
    text: String,
    cut: usize,
}

impl std::fmt::Write for Short {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        let room = limits::LOG_FIELD_BYTES_MAX.saturating_sub(self.text.len());
        let fits = if self.cut > 0 { 0 } else { more.floor_char_boundary(room) };
        self.text.push_str(&more[..fits]);
        self.cut += more.len() - fits;
        Ok(())
    }
}

impl Short {
    fn finish(self) -> String {
        let Self { mut text, cut } = self;
        if cut > 0 {
            let _ = write!(text, "… ({cut} bytes more)");
        }
        text
    }
}

/// Turns events with their spans into [`Entry`]s.
struct JournalLayer {
    queue: Queue,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JournalLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = cx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let bridged = event.normalized_metadata();
        let metadata = bridged.as_ref().unwrap_or_else(|| event.metadata());
        let mut fields = Fields::default();
        let mut path = String::new();
        for span in cx.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if !path.is_empty() {
                path.push(':');
            }
            path.push_str(span.name());
            if let Some(own) = span.extensions().get::<Fields>() {
                for (key, value) in &own.pairs {
                    fields.set(key.clone(), value.clone());
                }
            }
        }
        if !path.is_empty() {
            fields.set("BG_SPAN".to_owned(), path);
        }
        event.record(&mut fields);
        self.queue.push(Entry {
            level: level(*metadata.level()),
            target: metadata.target().to_owned(),
            module: metadata.module_path().map(str::to_owned),
            file: metadata.file().map(str::to_owned),
            line: metadata.line(),
            message: fields.message,
            fields: fields.pairs,
        });
    }
}

fn level(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing::subscriber::with_default;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Entry>>>);

    impl Sink for Kept {
        fn put(&mut self, entry: &Entry) {
            self.0.lock().unwrap().push(entry.clone());
        }
    }

    /// Runs `work` with our layer and gives what reached the sink.
    fn entries(filter: &str, work: impl FnOnce()) -> Vec<Entry> {
        let kept = Kept::default();
        let queue = Queue::start(kept.clone()).unwrap();
        let layer = JournalLayer { queue: queue.clone() };
        let filter = parse_filter(filter).unwrap();
        with_default(tracing_subscriber::registry().with(filter).with(layer), work);
        queue.flush();
        let mut entries = kept.0.lock().unwrap();
        std::mem::take(&mut *entries)
    }

    fn field<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
        let mut found = entry.fields.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    #[test]
    fn an_event_keeps_its_own_and_its_spans_fields_apart_from_the_message() {
        let got = entries("info", || {
            let bus = tracing::info_span!("bus", line = "a", meter = tracing::field::Empty);
            let _in = bus.enter();
            let poll = tracing::info_span!("poll", unit = 3);
            let _in = poll.enter();
            bus.record("meter", "m-0101");
            tracing::warn!(priority = 1, took_ms = 12u64, raw = ?[1u8, 2], "no answer");
        });
        let [entry] = got.as_slice() else { panic!("one entry, not {got:?}") };
        assert_eq!(entry.message, "no answer");
        assert_eq!(entry.level, log::Level::Warn);
        assert!(entry.target.ends_with("telemetry::tests"), "{}", entry.target);
        assert!(entry.file.as_deref().is_some_and(|file| file.ends_with("telemetry.rs")));
        for (name, want) in [
            ("BG_LINE", "a"),
            ("BG_METER", "m-0101"),
            ("BG_UNIT", "3"),
            ("BG_PRIORITY", "1"), // not systemd's own PRIORITY
            ("BG_TOOK_MS", "12"),
            ("BG_RAW", "[1, 2]"),
            ("BG_SPAN", "bus:poll"),
        ] {
            assert_eq!(field(entry, name), Some(want), "{name}");
        }
        assert_eq!(entry.fields.len(), 7);
    }

    #[test]
    fn an_events_field_replaces_the_spans_of_the_same_name() {
        let got = entries("info", || {
            let _in = tracing::info_span!("poll", meter = "m-1").entered();
            tracing::info!(meter = "m-2", "read");
        });
        assert_eq!(field(&got[0], "BG_METER"), Some("m-2"));
    }

    #[test]
    fn the_filter_holds_back_what_it_names() {
        let got = entries("warn", || {
            tracing::info!("not this");
            tracing::error!("this");
        });
        assert_eq!(got.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(), ["this"]);
    }

    #[test]
    fn a_record_of_the_log_crate_keeps_its_own_target_and_place() {
        let got = entries("info", || {
            tracing_log::format_trace(
                &log::Record::builder()
                    .args(format_args!("opened"))
                    .level(log::Level::Info)
                    .target("sled::db")
                    .module_path(Some("sled::db"))
                    .file(Some("db.rs"))
                    .line(Some(7))
                    .build(),
            )
            .unwrap();
        });
        let [entry] = got.as_slice() else { panic!("one entry, not {got:?}") };
        let place = (entry.target.as_str(), entry.file.as_deref(), entry.line);
        assert_eq!(place, ("sled::db", Some("db.rs"), Some(7)));
        assert_eq!((entry.message.as_str(), entry.fields.len()), ("opened", 0));
    }

    #[test]
    fn field_names_are_in_journalds_alphabet() {
        for (name, want) in [("dur_ms", "BG_DUR_MS"), ("otel.kind", "BG_OTEL_KIND"), ("温", "BG__")]
        {
            assert_eq!(journal_name(name), want);
        }
        assert_eq!(journal_name(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn a_long_value_is_cut_and_says_by_how_much() {
        let got = entries("info", || {
            let long = "表".repeat(limits::LOG_FIELD_BYTES_MAX); // three bytes each
            tracing::info!(%long, "device text");
        });
        let long = field(&got[0], "BG_LONG").unwrap();
        let kept = limits::LOG_FIELD_BYTES_MAX / 3 * 3;
        let cut = 3 * limits::LOG_FIELD_BYTES_MAX - kept;
        assert!(long.ends_with(&format!("表… ({cut} bytes more)")), "{}", &long[kept - 9..]);
    }

    // invariant 10
    #[test]
    fn a_full_log_queue_drops_and_counts_and_says_so_when_it_moves_again() {
        let (queue, receiver) = Queue::new(2);
        let layer = JournalLayer { queue: queue.clone() };
        with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..5 {
                tracing::info!(n, "line");
            }
        });
        queue.flush(); // returns at once: the queue is full
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 3);
        let (kept, dropped) = (Kept::default(), Arc::clone(&queue.dropped));
        drop(queue);
        drain(&receiver, kept.clone(), &dropped);
        let texts: Vec<_> = kept.0.lock().unwrap().iter().map(|e| e.message.clone()).collect();
        let told = "3 log records were dropped: journald does not keep up";
        assert_eq!(texts, ["line", told, "line"]);
    }

    #[test]
    fn a_filter_that_cannot_be_read_names_itself() {
        let error = parse_filter("blockgate=loud").unwrap_err().to_string();
        assert!(error.contains("\"blockgate=loud\"") && error.contains("info"), "{error}");
    }
}
