//! The last lines of the log in memory, for the page: as many as [`limits::LOG_RECENT_MAX`], cut to
//! [`limits::LOG_RECENT_BYTES_MAX`] each. What the log's filter lets through comes here too, without what
//! [`redact`] takes for a secret; nothing is read back from the journal of the system.

use super::redact;
use crate::clock::SystemClock;
use crate::limits;
use crate::ports::Clock as _;
use blockgate_types::Time;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::layer::{Context, Layer};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, by the system's clock.
    pub at: Time,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE`.
    pub level: &'static str,
    /// The module that said it.
    pub target: String,
    /// The message, then its fields as `name=value`.
    pub text: String,
}

static KEPT: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());

fn kept() -> MutexGuard<'static, VecDeque<Line>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines that are kept, oldest first.
#[must_use]
pub fn lines() -> Vec<Line> {
    kept().iter().cloned().collect()
}

/// Keeps what passes the log's filter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let normalized = event.normalized_metadata();
        let of = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut text = Text::default();
        event.record(&mut text);
        let mut line = text.message;
        line.push_str(&text.fields);
        // Before it is cut: half a secret has no end that tells it.
        let mut line = redact::text(&line);
        if let Some((end, _)) =
            line.char_indices().find(|(at, _)| *at >= limits::LOG_RECENT_BYTES_MAX)
        {
            line.truncate(end);
        }
        let level = of.level().as_str();
        let line = Line {
            at: SystemClock::new(true).now(),
            level,
            target: of.target().to_owned(),
            text: line,
        };
        keep(line);
    }
}

/// Takes a line in; the oldest goes when there are too many.
pub(crate) fn keep(line: Line) {
    let mut kept = kept();
    while kept.len() >= limits::LOG_RECENT_MAX {
        kept.pop_front();
    }
    kept.push_back(line);
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn lines_are_kept_with_their_fields_within_a_bound() {
        let subscriber = tracing_subscriber::registry().with(Recent);
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..limits::LOG_RECENT_MAX + 5 {
                tracing::warn!(meter = "m-0101", n, "recent-test {}", "x".repeat(4_000));
            }
        });
        let lines = lines();
        assert!(lines.len() <= limits::LOG_RECENT_MAX);
        let last = lines.iter().rev().find(|line| line.text.starts_with("recent-test")).unwrap();
        assert_eq!(last.level, "WARN");
        assert!(last.text.len() <= limits::LOG_RECENT_BYTES_MAX + 4);
    }
}
