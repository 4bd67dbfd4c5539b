//! The text of docs/devices.md.

use super::format::{Format, Order};
use super::{Map, Part, Profile, Register};
use crate::mbus::Function;
use crate::transport::Parity;
use std::fmt::Write as _;

/// The list of built-in device models for docs/devices.md. A test compares the file with it.
#[must_use]
pub fn devices_markdown() -> String {
    let mut text = String::from(
        "# Devices\n\n\
         <!-- Generated from drivers/profiles by `BLESS=1 cargo test -p blockgate-drivers --test devices`. -->\n\n\
         The device models that blockgate knows out of the box. A file in `profiles.d` adds a model or\n\
         replaces one of these by its id; the format is described in `drivers/src/profile/mod.rs`.\n\n\
         | id | vendor | model | protocol | serial settings | registers | requests |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for profile in Profile::shipped() {
        let _infallible = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} | {3} | {4} | {5} | {6} |",
            profile.id,
            profile.vendor,
            profile.model,
            profile.protocol(),
            serial(profile),
            profile.specs().len(),
            requests(profile),
        );
    }
    for profile in Profile::shipped() {
        section(&mut text, profile);
    }
    text
}

fn section(text: &mut String, profile: &Profile) {
    let _infallible = writeln!(
        text,
        "\n## {}\n\n{} {}. Register map: {}.\n",
        profile.id, profile.vendor, profile.model, profile.source
    );
    if !profile.notes.is_empty() {
        let _infallible = writeln!(text, "{}\n", profile.notes.trim());
    }
    let head = match profile.map() {
        Map::Modbus { .. } => ["function", "address", "format", "scale"].as_slice(),
        Map::Dlt645(_) => &["identifier", "offset", "digits", "scale"],
        Map::Cjt188(_) => &["field"],
        Map::Mbus(_) => &["record"],
    };
    let columns: String = head.iter().map(|column| format!("{column} | ")).collect();
    let _infallible =
        writeln!(text, "| register | unit | role | {columns}decimals | rolls over at |");
    let _infallible = writeln!(text, "{}|", "|---".repeat(5 + head.len()));
    for (index, spec) in profile.specs().iter().enumerate() {
        let role = match spec.role {
            blockgate_types::Role::Billing => "billing",
            blockgate_types::Role::Live => "live",
            blockgate_types::Role::Status => "status",
        };
        let rollover = spec.rollover_digits.map(|digits| format!("{digits} digits"));
        let _infallible = writeln!(
            text,
            "| `{}` | {} | {role} | {} | {} | {} |",
            spec.name,
            spec.unit,
            place(profile, index),
            spec.decimals,
            rollover.unwrap_or_default(),
        );
    }
}

fn requests(profile: &Profile) -> usize {
    match profile.map() {
        Map::Modbus { plan, .. } => plan.len(),
        Map::Dlt645(map) => map.reads.len(),
        Map::Cjt188(_) | Map::Mbus(_) => 1,
    }
}

/// The cells that say where a register stands.
fn place(profile: &Profile, index: usize) -> String {
    match profile.map() {
        Map::Modbus { registers, .. } => registers.get(index).map(modbus_place),
        Map::Dlt645(map) => map.points.get(index).map(|point| {
            let width = map.edition.di_bytes() * 2;
            let whole = point.bytes * 2 - usize::try_from(point.decimals).unwrap_or(0);
            let after = "X".repeat(point.bytes * 2 - whole);
            let dot = if after.is_empty() { "" } else { "." };
            let sign = if point.signed { ", signed" } else { "" };
            let optional = if point.optional { ", optional" } else { "" };
            let (di, offset, scale) = (point.di, point.offset, point.scale);
            format!(
                "{di:0width$X} | {offset} | {}{dot}{after}{sign}{optional} | {scale}",
                "X".repeat(whole)
            )
        }),
        Map::Cjt188(map) => map.points.get(index).map(|point| {
            let optional = if point.optional { ", optional" } else { "" };
            format!("{}{optional}", point.field.text())
        }),
        Map::Mbus(map) => map.points.get(index).map(|point| {
            let mut text = point.quantity.clone();
            match point.function {
                Function::Instantaneous => {}
                Function::Maximum => text.push_str(", maximum"),
                Function::Minimum => text.push_str(", minimum"),
                Function::Error => text.push_str(", in error state"),
            }
            for (what, n) in [
                ("storage", point.storage),
                ("tariff", point.tariff.into()),
                ("subunit", point.subunit.into()),
            ] {
                if n > 0 {
                    text.push_str(&format!(", {what} {n}"));
                }
            }
            if !point.qualifiers.is_empty() {
                text.push_str(&format!(", VIFE {}", crate::hex::Hex(&point.qualifiers)));
            }
            if point.nth > 0 {
                text.push_str(&format!(", the {}. of its kind", point.nth + 1));
            }
            if point.optional {
                text.push_str(", optional");
            }
            text
        }),
    }
    .unwrap_or_default()
}

fn modbus_place(register: &Register) -> String {
    let add = register.add.as_ref().map(|add| format!(" + {} at {}", part(add), add.address));
    format!(
        "{:02} | {} | {}{} | {}",
        register.function.code(),
        register.part.address,
        part(&register.part),
        add.unwrap_or_default(),
        register.part.scale,
    )
}

fn serial(profile: &Profile) -> String {
    let Some(serial) = profile.serial else { return "none".to_owned() };
    let parity = match serial.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    format!("{} {}{parity}{}", serial.baud, serial.data_bits, serial.stop_bits)
}

fn part(part: &Part) -> String {
    let format = match part.format {
        Format::U16 => "u16",
        Format::I16 => "i16",
        Format::U32 => "u32",
        Format::I32 => "i32",
        Format::U64 => "u64",
        Format::I64 => "i64",
        Format::F32 => "f32",
        Format::F64 => "f64",
        Format::Bcd16 => "bcd16",
        Format::Bcd32 => "bcd32",
        Format::Bcd64 => "bcd64",
        Format::Digits8 => "digits8",
        Format::Digits16 => "digits16",
    };
    let order = match part.order {
        Order::Abcd => "",
        Order::Cdab => " CDAB",
        Order::Badc => " BADC",
        Order::Dcba => " DCBA",
    };
    format!("{format}{order}")
}
