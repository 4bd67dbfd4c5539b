//! Other clouds beside the native contract: mappers over the same events, each to a broker of its own
//! and off unless the config has its section. None of them is a way to the books: they never confirm
//! anything to the outbox, and whatever they lose the native contract still delivers.
//!
//! | module | what |
//! |---|---|
//! | [`aliyun`] | the thing model of Alibaba Cloud IoT (Alink JSON) |
//! | [`sparkplug`] | Sparkplug B 3.0: births, deaths, readings; [`protobuf`] is its encoding |
//! | [`homeassistant`] | MQTT discovery of Home Assistant |
//! | `task` | the connection, the place in the journal, and sending |

pub mod aliyun;
pub mod homeassistant;
pub mod protobuf;
pub mod sparkplug;
mod task;

pub use task::{Link, run};

use crate::config::MqttConfig;
use crate::store::record::Record;
use blockgate_rules::setup::Setup;
use blockgate_types::{MeterId, RegisterName, Time, Unit};
use std::collections::BTreeMap;

/// A mapper's section of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapperConfig {
    /// Its broker.
    pub mqtt: MqttConfig,
    /// What it speaks.
    pub kind: MapperKind,
}

/// Which mapper, with what only it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapperKind {
    /// `[mapper.aliyun]`.
    Aliyun {
        /// Product of the gateway.
        product_key: String,
        /// The gateway's name as a device.
        device_name: String,
        /// File with the device's secret (0600).
        device_secret_file: std::path::PathBuf,
        /// Product of the meters, which are sub-devices by their ids.
        meter_product_key: String,
    },
    /// `[mapper.sparkplug]`.
    Sparkplug {
        /// Group id.
        group: String,
    },
    /// `[mapper.homeassistant]`.
    HomeAssistant {
        /// Discovery prefix, `homeassistant` by default.
        prefix: String,
    },
}

impl MapperKind {
    /// The section's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Aliyun { .. } => "aliyun",
            Self::Sparkplug { .. } => "sparkplug",
            Self::HomeAssistant { .. } => "homeassistant",
        }
    }
}

/// How a mapper introduces itself to its broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// Client id, where it is not the config's.
    pub client_id: Option<String>,
    /// User name and password, where they are not the config's.
    pub login: Option<(String, String)>,
    /// What the broker says when we are gone.
    pub will: Option<Message>,
}

/// A message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic, whole.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// QoS 1, or 0.
    pub assured: bool,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// An answer that must come before the event counts as delivered.
    pub awaits: Option<String>,
}

/// What a mapper does with a message that came in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// To be sent.
    pub messages: Vec<Message>,
    /// An answer that was waited for has come; false when it says no.
    pub answer: Option<(String, bool)>,
    /// A command for the door: its name and document, and what is needed to answer it.
    pub command: Option<Incoming>,
}

/// A command that came by a mapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its name.
    pub name: String,
    /// The command document of the native contract.
    pub document: Vec<u8>,
    /// Given back with the outcome.
    pub handle: String,
}

/// What the gateway is, for births and discovery.
#[derive(Debug, Clone)]
pub struct About {
    /// Tenant and gateway ids.
    pub tenant: String,
    /// Gateway id.
    pub gateway: String,
    /// The program's version.
    pub version: String,
    /// Meters with their registers.
    pub meters: BTreeMap<MeterId, Registers>,
}

/// The billing registers of a meter with their units.
pub type Registers = BTreeMap<RegisterName, Unit>;

impl About {
    /// From the setup.
    #[must_use]
    pub fn of(setup: &Setup, tenant: &str, gateway: &str) -> Self {
        let registers = |meter: &blockgate_rules::setup::MeterSetup| {
            meter.registers.iter().map(|r| (r.name.clone(), r.unit)).collect()
        };
        Self {
            tenant: tenant.to_owned(),
            gateway: gateway.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            meters: setup.meters.iter().map(|(id, m)| (id.clone(), registers(m))).collect(),
        }
    }
}

/// A profile of messages over the same events. It has no clock, no network and no disk.
pub trait Mapper: Send {
    /// The next connection begins.
    fn hello(&mut self, about: &About, now: Time) -> Hello;
    /// What to listen to.
    fn listens(&self, about: &About) -> Vec<String>;
    /// The connection is open and what was asked for is granted.
    fn born(&mut self, about: &About, now: Time) -> Vec<Message>;
    /// An event of the journal; `late` when it was journaled before the connection.
    fn event(&mut self, about: &About, record: &Record, late: bool) -> Vec<Message>;
    /// A message came in.
    fn incoming(&mut self, about: &About, topic: &str, payload: &[u8], now: Time) -> Taken;
    /// A command that came in has ended.
    fn ended(&mut self, handle: &str, status: &str, reason: &str) -> Vec<Message> {
        let _ = (handle, status, reason);
        Vec::new()
    }
    /// The last words before an ordered end.
    fn farewell(&mut self, about: &About, now: Time) -> Vec<Message> {
        let _ = (about, now);
        Vec::new()
    }
}
