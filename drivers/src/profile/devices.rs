//! The text of docs/devices.md.

use super::format::{Format, Order};
use super::{Part, Profile};
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
         | id | vendor | model | serial settings | registers | requests |\n\
         |---|---|---|---|---|---|\n",
    );
    for profile in Profile::shipped() {
        let _infallible = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} | {3} | {4} | {5} |",
            profile.id,
            profile.vendor,
            profile.model,
            serial(profile),
            profile.specs().len(),
            profile.plan().len(),
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
    text.push_str("| register | unit | role | function | address | format | scale | decimals | rolls over at |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for (spec, register) in profile.specs().iter().zip(profile.registers()) {
        let part = part(&register.part);
        let add =
            register.add.as_ref().map(|add| format!(" + {} at {}", self::part(add), add.address));
        let role = match spec.role {
            blockgate_types::Role::Billing => "billing",
            blockgate_types::Role::Live => "live",
            blockgate_types::Role::Status => "status",
        };
        let rollover = spec.rollover_digits.map(|digits| format!("{digits} digits"));
        let _infallible = writeln!(
            text,
            "| `{}` | {} | {role} | {:02} | {} | {part}{} | {} | {} | {} |",
            spec.name,
            spec.unit,
            register.function.code(),
            register.part.address,
            add.unwrap_or_default(),
            register.part.scale,
            spec.decimals,
            rollover.unwrap_or_default(),
        );
    }
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
