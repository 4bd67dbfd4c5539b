//! `scan TARGET`: finds the meters of a line whose settings nobody knows, by requests that only read.

use super::Ended;
use blockgate_drivers::profile::SerialDefaults;
use blockgate_drivers::scan::{Found, Plan, Progress, Report, scan};
use blockgate_drivers::transport::SystemConnect;
use blockgate_drivers::{Address, Parity, Protocol, Target};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A serial port (/dev/ttyUSB0) or a transparent serial server (host:port); nobody else may use it
    /// meanwhile
    target: String,
    /// Only this baud rate; may be given several times
    #[arg(long, value_name = "BAUD", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: Vec<u32>,
    /// Only this protocol: modbus, dlt645, cjt188 or mbus; may be given several times
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    protocol: Vec<Protocol>,
    /// The Modbus units to ask
    #[arg(long, value_name = "FIRST-LAST", default_value = "1-247", value_parser = units)]
    units: (u8, u8),
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let known = Protocol::ALL.map(Protocol::text).join(", ");
    Protocol::from_text(text).ok_or_else(|| format!("there is: {known}"))
}

fn units(text: &str) -> Result<(u8, u8), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u8>(), last.parse::<u8>()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last && last <= 247 => Ok((first, last)),
        _ => Err("write it like 1-32; units are 1 to 247".to_owned()),
    }
}

/// A path is a serial port, anything else `host:port`.
fn target(text: &str) -> Result<Target, String> {
    if text.starts_with('/') || text.starts_with('.') {
        let (parity, path) = (Parity::Even, text.to_owned());
        return Ok(Target::Serial { path, baud: 2400, data_bits: 8, parity, stop_bits: 1 });
    }
    let wrong = || format!("{text:?} is neither a path like /dev/ttyUSB0 nor host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() { Err(wrong()) } else { Ok(Target::Tcp { host, port }) }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let target = target(&args.target).map_err(anyhow::Error::msg)?;
    let mut plan = Plan { units: args.units.0..=args.units.1, ..Plan::default() };
    if !args.baud.is_empty() {
        let parities = [Parity::Even, Parity::None];
        let speed = |baud, parity| SerialDefaults { baud, data_bits: 8, parity, stop_bits: 1 };
        let of = |baud: &u32| parities.map(|parity| speed(*baud, parity));
        plan.speeds = args.baud.iter().flat_map(of).collect();
    }
    if !args.protocol.is_empty() {
        plan.protocols.clone_from(&args.protocol);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Ctrl-C ends it; what was found until then has been told.
    let report = runtime.block_on(scan(&target, Arc::new(SystemConnect), &plan, tell));
    if args.json {
        println!("{}", as_json(&report));
    } else {
        print!("{}", as_config(&target, &report));
    }
    Ok(if report.found.is_empty() { Ended::No } else { Ended::Done })
}

fn tell(progress: &Progress) {
    match progress {
        Progress::Step { speed, protocol, step, steps, remaining } => {
            let (speed, rest) = (speed_text(*speed), remaining.as_secs());
            eprintln!("[{step}/{steps}] {protocol} {speed}, about {rest} s to go");
        }
        Progress::Found(found) => {
            let profile = found.profile.as_deref().unwrap_or("no profile fits");
            eprintln!("  found {} ({}; {profile})", found.address, found.what);
        }
        Progress::Note(note) => eprintln!("  {note}"),
    }
}

fn speed_text(speed: Option<SerialDefaults>) -> String {
    let Some(speed) = speed else { return String::new() };
    let parity = match speed.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    format!("{} {}{parity}{}", speed.baud, speed.data_bits, speed.stop_bits)
}

fn as_json(report: &Report) -> Value {
    let found = report.found.iter().map(|found| {
        json!({
            "protocol": found.address.protocol().text(),
            "address": found.address,
            "serial": found.speed.map(|speed| speed_text(Some(speed))),
            "what": found.what,
            "profile": found.profile,
        })
    });
    json!({
        "found": found.collect::<Vec<_>>(),
        "notes": report.notes,
        "requests": report.requests,
    })
}

/// The config that reads what was found, ready to paste.
fn as_config(target: &Target, report: &Report) -> String {
    let Some(first) = report.found.first() else {
        return "# no meter answered: wiring (A and B swapped?), power of the meters, another master\n"
            .to_owned();
    };
    let mut text = String::from("[[line]]\nid = \"line-1\"\n");
    match target {
        Target::Serial { path, .. } => {
            text += &format!("kind = \"serial\"\npath = {path:?}\n");
            if let Some(speed) = first.speed {
                let parity = match speed.parity {
                    Parity::None => "none",
                    Parity::Even => "even",
                    Parity::Odd => "odd",
                };
                text += &format!("baud = {}\nparity = \"{parity}\"\n", speed.baud);
            }
        }
        Target::Tcp { host, port } => {
            text += &format!("kind = \"rtu-over-tcp\"\nhost = {host:?}\nport = {port}\n");
        }
    }
    for found in &report.found {
        text += &meter(found, first.speed);
    }
    text
}

fn meter(found: &Found, speed: Option<SerialDefaults>) -> String {
    if found.speed != speed {
        let (own, line) = (speed_text(found.speed), speed_text(speed));
        return format!(
            "\n# {} ({}) answers at {own}, not at {line}: a line has one speed; set the meter to it\n",
            found.address, found.what
        );
    }
    let id: String = found.address.to_string().to_lowercase().replace('*', "x");
    let address = match found.address {
        Address::Unit(unit) => unit.to_string(),
        Address::Dlt645(_) | Address::Cjt188(_) | Address::Mbus(_) => {
            format!("{:?}", found.address.to_string())
        }
    };
    let profile = match &found.profile {
        Some(profile) => format!("profile = {profile:?}"),
        None => "profile = \"\" # none of the built-in ones fits: choose or write one".to_owned(),
    };
    format!(
        "\n[[meter]] # {}\nid = \"m-{id}\"\nline = \"line-1\"\naddress = {address}\n{profile}\n",
        found.what
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_becomes_config_that_is_taken() {
        let slow = SerialDefaults { baud: 2400, data_bits: 8, parity: Parity::Even, stop_bits: 1 };
        let found = |protocol, address: &str, profile: &str, speed| Found {
            address: Address::parse(protocol, address).unwrap(),
            speed: Some(speed),
            what: protocol.to_string(),
            profile: Some(profile.to_owned()),
        };
        let fast = SerialDefaults { baud: 9600, parity: Parity::None, ..slow };
        let report = Report {
            found: vec![
                found(Protocol::Dlt645, "161", "generic-dlt645-single-phase", slow),
                found(Protocol::Mbus, "12345678-SEN-08-04", "sensus-pollucom-e", slow),
                found(Protocol::Modbus, "7", "eastron-sdm120", fast),
            ],
            ..Report::default()
        };
        let config = as_config(&target("/dev/ttyUSB0").unwrap(), &report);
        let whole = format!(
            "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\n[billing]\n\
             close_grace = \"24h\"\n[meter_defaults]\nmax_per_hour = \"30\"\n{config}"
        );
        let text = crate::config::Text { name: "c.toml".to_owned(), text: whole };
        let folder = std::path::Path::new("/etc/blockgate");
        let config = crate::config::Config::parse(&text, &[], &[], folder);
        let config = config.unwrap_or_else(|faults| panic!("{faults:?}\n{}", text.text));
        let addresses: Vec<String> =
            config.meters.values().map(|meter| meter.address.to_string()).collect();
        assert_eq!(addresses, ["000000000161", "12345678-SEN-08-04"]);
        assert!(text.text.contains("# 7 (Modbus) answers at 9600 8N1, not at 2400 8E1"));
    }

    #[test]
    fn targets_and_units_are_read_or_refused() {
        assert!(matches!(target("/dev/ttyS0"), Ok(Target::Serial { .. })));
        assert!(matches!(target("10.0.0.7:4001"), Ok(Target::Tcp { port: 4001, .. })));
        for bad in ["ttyUSB0", "host:", ":4001", "host:x"] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert_eq!((units("1-32"), units("7")), (Ok((1, 32)), Ok((7, 7))));
        for bad in ["0-3", "3-1", "1-248", "x"] {
            assert!(units(bad).is_err(), "{bad}");
        }
    }
}
