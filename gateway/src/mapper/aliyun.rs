//! The thing model of Alibaba Cloud IoT (Alink JSON, version 1.0), help.aliyun.com document 89301.
//!
//! ```text
//! /sys/{product}/{device}/thing/event/property/pack/post      accepted readings; meters are sub-devices
//! /sys/{product}/{device}/thing/event/{kind}/post             bill, payment, alarm, ledger, gap, …
//! …_reply                                                     code 200 confirms; awaited for each
//! /sys/{product}/{device}/thing/service/{identifier}          a command; answered on …_reply
//! ```
//!
//! - `sys.ack` is 1, else no reply comes. `id` is a decimal number; ours counts from the clock.
//! - `time` is always sent, UTC milliseconds; nothing is sent that was journaled with an unsynchronised
//!   clock, because the platform would file it wrongly.
//! - A register travels as an integer, thousandths of its unit (Wh, litres), and exactly as text in
//!   `{register}_text`; money as integer fen inside the event's document.
//! - The reply comes from the platform, not from the billing application: it moves this mapper's place in
//!   the journal and never the outbox.

use super::{About, Hello, Incoming, Mapper, Message, Taken};
use crate::store::record::Record;
use blockgate_rules::Event;
use blockgate_rules::event::{Reading, Verdict};
use blockgate_types::{ClockState, Decimal, MeterId, Time};
use ring::hmac;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Sub-devices in one pack (the platform's bound).
const DEVICES_MAX: usize = 20;
/// Commands that wait for their outcome.
const WAITING_MAX: usize = 256;

/// The mapper's state.
#[derive(Debug)]
pub struct Aliyun {
    product: String,
    device: String,
    secret: Vec<u8>,
    meters: String,
    next: u32,
    /// Services that wait for their outcome: our handle, the topic, the platform's id.
    services: BTreeMap<String, (String, String)>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Thousandths of a unit, rounded towards zero; `None` beyond what an integer holds.
fn thousandths(value: Decimal) -> Option<i64> {
    let whole = value.checked_mul(Decimal::ONE_THOUSAND)?.trunc();
    whole.to_string().split('.').next()?.parse().ok()
}

impl Aliyun {
    /// A device of the platform; `secret` is its device secret.
    #[must_use]
    pub fn new(product: &str, device: &str, secret: &[u8], meters: &str, now: Time) -> Self {
        Self {
            product: product.to_owned(),
            device: device.to_owned(),
            secret: secret.trim_ascii().to_vec(),
            meters: meters.to_owned(),
            // Unique on a day: seconds and a count behind them.
            next: u32::try_from(now.as_millis() / 1000 % 4_000_000).unwrap_or(0) * 1000,
            services: BTreeMap::new(),
        }
    }

    fn base(&self) -> String {
        format!("/sys/{}/{}/thing", self.product, self.device)
    }

    fn id(&mut self) -> String {
        self.next = self.next.wrapping_add(1);
        self.next.to_string()
    }

    fn post(&mut self, below: &str, method: &str, params: Value) -> Message {
        let id = self.id();
        let payload = json!({ "id": id, "version": "1.0", "sys": { "ack": 1 }, "params": params, "method": method });
        Message {
            topic: format!("{}/{below}", self.base()),
            payload: payload.to_string().into_bytes(),
            assured: true,
            retain: false,
            awaits: Some(id),
        }
    }

    fn readings(&mut self, readings: &[Reading]) -> Vec<Message> {
        // One value of a property in a pack: the readings of one meter go into packs one after another.
        let mut packs: Vec<BTreeMap<&MeterId, Map<String, Value>>> = Vec::new();
        for reading in readings.iter().filter(|r| !matches!(r.verdict, Verdict::Held { .. })) {
            let name = reading.register.as_str();
            let place = packs.iter().position(|pack| match pack.get(&reading.meter) {
                Some(properties) => !properties.contains_key(name),
                None => pack.len() < DEVICES_MAX,
            });
            let place = place.unwrap_or_else(|| {
                packs.push(BTreeMap::new());
                packs.len() - 1
            });
            let Some(pack) = packs.get_mut(place) else { continue };
            let properties = pack.entry(&reading.meter).or_default();
            let time = reading.at.as_millis();
            if let Some(value) = thousandths(reading.value) {
                properties.insert(name.to_owned(), json!({ "value": value, "time": time }));
            }
            let exact = json!({ "value": reading.value.to_string(), "time": time });
            properties.insert(format!("{name}_text"), exact);
        }
        let mut messages = Vec::new();
        for pack in packs {
            let devices: Vec<Value> = pack
                .into_iter()
                .map(|(meter, properties)| {
                    json!({ "identity": { "productKey": self.meters, "deviceName": meter }, "properties": properties })
                })
                .collect();
            let params = json!({ "properties": {}, "events": {}, "subDevices": devices });
            messages.push(self.post(
                "event/property/pack/post",
                "thing.event.property.pack.post",
                params,
            ));
        }
        messages
    }
}

impl Mapper for Aliyun {
    fn hello(&mut self, about: &About, now: Time) -> Hello {
        self.services.clear();
        let id = format!("blockgate.{}", about.gateway);
        let stamp = now.as_millis();
        let said = format!(
            "clientId{id}deviceName{}productKey{}timestamp{stamp}",
            self.device, self.product
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let password = hex(hmac::sign(&key, said.as_bytes()).as_ref());
        Hello {
            client_id: Some(format!("{id}|securemode=2,signmethod=hmacsha256,timestamp={stamp}|")),
            login: Some((format!("{}&{}", self.device, self.product), password)),
            // The platform notices by itself that a device is gone.
            will: None,
        }
    }

    fn listens(&self, _about: &About) -> Vec<String> {
        let base = self.base();
        vec![
            format!("{base}/event/+/post_reply"),
            format!("{base}/event/property/pack/post_reply"),
            format!("{base}/service/+"),
        ]
    }

    fn born(&mut self, about: &About, now: Time) -> Vec<Message> {
        let time = now.as_millis();
        let one = |value: &str| json!({ "value": value, "time": time });
        let params = json!({ "version": one(&about.version), "tenant": one(&about.tenant), "gateway": one(&about.gateway) });
        vec![self.post("event/property/post", "thing.event.property.post", params)]
    }

    fn event(&mut self, _about: &About, record: &Record, _late: bool) -> Vec<Message> {
        if record.clockstate == ClockState::Unsynced {
            return Vec::new();
        }
        if let Event::Reading { readings } = &record.data {
            return self.readings(readings);
        }
        let kind = record.data.kind();
        let Ok(document) = serde_json::to_string(&record.data) else { return Vec::new() };
        let value = json!({ "event_id": record.id, "seq": record.seq, "document": document });
        let params = json!({ "value": value, "time": record.time.as_millis() });
        vec![self.post(&format!("event/{kind}/post"), &format!("thing.event.{kind}.post"), params)]
    }

    fn incoming(&mut self, _about: &About, topic: &str, payload: &[u8], _now: Time) -> Taken {
        let base = self.base();
        let Some(below) = topic.strip_prefix(&base).and_then(|t| t.strip_prefix('/')) else {
            return Taken::default();
        };
        let Ok(said) = serde_json::from_slice::<Value>(payload) else { return Taken::default() };
        let id = match said.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Taken::default(),
        };
        if below.starts_with("event/") && below.ends_with("_reply") {
            let good = said.get("code").and_then(Value::as_i64) == Some(200);
            return Taken { answer: Some((id, good)), ..Taken::default() };
        }
        let Some(identifier) = below.strip_prefix("service/").filter(|i| !i.contains('/')) else {
            return Taken::default();
        };
        if self.services.len() >= WAITING_MAX || identifier.ends_with("_reply") {
            return Taken::default();
        }
        // The platform's identifiers have no hyphens.
        let name = identifier.replace('_', "-");
        let params = said.get("params").cloned().unwrap_or_default();
        let args = match params.get("args") {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(args) => args.clone(),
            None => Value::Null,
        };
        let mut document = Map::new();
        for key in ["id", "issued_at", "expires_at", "actor"] {
            document.insert(key.to_owned(), params.get(key).cloned().unwrap_or_default());
        }
        document.insert("args".to_owned(), args);
        let handle = format!("{identifier}#{id}");
        self.services.insert(handle.clone(), (format!("{base}/service/{identifier}_reply"), id));
        let document = Value::Object(document).to_string().into_bytes();
        Taken { command: Some(Incoming { name, document, handle }), ..Taken::default() }
    }

    fn ended(&mut self, handle: &str, status: &str, reason: &str) -> Vec<Message> {
        let Some((topic, id)) = self.services.remove(handle) else { return Vec::new() };
        // 200 says that the service was answered; how, stands in the data.
        let payload =
            json!({ "id": id, "code": 200, "data": { "status": status, "reason": reason } });
        let payload = payload.to_string().into_bytes();
        vec![Message { topic, payload, assured: true, retain: false, awaits: None }]
    }
}
