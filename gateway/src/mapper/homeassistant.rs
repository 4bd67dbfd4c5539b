//! MQTT discovery of Home Assistant, for owners who have one in the house: each billing register is a
//! sensor, open alarms are one binary sensor of the gateway. Readings only: no bill, no money.
//!
//! ```text
//! {prefix}/sensor/blockgate_{gateway}/{meter}_{register}/config    retained
//! {prefix}/binary_sensor/blockgate_{gateway}/alarm/config          retained
//! blockgate/ha/{gateway}/availability                              retained, last will
//! blockgate/ha/{gateway}/{meter}/{register}                        the value as text, retained
//! blockgate/ha/{gateway}/alarm                                     ON or OFF, retained
//! ```

use super::{About, Hello, Mapper, Message, Taken};
use crate::store::record::Record;
use blockgate_rules::Event;
use blockgate_rules::event::{AlarmChange, Verdict};
use blockgate_types::{AlarmId, Decimal, MeterId, RegisterName, Time, Unit};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The mapper's state.
#[derive(Debug)]
pub struct HomeAssistant {
    prefix: String,
    last: BTreeMap<(MeterId, RegisterName), Decimal>,
    alarms: BTreeSet<AlarmId>,
}

impl HomeAssistant {
    /// With this discovery prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), last: BTreeMap::new(), alarms: BTreeSet::new() }
    }

    fn base(about: &About) -> String {
        format!("blockgate/ha/{}", about.gateway)
    }

    /// Ids of Home Assistant have `a-z A-Z 0-9 _ -` only.
    fn object(text: &str) -> String {
        text.replace('.', "_")
    }

    fn kept(topic: String, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic, payload: payload.into(), assured: true, retain: true, awaits: None }
    }

    fn device(about: &About) -> Value {
        json!({
            "identifiers": [format!("blockgate_{}", about.gateway)],
            "name": format!("blockgate {}", about.gateway),
            "manufacturer": "blockgate",
            "model": "gateway",
            "sw_version": about.version,
        })
    }

    fn sensor(
        &self,
        about: &About,
        meter: &MeterId,
        register: &RegisterName,
        unit: Unit,
    ) -> Message {
        let (gateway, base) = (Self::object(&about.gateway), Self::base(about));
        let object = Self::object(&format!("{meter}_{register}"));
        let (class, of) = class(unit, register);
        let mut config = json!({
            "name": register.as_str().replace('_', " "),
            "unique_id": format!("blockgate_{gateway}_{object}"),
            "state_topic": format!("{base}/{meter}/{register}"),
            "availability_topic": format!("{base}/availability"),
            "state_class": of,
            "unit_of_measurement": shown(unit),
            "device": {
                "identifiers": [format!("blockgate_{gateway}_{}", Self::object(meter.as_str()))],
                "name": format!("meter {meter}"),
                "manufacturer": "blockgate",
                "via_device": format!("blockgate_{}", about.gateway),
            },
        });
        if let (Some(class), Some(config)) = (class, config.as_object_mut()) {
            config.insert("device_class".to_owned(), json!(class));
        }
        let topic = format!("{}/sensor/blockgate_{gateway}/{object}/config", self.prefix);
        Self::kept(topic, config.to_string())
    }

    fn alarm_state(&self, about: &About) -> Message {
        let state = if self.alarms.is_empty() { "OFF" } else { "ON" };
        Self::kept(format!("{}/alarm", Self::base(about)), state)
    }
}

/// Device class and state class of Home Assistant.
fn class(unit: Unit, register: &RegisterName) -> (Option<&'static str>, &'static str) {
    match unit.to_string().as_str() {
        "kWh" | "Wh" => (Some("energy"), "total_increasing"),
        "m3" | "m³" => {
            let gas = register.as_str().contains("gas");
            (Some(if gas { "gas" } else { "water" }), "total_increasing")
        }
        "GJ" => (Some("energy"), "total_increasing"),
        "W" | "kW" => (Some("power"), "measurement"),
        "V" => (Some("voltage"), "measurement"),
        "A" => (Some("current"), "measurement"),
        "Hz" => (Some("frequency"), "measurement"),
        _ => (None, "measurement"),
    }
}

/// Home Assistant's spelling of a unit.
fn shown(unit: Unit) -> String {
    let text = unit.to_string();
    if text == "m3" { "m³".to_owned() } else { text }
}

impl Mapper for HomeAssistant {
    fn hello(&mut self, about: &About, _now: Time) -> Hello {
        let will = Self::kept(format!("{}/availability", Self::base(about)), "offline");
        Hello { client_id: None, login: None, will: Some(will) }
    }

    fn listens(&self, _about: &About) -> Vec<String> {
        // Home Assistant says here that it has started and wants to be told again.
        vec![format!("{}/status", self.prefix)]
    }

    fn born(&mut self, about: &About, _now: Time) -> Vec<Message> {
        let (gateway, base) = (Self::object(&about.gateway), Self::base(about));
        let alarm = json!({
            "name": "alarm",
            "unique_id": format!("blockgate_{gateway}_alarm"),
            "state_topic": format!("{base}/alarm"),
            "availability_topic": format!("{base}/availability"),
            "device_class": "problem",
            "device": Self::device(about),
        });
        let topic = format!("{}/binary_sensor/blockgate_{gateway}/alarm/config", self.prefix);
        let mut messages = vec![Self::kept(topic, alarm.to_string())];
        for (meter, registers) in &about.meters {
            for (register, unit) in registers {
                messages.push(self.sensor(about, meter, register, *unit));
                let last = self.last.get(&(meter.clone(), register.clone())).copied();
                if let Some(value) = last {
                    messages
                        .push(Self::kept(format!("{base}/{meter}/{register}"), value.to_string()));
                }
            }
        }
        messages.push(self.alarm_state(about));
        messages.push(Self::kept(format!("{base}/availability"), "online"));
        messages
    }

    fn event(&mut self, about: &About, record: &Record, _late: bool) -> Vec<Message> {
        let base = Self::base(about);
        match &record.data {
            Event::Reading { readings } => {
                let mut newest = BTreeMap::new();
                for reading in readings {
                    if !matches!(reading.verdict, Verdict::Held { .. }) {
                        newest.insert((&reading.meter, &reading.register), reading.value);
                    }
                }
                let mut messages = Vec::new();
                for ((meter, register), value) in newest {
                    self.last.insert((meter.clone(), register.clone()), value);
                    messages
                        .push(Self::kept(format!("{base}/{meter}/{register}"), value.to_string()));
                }
                messages
            }
            Event::Alarm(alarm) => {
                match alarm.change {
                    AlarmChange::Cleared => {
                        self.alarms.remove(&alarm.id);
                    }
                    _ => {
                        self.alarms.insert(alarm.id.clone());
                    }
                }
                vec![self.alarm_state(about)]
            }
            _ => Vec::new(),
        }
    }

    fn incoming(&mut self, about: &About, topic: &str, payload: &[u8], now: Time) -> Taken {
        let again = topic == format!("{}/status", self.prefix) && payload == b"online";
        let messages = if again { self.born(about, now) } else { Vec::new() };
        Taken { messages, ..Taken::default() }
    }

    fn farewell(&mut self, about: &About, _now: Time) -> Vec<Message> {
        vec![Self::kept(format!("{}/availability", Self::base(about)), "offline")]
    }
}
