//! `decode PROTOCOL HEX`: what a captured frame says.

use super::Ended;
use blockgate_drivers::door::{osdp, uhppote};
use blockgate_drivers::hex::parse_hex;
use blockgate_drivers::modbus::{Context, decode_frame};
use blockgate_drivers::profile::Profile;
use blockgate_drivers::{Decoded, cjt188, dlt645, mbus};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// Modbus RTU or Modbus TCP
    Modbus,
    /// DL/T 645-2007 or -1997: electricity meters
    Dlt645,
    /// CJ/T 188: water, gas and heat meters
    Cjt188,
    /// M-Bus, EN 13757
    Mbus,
    /// UHPPOTE door controllers
    Uhppote,
    /// OSDP readers
    Osdp,
}

impl Protocol {
    fn text(self) -> &'static str {
        match self {
            Self::Modbus => "modbus",
            Self::Dlt645 => "dlt645",
            Self::Cjt188 => "cjt188",
            Self::Mbus => "mbus",
            Self::Uhppote => "uhppote",
            Self::Osdp => "osdp",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the frame is written in
    #[arg(value_enum)]
    protocol: Protocol,
    /// The frame in hexadecimal; blanks and colons between bytes are skipped
    hex: String,
    /// Names the registers of a Modbus reply by this device profile
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
    let decoded = match args.protocol {
        Protocol::Modbus => match modbus_context(args) {
            Ok(context) => decode_frame(&bytes, context),
            Err(why) => return Ok(no(args, &why)),
        },
        Protocol::Dlt645
        | Protocol::Cjt188
        | Protocol::Mbus
        | Protocol::Uhppote
        | Protocol::Osdp
            if args.profile.is_some() =>
        {
            let why =
                "--profile and --address are for modbus: this protocol names its values itself";
            return Ok(no(args, why));
        }
        Protocol::Dlt645 => dlt645::decode_frame(&bytes),
        Protocol::Cjt188 => cjt188::decode_frame(&bytes),
        Protocol::Mbus => mbus::decode_frame(&bytes),
        Protocol::Uhppote => uhppote::decode_frame(&bytes),
        Protocol::Osdp => osdp::decode_frame(&bytes),
    };
    if args.json {
        println!("{}", as_json(args.protocol.text(), &decoded));
    } else {
        print(&decoded);
    }
    Ok(if decoded.valid { Ended::Done } else { Ended::No })
}

/// The profile and the first register of a Modbus reply, where they were given.
fn modbus_context(args: &Args) -> Result<Option<Context<'static>>, String> {
    let Some(id) = &args.profile else { return Ok(None) };
    let Some(profile) = Profile::shipped_by_id(id) else {
        let known: Vec<&str> = Profile::shipped().map(|p| p.id.as_str()).collect();
        let near = blockgate_types::strict::nearest(id, &known);
        let hint = near.map_or_else(|| known.join(", "), |n| format!("did you mean {n}?"));
        return Err(format!("there is no profile {id:?}; {hint}"));
    };
    Ok(args.address.map(|address| Context { profile, address }))
}

fn no(args: &Args, why: &str) -> Ended {
    if args.json {
        println!("{}", json!({ "protocol": args.protocol.text(), "valid": false, "error": why }));
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
