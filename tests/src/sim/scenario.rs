//! A month that somebody wrote down: which troubles, when, and what came of it. The file holds both, so
//! that a change of behaviour is a change of a line that a reviewer reads.
//!
//! ```text
//! # The power goes in the middle of the month's close: why this is worth a file.
//! zone Europe/Berlin
//! edge 2026-04-01
//! days 3
//! 2026-03-31T22:00:30Z power-cut
//! 2026-04-01T03:00:00Z broker-away for 6h
//! 2026-04-01T04:00:00Z meter-silent 1 for 2h
//! expect bill a-1 2026-03-01 to 2026-04-01
//! ----
//! what the cloud got, in order: made by `BLESS=1`
//! ```
//!
//! Times are UTC. A number behind the trouble's word is its own: which meter, how many calls of the disk, how
//! many hours. A month must pass the judges and hold every `expect` before its transcript is looked at.

use super::fate::{Fate, KINDS};
use super::world::{EDGES, Edge, lock};
use super::{Canary, Plan, World, lived};
use blockgate_types::{Span, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The line between what is asked and what came.
const LINE: &str = "----\n";

/// A scenario as it was read.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What was written, up to the line.
    pub asked: String,
    /// What came of it when it was last looked at.
    pub came: String,
    edge: Edge,
    days: u32,
    fates: Vec<Fate>,
    expected: Vec<String>,
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// The number of the line that cannot be read, and why.
    pub fn read(text: &str) -> Result<Self, String> {
        let (asked, came) = text.split_once(LINE).unwrap_or((text, ""));
        let (mut zone, mut day, mut days) = (String::new(), String::new(), 3);
        let (mut fates, mut expected) = (Vec::new(), Vec::new());
        for (number, line) in asked.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let wrong = |why: &str| format!("line {}: {why}: {line}", number + 1);
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["zone", name] => name.clone_into(&mut zone),
                ["edge", name] => name.clone_into(&mut day),
                ["days", n] => days = n.parse().map_err(|_| wrong("no number"))?,
                ["expect", ..] => {
                    expected.push(line.trim_start().trim_start_matches("expect").trim().to_owned());
                }
                [at, word, ref rest @ ..] => {
                    let at: Time =
                        at.parse().map_err(|_| wrong("no time, as 2026-03-31T22:00:00Z"))?;
                    let kind = KINDS.into_iter().find(|kind| kind.word() == word);
                    let kind = kind.ok_or_else(|| wrong("no such trouble"))?;
                    let (n, lasts) = match *rest {
                        [] => ("0", "0s"),
                        [n] => (n, "0s"),
                        ["for", lasts] => ("0", lasts),
                        [n, "for", lasts] => (n, lasts),
                        _ => return Err(wrong("[number] [for span] follow")),
                    };
                    let n = n.parse().map_err(|_| wrong("no number"))?;
                    let lasts: Span = lasts.parse().map_err(|_| wrong("no span, as 90m"))?;
                    fates.push(Fate { at, kind, lasts, n, begins: true });
                    fates.push(Fate { at: at.plus(lasts), kind, lasts, n, begins: false });
                }
                [_] => return Err(wrong("neither zone, edge, days, expect nor a trouble")),
            }
        }
        fates.sort_by_key(|fate| (fate.at, fate.begins, fate.kind));
        let edge = EDGES.into_iter().find(|edge| edge.zone == zone && edge.day == day);
        let edge = edge.ok_or_else(|| format!("no month ends {day} in {zone}: see EDGES"))?;
        let (asked, came) = (asked.to_owned(), came.to_owned());
        Ok(Self { asked, came, edge, days, fates, expected })
    }

    /// Lives through it and gives the transcript.
    ///
    /// # Errors
    /// What the judges find, or the `expect` that did not come.
    pub fn play(&self) -> Result<String, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut world = World::new(folder.path(), 0, self.edge.zone, Canary::None);
        let mut plan = Plan::before(0, self.edge, self.days);
        plan.forgets_trees = false;
        plan.fates = self.fates.clone().into();
        let report = lived(&mut world, plan);
        if let Some(wrong) = report.wrong {
            return Err(wrong);
        }
        let transcript = transcript(&world);
        match self.expected.iter().find(|line| !transcript.contains(*line)) {
            Some(missing) => {
                Err(format!("it was expected, and did not come: {missing}\n{transcript}"))
            }
            None => Ok(transcript),
        }
    }

    /// The file with another transcript.
    #[must_use]
    pub fn with(&self, transcript: &str) -> String {
        format!("{}{LINE}{transcript}", self.asked)
    }
}

/// How each life ended, and what the cloud got of interest; readings as a number for each meter.
fn transcript(world: &World) -> String {
    let mut out = String::new();
    for line in &world.log {
        let _ = writeln!(out, "life {line}");
    }
    let mut accepted: BTreeMap<String, u32> = BTreeMap::new();
    for payload in lock(&world.cloud).events.values() {
        let Ok(event) = serde_json::from_slice::<Value>(payload) else { continue };
        let data = &event["data"];
        for reading in data["readings"].as_array().into_iter().flatten() {
            let (meter, verdict) = (word(&reading["meter"]), word(&reading["verdict"]));
            if verdict == "held" {
                let (at, value) = (word(&reading["at"]), word(&reading["value"]));
                let _ = writeln!(out, "{at} held {meter} {value} {}", word(&reading["why"]));
            } else {
                *accepted.entry(meter).or_default() += 1;
            }
        }
        if let Some(line) = told(data) {
            let _ = writeln!(out, "{line}");
        }
    }
    for (meter, count) in accepted {
        let _ = writeln!(out, "{meter}: {count} readings accepted");
    }
    out
}

/// A JSON value as a word of the transcript.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The line of one event; none for what every month has.
fn told(data: &Value) -> Option<String> {
    let at = |key: &str| word(&data[key]);
    match (data["kind"].as_str()?, data["what"].as_str()) {
        ("bill", _) => {
            let (from, to) = (&data["evidence"][0]["from"], &data["evidence"][0]["to"]);
            Some(format!(
                "bill {} {} to {}: {} at {} to {} at {}, {} fen",
                at("account"),
                word(&data["period"]["from"]),
                word(&data["period"]["to"]),
                word(&from["value"]),
                word(&from["at"]),
                word(&to["value"]),
                word(&to["at"]),
                at("total_fen"),
            ))
        }
        ("alarm", _) => {
            Some(format!("{} {} {} {}", at("at"), at("change"), at("code"), at("subject")))
        }
        ("gap", _) => Some(format!(
            "gap of {} from {} to {}: {} missing",
            at("meter"),
            at("from"),
            at("to"),
            at("missing")
        )),
        ("audit", Some("clock-stepped")) => {
            Some(format!("{} the clock was set by {} ms", at("at"), at("by_ms")))
        }
        ("audit", Some("clock-corrected")) => Some(format!(
            "{} readings of start {} are {} ms later than they say",
            at("at"),
            at("boot"),
            at("by_ms")
        )),
        ("audit", Some("started")) => Some(format!("{} started", at("at"))),
        _ => None,
    }
}
