//! `decode PROTOCOL HEX`: what a captured frame says.

use super::Ended;
use blockgate_drivers::hex::parse_hex;
use blockgate_drivers::modbus::{Context, Decoded, decode_frame};
use blockgate_drivers::profile::Profile;
use serde_json::{Map, Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol: modbus
    #[arg(value_parser = ["modbus"])]
    protocol: String,
    /// The frame in hexadecimal; blanks and colons between bytes are skipped
    hex: String,
    /// Names registers by this device profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// The first register that was asked for (a reply does not say it)
    #[arg(long, value_name = "REGISTER", requires = "profile")]
    address: Option<u16>,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let bytes = match parse_hex(&args.hex) {
        Ok(bytes) => bytes,
        Err(why) => return Ok(no(args, &format!("not hexadecimal: {why}"))),
    };
    let profile = match &args.profile {
        None => None,
        Some(id) => match Profile::shipped_by_id(id) {
            Some(profile) => Some(profile),
            None => {
                let known: Vec<&str> = Profile::shipped().map(|p| p.id.as_str()).collect();
                let near = blockgate_types::strict::nearest(id, &known);
                let hint = near.map_or_else(|| known.join(", "), |n| format!("did you mean {n}?"));
                return Ok(no(args, &format!("there is no profile {id:?}; {hint}")));
            }
        },
    };
    let context =
        profile.and_then(|profile| args.address.map(|address| Context { profile, address }));
    let decoded = decode_frame(&bytes, context);
    if args.json {
        println!("{}", as_json(&args.protocol, &decoded));
    } else {
        print(&decoded);
    }
    Ok(if decoded.valid { Ended::Done } else { Ended::No })
}

fn no(args: &Args, why: &str) -> Ended {
    if args.json {
        println!("{}", json!({ "protocol": args.protocol, "valid": false, "error": why }));
    } else {
        eprintln!("blockgate: {why}");
    }
    Ended::No
}

fn as_json(protocol: &str, decoded: &Decoded) -> Value {
    let object = |pairs: &[(String, String)]| {
        pairs.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect::<Map<_, _>>()
    };
    json!({
        "protocol": protocol,
        "framing": decoded.framing,
        "kind": decoded.kind,
        "valid": decoded.valid,
        "fields": object(&decoded.fields),
        "values": object(&decoded.values),
    })
}

fn print(decoded: &Decoded) {
    let holds = if decoded.valid { "valid" } else { "NOT valid" };
    println!("{} {}, {holds}", decoded.framing, decoded.kind);
    for (name, value) in decoded.fields.iter().chain(&decoded.values) {
        println!("  {name:<22} {value}");
    }
}
