//! Sparkplug B 3.0 for readings: the gateway is an edge node, each meter a device.
//!
//! ```text
//! spBv1.0/{group}/NBIRTH/{gateway}          on connecting, seq 0, with bdSeq
//! spBv1.0/{group}/NDEATH/{gateway}          the last will, with the same bdSeq
//! spBv1.0/{group}/DBIRTH/{gateway}/{meter}  the registers, units, last values
//! spBv1.0/{group}/DDATA/{gateway}/{meter}   accepted readings; of before the connection: is_historical
//! spBv1.0/{group}/NCMD/{gateway}            "Node Control/Rebirth" is obeyed, nothing else
//! ```
//!
//! A value is a Double, because hosts of SCADA draw curves; the exact decimal stands beside it in the
//! property `exact`. Bills and money do not travel here.

use super::protobuf::{Metric, Value, payload, true_metrics};
use super::{About, Hello, Mapper, Message, Taken};
use crate::store::record::Record;
use blockgate_rules::Event;
use blockgate_rules::event::Verdict;
use blockgate_types::{Decimal, MeterId, RegisterName, Time, Unit};
use std::collections::BTreeMap;

/// The mapper's state: what was born, and the two counters of Sparkplug.
#[derive(Debug)]
pub struct Sparkplug {
    group: String,
    /// Counts births; the will of a connection carries the number of its birth.
    births: u8,
    begun: bool,
    seq: u8,
    /// Last values, for births.
    last: BTreeMap<(MeterId, RegisterName), (Time, Decimal)>,
    born: bool,
}

fn ms(time: Time) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0)
}

/// For display; the exact number travels as text.
fn double(value: Decimal) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}

impl Sparkplug {
    /// For a group.
    #[must_use]
    pub fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            births: 0,
            begun: false,
            seq: 0,
            last: BTreeMap::new(),
            born: false,
        }
    }

    fn topic(&self, about: &About, kind: &str, device: Option<&MeterId>) -> String {
        let device = device.map(|id| format!("/{id}")).unwrap_or_default();
        format!("spBv1.0/{}/{kind}/{}{device}", self.group, about.gateway)
    }

    /// The next sequence number: 0 is the birth's, 255 is followed by 0.
    fn next_seq(&mut self) -> u8 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    fn message(topic: String, payload: Vec<u8>) -> Message {
        // Sparkplug 3.0: births and data at QoS 0, not retained (tck-id-message-flow-edge-node-birth-publish).
        Message { topic, payload, assured: false, retain: false, awaits: None }
    }

    fn bdseq(&self, now: Time) -> Metric<'static> {
        let value = Value::Unsigned(u64::from(self.births));
        Metric { name: "bdSeq", timestamp: ms(now), historical: false, value, properties: &[] }
    }

    fn births_of(&mut self, about: &About, now: Time) -> Vec<Message> {
        self.seq = 0;
        self.born = true;
        let plain = |name, value| Metric {
            name,
            timestamp: ms(now),
            historical: false,
            value,
            properties: &[],
        };
        let node = [
            self.bdseq(now),
            plain("Node Control/Rebirth", Value::Boolean(false)),
            plain("Properties/Version", Value::Text(&about.version)),
            plain("Properties/Tenant", Value::Text(&about.tenant)),
        ];
        let mut messages = vec![Self::message(
            self.topic(about, "NBIRTH", None),
            payload(ms(now), Some(0), &node),
        )];
        for (meter, registers) in &about.meters {
            let seq = self.next_seq();
            let rows: Vec<Row> = registers
                .iter()
                .map(|(name, unit)| {
                    let seen = self.last.get(&(meter.clone(), name.clone())).copied();
                    Row::new(name, *unit, seen.map_or(now, |(at, _)| at), seen.map(|(_, v)| v))
                })
                .collect();
            let topic = self.topic(about, "DBIRTH", Some(meter));
            messages.push(Self::message(topic, of_rows(ms(now), seq, &rows, false)));
        }
        messages
    }
}

/// One register's value on its way into a payload.
struct Row {
    name: RegisterName,
    unit: String,
    at: Time,
    value: Option<Decimal>,
    exact: String,
}

impl Row {
    fn new(name: &RegisterName, unit: Unit, at: Time, value: Option<Decimal>) -> Self {
        let exact = value.map(|value| value.to_string()).unwrap_or_default();
        Self { name: name.clone(), unit: unit.to_string(), at, value, exact }
    }
}

fn of_rows(timestamp: u64, seq: u8, rows: &[Row], historical: bool) -> Vec<u8> {
    let both: Vec<[(&str, &str); 2]> =
        rows.iter().map(|r| [("engUnit", r.unit.as_str()), ("exact", r.exact.as_str())]).collect();
    let metrics: Vec<Metric<'_>> = rows
        .iter()
        .zip(&both)
        .map(|(row, both)| Metric {
            name: row.name.as_str(),
            timestamp: ms(row.at),
            historical,
            value: row.value.map_or(Value::Unread, |value| Value::Double(double(value))),
            properties: if row.value.is_some() { both } else { &both[..1] },
        })
        .collect();
    payload(timestamp, Some(seq), &metrics)
}

impl Mapper for Sparkplug {
    fn hello(&mut self, about: &About, now: Time) -> Hello {
        if std::mem::replace(&mut self.begun, true) {
            self.births = self.births.wrapping_add(1);
        }
        self.born = false;
        let topic = self.topic(about, "NDEATH", None);
        let payload = payload(ms(now), None, &[self.bdseq(now)]);
        let will = Message { topic, payload, assured: true, retain: false, awaits: None };
        Hello { client_id: None, login: None, will: Some(will) }
    }

    fn listens(&self, about: &About) -> Vec<String> {
        vec![self.topic(about, "NCMD", None)]
    }

    fn born(&mut self, about: &About, now: Time) -> Vec<Message> {
        self.births_of(about, now)
    }

    fn event(&mut self, about: &About, record: &Record, late: bool) -> Vec<Message> {
        let Event::Reading { readings } = &record.data else { return Vec::new() };
        let mut of: BTreeMap<&MeterId, Vec<Row>> = BTreeMap::new();
        for reading in readings {
            let born =
                about.meters.get(&reading.meter).is_some_and(|r| r.contains_key(&reading.register));
            if matches!(reading.verdict, Verdict::Held { .. }) || !born {
                continue; // not believed, or not born
            }
            let key = (reading.meter.clone(), reading.register.clone());
            self.last.insert(key, (reading.at, reading.value));
            let row = Row::new(&reading.register, reading.unit, reading.at, Some(reading.value));
            of.entry(&reading.meter).or_default().push(row);
        }
        let mut messages = Vec::new();
        for (meter, rows) in of {
            let seq = self.next_seq();
            let topic = self.topic(about, "DDATA", Some(meter));
            messages.push(Self::message(topic, of_rows(ms(record.time), seq, &rows, late)));
        }
        messages
    }

    fn incoming(&mut self, about: &About, topic: &str, payload: &[u8], now: Time) -> Taken {
        let rebirth = topic == self.topic(about, "NCMD", None)
            && true_metrics(payload)
                .is_some_and(|names| names.iter().any(|n| n == "Node Control/Rebirth"));
        let messages = if rebirth && self.born { self.births_of(about, now) } else { Vec::new() };
        Taken { messages, ..Taken::default() }
    }

    fn farewell(&mut self, about: &About, now: Time) -> Vec<Message> {
        // An ordered end sends its own death: a DISCONNECT keeps the broker from sending the will.
        let topic = self.topic(about, "NDEATH", None);
        let payload = payload(ms(now), None, &[self.bdseq(now)]);
        vec![Message { topic, payload, assured: true, retain: false, awaits: None }]
    }
}
