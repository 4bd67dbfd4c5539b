//! The config: `/etc/blockgate/blockgate.toml`, the tariffs in `rules.d/*.toml` and own device
//! profiles in `profiles.d/*.toml` beside it, and what the page added in `meters.d/*.toml` of the state
//! folder ([`added`], ADR 0031). Read whole or not at all: [`Config::load`] gives every fault of every
//! file at once, each at its line and column.

pub mod added;
mod anomalies;
pub mod authority;
pub mod doors;
pub mod lanes;
mod money;
mod parking;
mod parse;
mod pins;
pub mod reader_key;
pub mod secret;
#[cfg(test)]
mod tests;

use crate::mapper::MapperConfig;
use crate::mqtt::authority::Authority;
use blockgate_drivers::Address;
use blockgate_drivers::line::LineSettings;
use blockgate_drivers::profile::Profile;
use blockgate_rules::setup::Setup;
use blockgate_types::strict::Fault;
use blockgate_types::{Control, Decimal, LineId, MeterId, Span, TariffId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that the files say.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who we are.
    pub identity: Identity,
    /// Where the journal and everything else that stays is kept.
    pub state_dir: PathBuf,
    /// How long readings may wait for the disk together; what a person or a barrier waits for is
    /// never held back by it.
    pub commit_interval: Span,
    /// Whom to believe about the clock.
    pub clock: ClockTrust,
    /// How far readings at the edge of a quarter-hour may lie apart, over all lines.
    pub align_within: Span,
    /// The way to the cloud; none for a box that only serves its page.
    pub mqtt: Option<MqttConfig>,
    /// Other clouds beside the native contract.
    pub mappers: Vec<MapperConfig>,
    /// The page and the API; none for a box without them.
    pub http: Option<HttpConfig>,
    /// The lines by id.
    pub lines: BTreeMap<LineId, LineSettings>,
    /// The meters by id, as the lines need them.
    pub meters: BTreeMap<MeterId, MeterConfig>,
    /// Cameras and barriers.
    pub lanes_at: lanes::LanesConfig,
    /// Door controllers and people.
    pub doors_at: doors::DoorsConfig,
    /// Meters, accounts and tariffs as the rules need them.
    pub setup: Setup,
    /// The device profiles by id, the built-in ones and those of `profiles.d`.
    pub profiles: BTreeMap<String, Arc<Profile>>,
    /// `[meter_defaults] max_per_hour`, where it is given.
    pub max_per_hour: Option<Decimal>,
    /// SHA-256 over all files, the first sixteen hexadecimal digits.
    pub hash: String,
}

/// A meter as its line needs it.
#[derive(Debug, Clone)]
pub struct MeterConfig {
    /// On which line.
    pub line: LineId,
    /// Its address there, in the form of its profile's protocol.
    pub address: Address,
    /// Its device profile.
    pub profile: Arc<Profile>,
    /// Polled this often; zero means as fast as the line can.
    pub poll_every: Span,
    /// Also read at the edge of each slot of this length; zero for none.
    pub record_every: Span,
    /// The file with level, password and operator with which it is told something ([`authority`]).
    pub authority_file: Option<PathBuf>,
    /// What it may be told.
    pub controls: BTreeSet<Control>,
}

/// Whom to believe about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTrust {
    /// The kernel's synchronisation state (chrony, systemd-timesyncd).
    Kernel,
    /// The clock is right, whatever the kernel says: a box with a clock of its own.
    Always,
}

/// A fault of one of the files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFault {
    /// The file as it was named.
    pub file: String,
    /// Where and what; line 0 when the file as a whole could not be read.
    pub fault: Fault,
}

impl std::fmt::Display for FileFault {
    /// `file:line:column: message`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.fault)
    }
}

/// A file's name and text.
#[derive(Debug, Clone)]
pub struct Text {
    /// As it stands in front of a fault.
    pub name: String,
    /// Its content.
    pub text: String,
}

impl Config {
    /// Reads the config file with the rules and profiles beside it and the meters that were added.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(file: &Path) -> Result<Self, Vec<FileFault>> {
        let mut faults = Vec::new();
        match read(file, &mut faults) {
            Some(main) => Self::load_text(&main, folder_of(file), None, faults),
            None => {
                let _ = Self::read_beside(folder_of(file), &mut faults);
                Err(faults)
            }
        }
    }

    /// As [`Config::load`], for a text that is not in its file yet.
    ///
    /// # Errors
    /// Every fault of the text and of the files beside it.
    pub fn load_with(main: &Text, folder: &Path) -> Result<Self, Vec<FileFault>> {
        Self::load_text(main, folder, None, Vec::new())
    }

    /// As [`Config::load`], with `text` in place of what the file `name` of `meters.d` says now.
    ///
    /// # Errors
    /// Every fault of the text and of all files.
    pub fn load_adding(file: &Path, name: &str, text: &str) -> Result<Self, Vec<FileFault>> {
        let mut faults = Vec::new();
        let Some(main) = read(file, &mut faults) else { return Err(faults) };
        Self::load_text(&main, folder_of(file), Some((name, text)), faults)
    }

    fn load_text(
        main: &Text,
        folder: &Path,
        instead: Option<(&str, &str)>,
        mut faults: Vec<FileFault>,
    ) -> Result<Self, Vec<FileFault>> {
        let added = added::folder(&main.text, folder);
        let mut texts = read_folder(&added, &mut faults);
        if let Some((name, text)) = instead {
            let name = added.join(name).display().to_string();
            texts.retain(|known| known.name != name);
            texts.push(Text { name, text: text.to_owned() });
            texts.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let (rules, profiles) = Self::read_beside(folder, &mut faults);
        match parse::parse(main, &texts, &rules, &profiles, folder) {
            Ok(config) if faults.is_empty() => Ok(config),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                faults.sort();
                Err(faults)
            }
        }
    }

    /// The texts of `rules.d` and `profiles.d`.
    fn read_beside(folder: &Path, faults: &mut Vec<FileFault>) -> (Vec<Text>, Vec<Text>) {
        (
            read_folder(&folder.join("rules.d"), faults),
            read_folder(&folder.join("profiles.d"), faults),
        )
    }

    /// Tariffs that no charge of any account uses.
    pub fn unused_tariffs(&self) -> impl Iterator<Item = &TariffId> {
        let accounts = self.setup.accounts.values();
        let used: BTreeSet<&TariffId> =
            accounts.flat_map(|account| account.charges.values()).map(|c| &c.tariff).collect();
        self.setup.tariffs.keys().filter(move |id| !used.contains(id))
    }

    /// Reads texts. Relative paths in them count from `folder`.
    ///
    /// # Errors
    /// Every fault of every text.
    pub fn parse(
        main: &Text,
        rules: &[Text],
        profiles: &[Text],
        folder: &Path,
    ) -> Result<Self, Vec<FileFault>> {
        parse::parse(main, &[], rules, profiles, folder)
    }
}

/// The folder of a config file.
fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new("."))
}

fn unreadable(file: &Path, error: &std::io::Error) -> FileFault {
    let message = format!("cannot be read: {error}");
    FileFault { file: file.display().to_string(), fault: Fault { line: 0, column: 0, message } }
}

fn read(file: &Path, faults: &mut Vec<FileFault>) -> Option<Text> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            faults.push(unreadable(file, &error));
            return None;
        }
    };
    let name = file.display().to_string();
    match String::from_utf8(bytes) {
        Ok(text) => Some(Text { name, text }),
        Err(error) => {
            faults.push(FileFault { file: name, fault: not_utf8(&error) });
            None
        }
    }
}

/// An editor that saves in GBK or the like: where the first such character stands.
fn not_utf8(error: &std::string::FromUtf8Error) -> Fault {
    let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let good = String::from_utf8_lossy(good);
    let last = good.rsplit('\n').next().unwrap_or_default();
    Fault {
        line: good.matches('\n').count() + 1,
        column: last.chars().count() + 1,
        message: "this character is not UTF-8: save the file as UTF-8".to_owned(),
    }
}

/// The `*.toml` files of a folder by name; a folder that is not there is empty.
fn read_folder(folder: &Path, faults: &mut Vec<FileFault>) -> Vec<Text> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            faults.push(unreadable(folder, &error));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files.iter().filter_map(|file| read(file, faults)).collect()
}

/// `[mqtt]`: the way to the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttConfig {
    /// Broker's name or address; the certificate must carry it.
    pub host: String,
    /// Its TLS port, 8883 by custom.
    pub port: u16,
    /// PEM file with the CA certificates that are trusted; none means the system's.
    pub ca: Option<PathBuf>,
    /// Our certificate chain, PEM, for mutual TLS.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// File that holds the password (0600).
    pub password_file: Option<PathBuf>,
    /// Client id; `blockgate-{gateway}` when absent.
    pub client_id: String,
    /// MQTT keep-alive.
    pub keep_alive: Span,
    /// An event without a receipt for this long is sent again.
    pub receipt_timeout: Span,
    /// Live values are published this often; zero never.
    pub telemetry_every: Span,
    /// Which MQTT is spoken.
    pub version: MqttVersion,
    /// Each wait before a new attempt is longer by up to this: for fleets.
    pub reconnect_spread: Span,
    /// Messages of a backlog a second; 0 without a bound.
    pub backfill_per_second: u32,
    /// SHA-256 of the public keys that the broker may have; any that its CA vouches for where there
    /// are none.
    pub pins: Vec<[u8; 32]>,
    /// `[[mqtt.allow]]`: who may order what.
    pub authority: Authority,
}

impl MqttConfig {
    /// A broker with what holds where the config says nothing, for client `id`.
    #[must_use]
    pub fn to(host: &str, port: u16, id: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            ca: None,
            cert: None,
            key: None,
            username: None,
            password_file: None,
            client_id: id.to_owned(),
            keep_alive: Span::from_secs(30),
            receipt_timeout: Span::from_secs(60),
            telemetry_every: Span::from_secs(10),
            version: MqttVersion::Auto,
            reconnect_spread: Span::ZERO,
            backfill_per_second: 500,
            pins: Vec::new(),
            authority: Authority::default(),
        }
    }
}

/// Which version of MQTT is spoken to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttVersion {
    /// 5; 3.1.1 with a broker that has nothing else.
    Auto,
    /// 5 only.
    Five,
    /// 3.1.1 only.
    Three,
}

/// `[http]`: the page and the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `127.0.0.1:8080`; another address than loopback needs a certificate.
    pub listen: std::net::SocketAddr,
    /// PEM certificate chain; one is made when the address is not loopback and none is named.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Names under which the page may be asked for, beside addresses (DNS rebinding).
    pub hosts: Vec<String>,
    /// After this long without a request a session of the page only reads, until the password is given again.
    pub lock_after: Span,
}

impl HttpConfig {
    /// Ten minutes: whoever holds the phone may have changed by then.
    pub const LOCK_AFTER: Span = Span::from_mins(10);
}

/// `[gateway]`: who we are; the topic prefix and the envelope's source come from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tenant, an id.
    pub tenant: String,
    /// Gateway, an id.
    pub gateway: String,
}
