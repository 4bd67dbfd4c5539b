//! `scan`: finds the meters of a line whose settings nobody knows, by requests that only read. Through the
//! running daemon when there is one, because a wire has one master; else on the wire itself.

use super::{CONFIG, Ended, print_faults};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control::{self, Ask};
use crate::limits;
use crate::ports::Clock;
use crate::scans::{Job, Scan, Wanted, units};
use anyhow::Context;
use blockgate_drivers::line::Framing;
use blockgate_drivers::transport::{SystemConnect, Target};
use blockgate_types::{LineId, ScanId};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["target", "port", "tcp", "line"])))]
pub(super) struct Args {
    /// A serial port (/dev/ttyUSB0) or a transparent serial server (host:port): --port or --tcp, told apart
    /// by the slash
    target: Option<String>,
    /// A serial port
    #[arg(long, value_name = "PATH")]
    port: Option<String>,
    /// A transparent serial server
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Option<String>,
    /// A line of the config; its polls wait meanwhile
    #[arg(long, value_name = "ID")]
    line: Option<LineId>,
    /// Only this baud rate; may be given several times
    #[arg(long, value_name = "BAUD", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: Vec<u32>,
    /// Only this protocol: modbus, dlt645, cjt188 or mbus; may be given several times
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    protocol: Vec<String>,
    /// The Modbus units to ask
    #[arg(long, value_name = "FIRST-LAST", value_parser = units_text)]
    units: Option<String>,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// The config file, for the lines and the running daemon
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

fn protocol(text: &str) -> Result<String, String> {
    let wanted = Wanted { protocols: vec![text.to_owned()], ..Wanted::default() };
    wanted.plan().map(|_| text.to_owned())
}

fn units_text(text: &str) -> Result<String, String> {
    units(text).map(|_| text.to_owned())
}

impl Args {
    fn wanted(&self) -> Wanted {
        let mut wanted = Wanted {
            line: self.line.clone(),
            port: self.port.clone(),
            tcp: self.tcp.clone(),
            protocols: self.protocol.clone(),
            bauds: self.baud.clone(),
            units: self.units.clone(),
        };
        match &self.target {
            Some(text) if text.starts_with('/') => wanted.port = Some(text.clone()),
            Some(text) if text.starts_with('.') => {
                // As the shell completes it.
                let path = std::path::absolute(text).unwrap_or_else(|_| text.into());
                wanted.port = Some(path.display().to_string());
            }
            Some(text) => wanted.tcp = Some(text.clone()),
            None => {}
        }
        wanted
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let wanted = args.wanted();
    wanted.target().map_err(anyhow::Error::msg)?;
    // A scan is often the first thing that is done with a box: there need be no config yet.
    let asked_for = args.line.is_some() || args.config != Path::new(CONFIG);
    let config = match Config::load(&args.config) {
        Ok(config) => Some(config),
        Err(faults) if asked_for => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
        Err(_) => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        if let Some(config) = &config {
            let question = Ask::Scan { wanted: wanted.clone() };
            if let Some(begun) = control::ask(&config.state_dir, &question).await? {
                return by_daemon(&config.state_dir, begun).await;
            }
        }
        here(&wanted, config.as_ref()).await
    })?;
    if let Some(error) = end.get("error").and_then(Value::as_str) {
        if args.json {
            println!("{end}");
        }
        eprintln!("blockgate: {error}");
        return Ok(Ended::No);
    }
    if args.json {
        println!("{end}");
    } else {
        print!("{}", end.get("config").and_then(Value::as_str).unwrap_or_default());
    }
    let nothing = end.get("found").and_then(Value::as_array).is_none_or(Vec::is_empty);
    Ok(if nothing { Ended::No } else { Ended::Done })
}

/// Follows a scan of the daemon to its end; Ctrl-C cancels it there.
async fn by_daemon(state_dir: &Path, begun: Value) -> anyhow::Result<Value> {
    let Some(id) = begun.get("id").and_then(Value::as_str) else { return Ok(begun) };
    let id = ScanId::new(id)?;
    let (mut told, mut now) = (Told::default(), begun);
    loop {
        told.tell(&now);
        if is_over(&now) {
            return Ok(now);
        }
        let question = tokio::select! { biased;
            _ = tokio::signal::ctrl_c() => Ask::ScanCancel { id: id.clone() },
            () = tokio::time::sleep(limits::SCAN_LOOK_EVERY) => Ask::ScanState { id: id.clone() },
        };
        let answer = control::ask(state_dir, &question).await?;
        now = answer.context("the daemon stopped; what was found until then is above")?;
    }
}

/// Scans on the wire itself; Ctrl-C ends it with what was found until then.
async fn here(wanted: &Wanted, config: Option<&Config>) -> anyhow::Result<Value> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(true));
    let plan = wanted.plan().map_err(anyhow::Error::msg)?;
    let (line, target, known) = place(wanted, config)?;
    let scan = Arc::new(Scan::new(ScanId::new("scan-1")?, line, target, known, clock.now()));
    let job = Job::new(scan.clone(), plan, clock.clone());
    let never = CancellationToken::new();
    let (mut told, mut run) =
        (Told::default(), std::pin::pin!(job.run(Arc::new(SystemConnect), &never)));
    loop {
        tokio::select! { biased;
            () = &mut run => break,
            _ = tokio::signal::ctrl_c() => scan.cancel(),
            () = tokio::time::sleep(limits::SCAN_LOOK_EVERY) => told.tell(&scan.json(clock.now())),
        }
    }
    let end = scan.json(clock.now());
    told.tell(&end);
    Ok(end)
}

type Place =
    (Option<LineId>, Target, BTreeMap<blockgate_drivers::Address, blockgate_types::MeterId>);

fn place(wanted: &Wanted, config: Option<&Config>) -> anyhow::Result<Place> {
    if let Some(target) = wanted.target().map_err(anyhow::Error::msg)? {
        return Ok((None, target, BTreeMap::new()));
    }
    let (Some(id), Some(config)) = (&wanted.line, config) else { anyhow::bail!("no config") };
    let settings = config.lines.get(id).with_context(|| format!("there is no line {id}"))?;
    anyhow::ensure!(settings.framing == Framing::Rtu, "line {id} is Modbus TCP: nothing to scan");
    let on_it = config.meters.iter().filter(|(_, meter)| meter.line == *id);
    let known = on_it.map(|(meter, config)| (config.address, meter.clone())).collect();
    Ok((Some(id.clone()), settings.target.clone(), known))
}

fn is_over(scan: &Value) -> bool {
    scan.get("ended").is_none_or(|ended| !ended.is_null())
}

/// What standard error has been told of a scan.
#[derive(Default)]
struct Told {
    step: u64,
    found: usize,
    notes: usize,
}

impl Told {
    fn tell(&mut self, scan: &Value) {
        let text = |value: &Value, key: &str| {
            let value = value.get(key).cloned().unwrap_or_default();
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let number = |key: &str| scan.get(key).and_then(Value::as_u64).unwrap_or(0);
        let rows = |key: &str| scan.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let step = number("step");
        if let Some(now) = scan.get("now").filter(|now| !now.is_null())
            && step != self.step
        {
            self.step = step;
            let serial = now.get("serial").and_then(Value::as_str).unwrap_or_default();
            let (steps, left) = (number("steps"), number("remaining_s"));
            eprintln!("[{step}/{steps}] {} {serial}, about {left} s to go", text(now, "protocol"));
        }
        let found = rows("found");
        for row in found.iter().skip(self.found) {
            let profile = row.get("profile").and_then(Value::as_str).unwrap_or("no profile fits");
            eprintln!("  found {} ({}; {profile})", text(row, "address"), text(row, "what"));
        }
        self.found = found.len();
        let notes = rows("notes");
        for note in notes.iter().skip(self.notes).filter_map(Value::as_str) {
            eprintln!("  {note}");
        }
        self.notes = notes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_port_or_a_serial_server_by_its_slash() {
        use clap::Parser;
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let wanted = |words: &[&str]| {
            Cli::try_parse_from([&["scan"], words].concat()).map(|cli| cli.args.wanted())
        };
        let port = wanted(&["/dev/ttyS0"]).unwrap();
        assert_eq!(port, wanted(&["--port", "/dev/ttyS0"]).unwrap());
        let server = wanted(&["10.0.0.7:4001", "--units", "1-32", "--baud", "9600"]).unwrap();
        assert_eq!(server.tcp.as_deref(), Some("10.0.0.7:4001"));
        assert_eq!(
            (*server.plan().unwrap().units.end(), server.plan().unwrap().speeds.len()),
            (32, 2)
        );
        for bad in [
            &[][..],
            &["/dev/ttyS0", "--line", "l-1"],
            &["--port", "/dev/ttyS0", "--units", "0-3"],
            &["--port", "/dev/ttyS0", "--protocol", "bacnet"],
        ] {
            assert!(wanted(bad).is_err(), "{bad:?}");
        }
    }
}
