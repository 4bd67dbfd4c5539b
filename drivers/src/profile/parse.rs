//! From TOML text to a profile, with every error at once.
//!
//! The document is taken apart before it is deserialised, so that one bad `[[register]]` does not
//! hide the next one's error.

use super::format::{Format, Order};
use super::map::Map;
use super::{Part, Profile, Register, SerialDefaults, Vector, parse_meters, plan};
use crate::address::Protocol;
use crate::hex::parse_hex;
use crate::modbus::Function;
use blockgate_types::{Decimal, RegisterName, RegisterSpec, Role, Unit, parse_decimal, register};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// One error of a profile's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// One sentence.
    pub message: String,
}

/// All errors of a profile's file, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileErrors {
    /// The file's name as it was given.
    pub file: String,
    /// At least one.
    pub errors: Vec<ProfileError>,
}

impl std::fmt::Display for ProfileErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, ProfileError { line, column, message }) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{line}:{column}: {message}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProfileErrors {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadToml {
    id: Spanned<String>,
    vendor: String,
    model: String,
    protocol: Spanned<String>,
    source: Spanned<String>,
    #[serde(default)]
    notes: String,
    max_block: Option<Spanned<u16>>,
    max_gap: Option<Spanned<u16>>,
    dlt645: Option<parse_meters::Dlt645Toml>,
    cjt188: Option<parse_meters::Cjt188Toml>,
    mbus: Option<parse_meters::MbusToml>,
    serial: Option<SerialDefaults>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterToml {
    name: Spanned<String>,
    fc: Spanned<u8>,
    address: Spanned<u16>,
    format: Format,
    #[serde(default)]
    order: Order,
    scale: Option<Spanned<String>>,
    unit: Spanned<String>,
    role: Role,
    decimals: Spanned<u32>,
    rollover_digits: Option<Spanned<u32>>,
    #[serde(default)]
    none: Vec<Spanned<String>>,
    add: Option<AddToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddToml {
    address: Spanned<u16>,
    format: Format,
    #[serde(default)]
    order: Order,
    scale: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorToml {
    request: Spanned<String>,
    response: Spanned<String>,
    expect: BTreeMap<String, Spanned<String>>,
}

/// The errors found so far, by byte offset.
pub(super) struct Found<'a> {
    text: &'a str,
    pub(super) errors: Vec<(usize, String)>,
}

impl Found<'_> {
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.errors.push((span.start, message.into()));
    }

    pub(super) fn take<T>(&mut self, span: Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(span, message)).ok()
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>>(
        &mut self,
        value: Spanned<DeValue<'de>>,
    ) -> Option<T> {
        let whole = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(part) => Some(part),
            Err(error) => {
                let span = error.span().unwrap_or(whole);
                self.add(span, with_nearest_key(error.message()));
                None
            }
        }
    }

    fn into_errors(mut self, file: &str) -> ProfileErrors {
        self.errors.sort();
        let position = |(at, message): (usize, String)| {
            let before = self.text.get(..at).unwrap_or(self.text);
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            ProfileError {
                line: before.matches('\n').count() + 1,
                column: before.get(start..).unwrap_or_default().chars().count() + 1,
                message,
            }
        };
        let errors = self.errors.into_iter().map(position).collect();
        ProfileErrors { file: file.to_owned(), errors }
    }
}

pub(super) fn parse(text: &str, file: &str) -> Result<Profile, ProfileErrors> {
    let mut found = Found { text, errors: Vec::new() };
    let (document, syntax) = DeTable::parse_recoverable(text);
    for error in syntax {
        found.add(error.span().unwrap_or(0..0), error.message());
    }
    if !found.errors.is_empty() {
        return Err(found.into_errors(file));
    }
    let whole = document.span();
    let (mut head, mut registers, mut vectors) = (DeTable::new(), Vec::new(), Vec::new());
    for (key, value) in document.into_inner() {
        match key.get_ref().as_ref() {
            "register" => registers = tables(&mut found, value),
            "vector" => vectors = tables(&mut found, value),
            _ => {
                head.insert(key, value);
            }
        }
    }
    // Known before the rest of the head: a fault in it must not make the registers look wrong.
    let protocol = head.iter().find(|(key, _)| key.get_ref().as_ref() == "protocol");
    let protocol = protocol.and_then(|(_, value)| value.get_ref().as_str());
    let protocol = protocol.and_then(Protocol::from_text).unwrap_or(Protocol::Modbus);
    let head = found.deserialize::<HeadToml>(Spanned::new(whole.clone(), DeValue::Table(head)));
    if let Some(head) = &head {
        check_head(&mut found, head);
    }
    let (specs, map) = match protocol {
        Protocol::Modbus => modbus_map(&mut found, registers, head.as_ref()),
        Protocol::Dlt645 => {
            parse_meters::dlt645(&mut found, registers, head.as_ref().and_then(|h| h.dlt645))
        }
        Protocol::Cjt188 => {
            let toml = head.as_ref().and_then(|h| h.cjt188.as_ref());
            parse_meters::cjt188(&mut found, registers, toml)
        }
        Protocol::Mbus => {
            parse_meters::mbus(&mut found, registers, head.as_ref().and_then(|h| h.mbus))
        }
    };
    let vectors = vectors
        .into_iter()
        .filter_map(|value| vector(&mut found, value, &specs))
        .collect::<Vec<_>>();
    if specs.is_empty() && found.errors.is_empty() {
        found.add(whole.clone(), "a profile needs at least one [[register]]");
    }
    if vectors.is_empty() && found.errors.is_empty() {
        found.add(whole, "a profile needs at least one [[vector]]: request, response, expect");
    }
    match head {
        Some(head) if found.errors.is_empty() => Ok(assemble(head, specs, map, vectors)),
        _ => Err(found.into_errors(file)),
    }
}

fn assemble(head: HeadToml, specs: Vec<RegisterSpec>, map: Map, vectors: Vec<Vector>) -> Profile {
    Profile {
        id: head.id.into_inner(),
        vendor: head.vendor,
        model: head.model,
        source: head.source.into_inner(),
        notes: head.notes,
        serial: head.serial,
        max_block: head.max_block.map_or(0, Spanned::into_inner),
        max_gap: head.max_gap.map_or(0, Spanned::into_inner),
        vectors,
        specs: Arc::from(specs),
        map,
    }
}

fn modbus_map(
    found: &mut Found<'_>,
    tables: Vec<Spanned<DeValue<'_>>>,
    head: Option<&HeadToml>,
) -> (Vec<RegisterSpec>, Map) {
    let max_block = head.and_then(|head| head.max_block.as_ref()).map_or(125, |max| *max.get_ref());
    let max_gap = head.and_then(|head| head.max_gap.as_ref()).map_or(0, |max| *max.get_ref());
    let registers = all_registers(found, tables, max_block);
    let (specs, registers): (Vec<_>, Vec<_>) = registers.into_iter().unzip();
    let plan = plan::plan(&registers, max_block, max_gap);
    (specs, Map::Modbus { registers, plan })
}

fn tables<'i>(found: &mut Found<'_>, value: Spanned<DeValue<'i>>) -> Vec<Spanned<DeValue<'i>>> {
    let span = value.span();
    // Foreign enum: everything but an array is the same mistake.
    #[allow(clippy::wildcard_enum_match_arm)]
    match value.into_inner() {
        DeValue::Array(tables) => tables.into_iter().collect(),
        _ => {
            found.add(span, "write it as [[register]] or [[vector]], once for each");
            Vec::new()
        }
    }
}

fn all_registers(
    found: &mut Found<'_>,
    tables: Vec<Spanned<DeValue<'_>>>,
    max_block: u16,
) -> Vec<(RegisterSpec, Register)> {
    let mut names = BTreeMap::new();
    let mut registers = Vec::new();
    for table in tables {
        let Some(toml) = found.deserialize::<RegisterToml>(table) else { continue };
        let span = toml.name.span();
        if names.insert(toml.name.get_ref().clone(), ()).is_some() {
            found.add(span.clone(), format!("{:?} stands twice", toml.name.get_ref()));
        }
        if let Some((spec, register)) = one_register(found, &toml) {
            let (from, to) = plan::extent(&register);
            if to - from > u32::from(max_block) {
                found.add(
                    span,
                    "both parts of the value do not fit one request of max_block registers",
                );
            }
            registers.push((spec, register));
        }
    }
    registers
}

fn check_head(found: &mut Found<'_>, head: &HeadToml) {
    let id = head.id.get_ref();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !id.bytes().all(plain) || !id.contains('-') || id.len() > 64 {
        found.add(head.id.span(), "an id is written like \"vendor-model\": a-z, 0-9 and -");
    }
    if Protocol::from_text(head.protocol.get_ref()).is_none() {
        let known = Protocol::ALL.map(Protocol::text).join(", ");
        let what = format!("{:?} is not a protocol; there is: {known}", head.protocol.get_ref());
        found.add(head.protocol.span(), what);
        return;
    }
    let protocol = head.protocol();
    for (there, of) in [
        (head.dlt645.is_some(), Protocol::Dlt645),
        (head.cjt188.is_some(), Protocol::Cjt188),
        (head.mbus.is_some(), Protocol::Mbus),
    ] {
        if there && of != protocol {
            let what = format!("[{}] does not belong to this protocol", of.text());
            found.add(head.protocol.span(), what);
        }
    }
    if head.source.get_ref().trim().is_empty() {
        found.add(head.source.span(), "say where the register map comes from");
    }
    match &head.max_block {
        None if protocol == Protocol::Modbus => {
            found.add(head.protocol.span(), "max_block is missing: 1 to 125 registers");
        }
        Some(max) if protocol != Protocol::Modbus => {
            found.add(max.span(), "max_block is for modbus");
        }
        Some(max) if !(1..=125).contains(max.get_ref()) => {
            found.add(max.span(), "max_block is 1 to 125 registers");
        }
        Some(_) | None => {}
    }
    if let Some(max_gap) = head.max_gap.as_ref().filter(|_| protocol != Protocol::Modbus) {
        found.add(max_gap.span(), "max_gap is for modbus");
    }
}

impl HeadToml {
    fn protocol(&self) -> Protocol {
        Protocol::from_text(self.protocol.get_ref()).unwrap_or(Protocol::Modbus)
    }
}

fn one_register(found: &mut Found<'_>, toml: &RegisterToml) -> Option<(RegisterSpec, Register)> {
    let before = found.errors.len();
    let (name, unit) = name_and_unit(found, &toml.name, &toml.unit);
    let function = match *toml.fc.get_ref() {
        4 => Function::InputRegisters,
        3 => Function::HoldingRegisters,
        other => {
            let what = format!("registers are read by function 3 or 4, not {other}");
            found.add(toml.fc.span(), what);
            Function::HoldingRegisters
        }
    };
    let (address, scale) = (&toml.address, toml.scale.as_ref());
    let part = part(found, address, toml.format, toml.order, scale);
    let add = toml.add.as_ref();
    let add = add
        .and_then(|add| self::part(found, &add.address, add.format, add.order, add.scale.as_ref()));
    let decimals = *toml.decimals.get_ref();
    check_decimals(found, toml, [part.as_ref(), add.as_ref()]);
    let rollover_digits = rollover(found, toml.rollover_digits.as_ref());
    let none = toml.none.iter().filter_map(|hex| none_pattern(found, hex, toml.format)).collect();
    if found.errors.len() > before {
        return None;
    }
    let spec =
        RegisterSpec { name: name?, unit: unit?, role: toml.role, decimals, rollover_digits };
    Some((spec, Register { function, part: part?, add, none }))
}

/// A register's name and unit; standard names have their unit.
pub(super) fn name_and_unit(
    found: &mut Found<'_>,
    name: &Spanned<String>,
    unit: &Spanned<String>,
) -> (Option<RegisterName>, Option<Unit>) {
    let register = found.take(name.span(), RegisterName::new(name.get_ref()));
    let parsed = found.take(unit.span(), unit.get_ref().parse::<Unit>());
    if let Some(parsed) = parsed
        && let Some((_, standard)) =
            register::STANDARD.iter().find(|(standard, _)| standard == name.get_ref())
        && *standard != parsed
    {
        let what = format!("{} is always in {standard}; use scale", name.get_ref());
        found.add(unit.span(), what);
    }
    (register, parsed)
}

/// Digits before the point of a counter.
pub(super) fn rollover(found: &mut Found<'_>, digits: Option<&Spanned<u32>>) -> Option<u32> {
    let digits = digits?;
    if !(1..=15).contains(digits.get_ref()) {
        found.add(digits.span(), "rollover_digits is 1 to 15 digits before the point");
    }
    Some(*digits.get_ref())
}

/// A scale's text; 1 where there is none.
pub(super) fn scale(found: &mut Found<'_>, text: Option<&Spanned<String>>) -> Option<Decimal> {
    let Some(text) = text else { return Some(Decimal::ONE) };
    let scale = parse_decimal(text.get_ref()).map_err(|error| error.to_string());
    let scale = found.take(text.span(), scale)?;
    if scale.is_zero() {
        found.add(text.span(), "a scale of 0 makes every value 0");
    }
    Some(scale.normalize())
}

fn part(
    found: &mut Found<'_>,
    address: &Spanned<u16>,
    format: Format,
    order: Order,
    scale: Option<&Spanned<String>>,
) -> Option<Part> {
    if u32::from(*address.get_ref()) + u32::from(format.registers()) > 65_536 {
        found.add(address.span(), "the value reaches beyond register 65535");
    }
    let scale = self::scale(found, scale)?;
    Some(Part { address: *address.get_ref(), format, order, scale })
}

/// A whole-number register must not lose digits to rounding: `decimals` covers its scale.
fn check_decimals(found: &mut Found<'_>, toml: &RegisterToml, parts: [Option<&Part>; 2]) {
    let decimals = *toml.decimals.get_ref();
    if decimals > 9 {
        found.add(toml.decimals.span(), "decimals is 0 to 9");
        return;
    }
    let needed = parts.into_iter().flatten().filter(|part| !part.format.is_float());
    if let Some(needed) = needed.map(|part| part.scale.scale()).max().filter(|n| *n > decimals) {
        let what = format!("the scale resolves {needed} decimals: fewer would lose digits");
        found.add(toml.decimals.span(), what);
    }
}

fn none_pattern(found: &mut Found<'_>, hex: &Spanned<String>, format: Format) -> Option<Vec<u8>> {
    let bytes = found.take(hex.span(), parse_hex(hex.get_ref()))?;
    if bytes.len() != usize::from(format.registers()) * 2 {
        found.add(hex.span(), format!("the pattern needs {} bytes", format.registers() * 2));
    }
    Some(bytes)
}

fn vector(
    found: &mut Found<'_>,
    value: Spanned<DeValue<'_>>,
    specs: &[RegisterSpec],
) -> Option<Vector> {
    let at = value.span().start;
    let toml = found.deserialize::<VectorToml>(value)?;
    let request = found.take(toml.request.span(), parse_hex(toml.request.get_ref()));
    let response = found.take(toml.response.span(), parse_hex(toml.response.get_ref()));
    let mut expect = Vec::new();
    for (name, text) in toml.expect {
        // After an error in a register it may be missing for that reason alone.
        let complete = found.errors.is_empty();
        if complete && !specs.iter().any(|spec| spec.name.as_str() == name) {
            found.add(text.span(), format!("{name:?} is not a register of this profile"));
        }
        if text.get_ref() == "none" {
            expect.push((name, None));
        } else {
            let value = parse_decimal(text.get_ref()).map_err(|error| error.to_string());
            expect.push((name, Some(found.take(text.span(), value)?)));
        }
    }
    let line = found.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    Some(Vector { request: request?, response: response?, expect, line })
}

/// Adds the nearest known key to serde's sentence about an unknown one.
fn with_nearest_key(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field").then(|| quoted.next()).flatten();
    let nearest = unknown.and_then(|wrong| {
        quoted.map(|known| (distance(wrong, known), known)).min().filter(|(d, _)| *d <= 3)
    });
    match nearest {
        Some((_, known)) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            left = best;
            *cell = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
