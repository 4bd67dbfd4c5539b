//! Meters that were added at the page: `meters.d/*.toml` in the state folder, which the daemon may write,
//! while the config in `/etc` is the administrator's (ADR 0031). The files hold `[[line]]` and `[[meter]]`
//! as the config does, and nothing else; they are read, checked and hashed with it. A person may edit
//! them: comments stay.

use crate::config::Config;
use blockgate_drivers::profile::{Profile, SerialDefaults};
use blockgate_drivers::transport::Target;
use blockgate_drivers::{Address, Parity};
use blockgate_types::strict::Document;
use blockgate_types::{LineId, MeterId, Unit};
use std::path::{Path, PathBuf};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

/// The folder below the state folder.
pub const FOLDER: &str = "meters.d";
/// The file that the page writes.
pub const FILE: &str = "page.toml";
/// What a new file begins with.
const HEAD: &str = "\
# 网页上添加的表计。可以手工修改；blockgate check 会和配置一起检查。
# Meters that were added at the page. May be edited by hand; blockgate check checks them with the config.
";

/// The folder of added meters, as the main file's text says it; the usual one where the text says nothing.
#[must_use]
pub fn folder(main: &str, beside: &Path) -> PathBuf {
    let document = Document::parse(main);
    let root = document.root();
    let gateway = root.table("gateway");
    let state = gateway.as_ref().and_then(|table| table.text("state_dir"));
    beside.join(state.unwrap_or("/var/lib/blockgate")).join(FOLDER)
}

/// A line that does not stand in the config yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// Its id.
    pub id: LineId,
    /// Where it leads.
    pub target: Target,
    /// At which speed its devices answer; none over TCP.
    pub speed: Option<SerialDefaults>,
}

/// A meter that does not stand in the config yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMeter {
    /// Its id.
    pub id: MeterId,
    /// On which line.
    pub line: LineId,
    /// Its address there.
    pub address: Address,
    /// Its device profile's id.
    pub profile: String,
    /// The most that can pass in an hour, where the config says nothing for all.
    pub max_per_hour: Option<&'static str>,
    /// What the device said of itself; stands as a comment.
    pub what: String,
}

/// The file's text with a line and meters more; everything that stands in it stays, comments too.
///
/// # Errors
/// When the text is no TOML.
pub fn with(text: &str, line: Option<&NewLine>, meters: &[NewMeter]) -> Result<String, String> {
    let text = if text.trim().is_empty() { HEAD } else { text };
    let mut document: DocumentMut =
        text.parse().map_err(|error| format!("{FOLDER}/{FILE} is no TOML: {error}"))?;
    // Comments behind the last table belong to the document; new tables must not push them down.
    if let Some(line) = line {
        push(&mut document, "line", line_table(line))?;
    }
    for meter in meters {
        push(&mut document, "meter", meter_table(meter))?;
    }
    Ok(document.to_string())
}

fn push(document: &mut DocumentMut, key: &str, table: Table) -> Result<(), String> {
    // The head of a file without tables is what `toml_edit` calls trailing: it stays the head.
    let head = document.trailing().as_str().unwrap_or_default().to_owned();
    let first = document.as_table().is_empty() && !head.is_empty();
    let entry = document.entry(key).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(tables) = entry.as_array_of_tables_mut() else {
        return Err(format!("{FOLDER}/{FILE}: {key} must be written as [[{key}]]"));
    };
    let mut table = table;
    if first {
        let own = table.decor().prefix().and_then(|raw| raw.as_str()).unwrap_or_default();
        let whole = format!("{head}{own}");
        table.decor_mut().set_prefix(whole);
    }
    tables.push(table);
    if first {
        document.set_trailing("");
    }
    Ok(())
}

fn new_table(comment: &str) -> Table {
    let mut table = Table::new();
    // One line, whatever a device says of itself.
    let comment: String = comment.chars().filter(|c| !c.is_control()).take(120).collect();
    let comment = if comment.is_empty() { String::new() } else { format!("# {comment}\n") };
    table.decor_mut().set_prefix(format!("\n{comment}"));
    table
}

fn line_table(line: &NewLine) -> Table {
    let mut table = new_table("");
    let mut set = |key: &str, value: Value| table.insert(key, Item::Value(value));
    set("id", line.id.as_str().into());
    match &line.target {
        Target::Serial { path, .. } => {
            set("kind", "serial".into());
            set("path", path.as_str().into());
            if let Some(speed) = line.speed {
                let parity = match speed.parity {
                    Parity::None => "none",
                    Parity::Even => "even",
                    Parity::Odd => "odd",
                };
                set("baud", i64::from(speed.baud).into());
                set("data_bits", i64::from(speed.data_bits).into());
                set("parity", parity.into());
                set("stop_bits", i64::from(speed.stop_bits).into());
            }
        }
        Target::Tcp { host, port } => {
            set("kind", "rtu-over-tcp".into());
            set("host", host.as_str().into());
            set("port", i64::from(*port).into());
        }
    }
    table
}

fn meter_table(meter: &NewMeter) -> Table {
    let mut table = new_table(&meter.what);
    let mut set = |key: &str, value: Value| table.insert(key, Item::Value(value));
    set("id", meter.id.as_str().into());
    set("line", meter.line.as_str().into());
    match meter.address {
        Address::Unit(unit) => set("address", i64::from(unit).into()),
        Address::Dlt645(_) | Address::Cjt188(_) | Address::Mbus(_) => {
            set("address", meter.address.to_string().into())
        }
    };
    set("profile", meter.profile.as_str().into());
    if let Some(most) = meter.max_per_hour {
        let mut value: Value = most.into();
        value.decor_mut().set_suffix(" # assumed: set it to what fuse or pipe can pass");
        set("max_per_hour", value);
    }
    table
}

/// What a meter of a profile can pass in an hour at most, where nobody said it: 100 A on one phase or on
/// three, a flat's water or gas, a heating of 100 kW. `None` for a unit of which that is not known.
#[must_use]
pub fn usual_most(profile: &Profile) -> Option<&'static str> {
    let billing = profile.specs().iter().find(|s| s.role == blockgate_types::Role::Billing)?;
    let has_phases = profile.specs().iter().any(|s| s.name.as_str().ends_with("_l3"));
    let is_heat = profile.id.contains("heat");
    let known = [
        (
            Unit::KilowattHour,
            if is_heat {
                "100"
            } else if has_phases {
                "69"
            } else {
                "27.6"
            },
        ),
        (Unit::CubicMetre, "10"),
        (Unit::Gigajoule, "0.4"),
    ];
    known.into_iter().find(|(unit, _)| *unit == billing.unit).map(|(_, most)| most)
}

/// The id of a line that is new: the first `line-N` that is free.
#[must_use]
pub fn line_id(config: &Config) -> Option<LineId> {
    let numbers = 1..=config.lines.len() + 1;
    numbers
        .filter_map(|n| LineId::new(&format!("line-{n}")).ok())
        .find(|id| !config.lines.contains_key(id))
}

/// The id that is proposed for a device: by its address, with its line where that is taken.
#[must_use]
pub fn meter_id(
    line: &LineId,
    address: Address,
    taken: impl Fn(&MeterId) -> bool,
) -> Option<MeterId> {
    let address = address.to_string().to_lowercase().replace('*', "x");
    [format!("m-{address}"), format!("m-{line}-{address}")]
        .into_iter()
        .filter_map(|text| MeterId::new(&text).ok())
        .find(|id| !taken(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockgate_drivers::Protocol;

    fn meter(address: &str) -> NewMeter {
        let address = Address::parse(Protocol::Modbus, address).unwrap();
        NewMeter {
            id: meter_id(&"l".parse().unwrap(), address, |_| false).unwrap(),
            line: "l".parse().unwrap(),
            address,
            profile: "eastron-sdm120".to_owned(),
            max_per_hour: Some("27.6"),
            what: "SDM120\n[[meter]]".to_owned(),
        }
    }

    #[test]
    fn what_stands_in_the_file_stays_and_what_is_added_is_read_by_the_config() {
        let line = NewLine {
            id: "l".parse().unwrap(),
            target: Target::Tcp { host: "127.0.0.1".to_owned(), port: 4001 },
            speed: None,
        };
        let first = with("", Some(&line), &[meter("1")]).unwrap();
        assert!(first.starts_with(HEAD), "{first}");
        let edited =
            first.replace("profile = \"eastron-sdm120\"", "profile = \"eastron-sdm120\" # hall");
        let second =
            with(&format!("{edited}\n# the end\n"), None, &[meter("2"), meter("3")]).unwrap();
        assert!(second.contains("# hall") && second.contains("# the end"), "{second}");
        assert_eq!(second.matches("[[meter]]\nid").count(), 3, "{second}");
        let main = "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\n\
                    state_dir = \"state\"\n[billing]\nclose_grace = \"1h\"\n";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("blockgate.toml");
        std::fs::write(&file, main).unwrap();
        let before = Config::load(&file).unwrap();
        let config = Config::load_adding(&file, FILE, &second).unwrap();
        assert_eq!((config.meters.len(), config.lines.len()), (3, 1));
        assert_ne!(config.hash, before.hash);
        // The file itself is read by the daemon and by `check`.
        std::fs::create_dir_all(dir.path().join("state").join(FOLDER)).unwrap();
        std::fs::write(dir.path().join("state").join(FOLDER).join(FILE), &second).unwrap();
        assert_eq!(Config::load(&file).unwrap().hash, config.hash);
    }

    #[test]
    fn a_fault_is_told_at_its_place_in_the_file_and_other_sections_do_not_belong_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("blockgate.toml");
        let main = "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\n\
                    state_dir = \"state\"\n[billing]\nclose_grace = \"1h\"\n[[line]]\nid = \"l\"\n\
                    kind = \"serial\"\npath = \"/dev/ttyS1\"\n[meter_defaults]\nmax_per_hour = \"30\"\n\
                    [[meter]]\nid = \"m-1\"\nline = \"l\"\naddress = 1\nprofile = \"eastron-sdm120\"\n";
        std::fs::write(&file, main).unwrap();
        let mut twice = meter("1");
        twice.line = "l".parse().unwrap();
        let text = format!("{}[http]\nlisten = \"0.0.0.0:1\"\n", with("", None, &[twice]).unwrap());
        let faults = Config::load_adding(&file, FILE, &text).unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let has =
            |what: &str| told.iter().any(|t| t.contains("meters.d/page.toml") && t.contains(what));
        assert!(has("meter m-1 stands here twice"), "{told:#?}");
        assert!(has("has address 1 on line l already"), "{told:#?}");
        assert!(has("http"), "{told:#?}");
    }
}
