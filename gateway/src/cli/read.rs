//! `read METER`: one reading now. Through the running daemon when there is one, because a line has
//! one master; else on the line itself.

use super::{CONFIG, Ended, print_faults};
use crate::config::Config;
use crate::control::{self, Ask};
use anyhow::Context;
use blockgate_drivers::frozen::test_read_frozen;
use blockgate_drivers::line::Line;
use blockgate_drivers::meter::test_read;
use blockgate_drivers::transport::SystemConnect;
use blockgate_types::{Frozen, MeterId};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The meter's id in the config
    meter: MeterId,
    /// What the meter froze by itself in place of its present values: day-1 is the last midnight's,
    /// month-1 the last settlement's
    #[arg(long, value_name = "WHICH")]
    frozen: Option<Frozen>,
    /// Shows the frames as well
    #[arg(long)]
    raw: bool,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut answer = runtime.block_on(read(&config, &args.meter, args.frozen))?;
    if !args.raw
        && let Some(answer) = answer.as_object_mut()
    {
        answer.remove("exchanges");
    }
    let failed = answer.get("error").is_some();
    if args.json {
        println!("{answer}");
    } else {
        print(&answer);
    }
    Ok(if failed { Ended::No } else { Ended::Done })
}

async fn read(config: &Config, meter: &MeterId, frozen: Option<Frozen>) -> anyhow::Result<Value> {
    let question = Ask::Read { meter: meter.clone(), frozen };
    if let Some(answer) = control::ask(&config.state_dir, &question).await? {
        return Ok(answer);
    }
    let Some(place) = config.meters.get(meter) else {
        let known: Vec<&str> = config.meters.keys().map(MeterId::as_str).collect();
        let near = blockgate_types::strict::nearest(meter.as_str(), &known);
        let hint = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        return Ok(serde_json::json!({ "error": format!("there is no meter {meter}{hint}") }));
    };
    let settings = config.lines.get(&place.line).context("the meter's line")?;
    let mut line = Line::new(settings.clone(), Arc::new(SystemConnect));
    let read = match frozen {
        Some(which) => test_read_frozen(&mut line, place.address, &place.profile, which).await,
        None => test_read(&mut line, place.address, &place.profile).await,
    };
    Ok(control::test_read_json(meter, &read))
}

fn print(answer: &Value) {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    for value in answer.get("values").and_then(Value::as_array).into_iter().flatten() {
        let (name, number, unit) = (text(value, "name"), text(value, "value"), text(value, "unit"));
        let number = if number.is_empty() { "no value".to_owned() } else { number };
        match text(value, "at") {
            at if at.is_empty() => println!("{name:<24} {number:>16} {unit}"),
            at => println!("{name:<24} {number:>16} {unit:<6} {at}"),
        }
    }
    for exchange in answer.get("exchanges").and_then(Value::as_array).into_iter().flatten() {
        println!("> {}", text(exchange, "request"));
        let micros = exchange.get("round_trip_us").and_then(Value::as_u64).unwrap_or(0);
        println!("< {}   ({micros} µs)", text(exchange, "reply"));
    }
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        eprintln!("blockgate: {error}");
    }
}
