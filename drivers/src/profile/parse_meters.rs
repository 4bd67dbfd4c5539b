//! The registers of the protocols that are not Modbus, from their TOML tables.

use super::map::Map;
use super::parse::{Found, name_and_unit, rollover, scale};
use super::{Cjt188Map, Cjt188Point, Dlt645Map, Dlt645Point, MbusMap, MbusPoint};
use crate::cjt188::{DiOrder, Dialect, Field, StatusMap};
use crate::dlt645::Edition;
use crate::hex::parse_hex;
use crate::mbus::{Function, vif};
use blockgate_types::{RegisterSpec, Role};
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dlt645Toml {
    #[serde(default)]
    edition: Edition,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cjt188Toml {
    meter_type: Spanned<String>,
    di_order: DiOrder,
    write_di_order: Option<DiOrder>,
    #[serde(default)]
    check_sequence: bool,
    status: Option<StatusToml>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusToml {
    valve_mask: Spanned<String>,
    open: Spanned<String>,
    closed: Spanned<String>,
    battery_mask: Spanned<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MbusToml {
    #[serde(default = "yes")]
    reset: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dlt645Register {
    name: Spanned<String>,
    di: Spanned<String>,
    #[serde(default)]
    offset: usize,
    digits: Spanned<String>,
    #[serde(default)]
    signed: bool,
    scale: Option<Spanned<String>>,
    unit: Spanned<String>,
    role: Role,
    decimals: Spanned<u32>,
    rollover_digits: Option<Spanned<u32>>,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cjt188Register {
    name: Spanned<String>,
    field: Spanned<Field>,
    scale: Option<Spanned<String>>,
    unit: Spanned<String>,
    role: Role,
    decimals: Spanned<u32>,
    rollover_digits: Option<Spanned<u32>>,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MbusRegister {
    name: Spanned<String>,
    quantity: Spanned<String>,
    #[serde(default)]
    function: Function,
    #[serde(default)]
    storage: u64,
    #[serde(default)]
    tariff: u32,
    #[serde(default)]
    subunit: u32,
    vife: Option<Spanned<String>>,
    #[serde(default)]
    nth: usize,
    unit: Spanned<String>,
    role: Role,
    decimals: Spanned<u32>,
    rollover_digits: Option<Spanned<u32>>,
    #[serde(default)]
    optional: bool,
}

/// What every register has, whatever the protocol.
struct Common<'t> {
    name: &'t Spanned<String>,
    unit: &'t Spanned<String>,
    role: Role,
    decimals: &'t Spanned<u32>,
    rollover_digits: Option<&'t Spanned<u32>>,
}

macro_rules! common {
    ($toml:expr) => {
        Common {
            name: &$toml.name,
            unit: &$toml.unit,
            role: $toml.role,
            decimals: &$toml.decimals,
            rollover_digits: $toml.rollover_digits.as_ref(),
        }
    };
}

fn spec(
    found: &mut Found<'_>,
    names: &mut BTreeSet<String>,
    common: &Common<'_>,
) -> Option<RegisterSpec> {
    if !names.insert(common.name.get_ref().clone()) {
        found.add(common.name.span(), format!("{:?} stands twice", common.name.get_ref()));
    }
    let (name, unit) = name_and_unit(found, common.name, common.unit);
    let decimals = *common.decimals.get_ref();
    if decimals > 9 {
        found.add(common.decimals.span(), "decimals is 0 to 9");
    }
    let rollover_digits = rollover(found, common.rollover_digits);
    Some(RegisterSpec { name: name?, unit: unit?, role: common.role, decimals, rollover_digits })
}

type Tables<'t> = Vec<Spanned<DeValue<'t>>>;

pub(super) fn dlt645(
    found: &mut Found<'_>,
    tables: Tables<'_>,
    toml: Option<Dlt645Toml>,
) -> (Vec<RegisterSpec>, Map) {
    let edition = toml.map_or(Edition::E2007, |toml| toml.edition);
    let (mut names, mut specs, mut points) = (BTreeSet::new(), Vec::new(), Vec::new());
    for table in tables {
        let Some(toml) = found.deserialize::<Dlt645Register>(table) else { continue };
        let spec = spec(found, &mut names, &common!(toml));
        let point = dlt645_point(found, edition, &toml);
        if let (Some(spec), Some(point)) = (spec, point) {
            specs.push(spec);
            points.push(point);
        }
    }
    (specs, Map::Dlt645(Dlt645Map::new(edition, points)))
}

fn dlt645_point(
    found: &mut Found<'_>,
    edition: Edition,
    toml: &Dlt645Register,
) -> Option<Dlt645Point> {
    let text = toml.di.get_ref();
    let digits = edition.di_bytes() * 2;
    let di = u32::from_str_radix(text, 16).ok().filter(|_| text.len() == digits);
    if di.is_none() {
        let what = format!("a data identifier of this edition has {digits} hex digits");
        found.add(toml.di.span(), what);
    }
    let read = found.take(toml.digits.span(), Dlt645Point::digits(toml.digits.get_ref()));
    let scale = scale(found, toml.scale.as_ref());
    let (di, (bytes, decimals), scale) = (di?, read?, scale?);
    if toml.offset + bytes > 200 {
        found.add(toml.di.span(), "an answer has at most 200 bytes");
    }
    // No digit may be lost to rounding.
    let one = blockgate_types::Decimal::try_new(1, decimals).unwrap_or_default();
    let needed = one.checked_mul(scale).map_or(0, |one| one.normalize().scale());
    if needed > *toml.decimals.get_ref() {
        let what = format!("the digits resolve {needed} decimals: fewer would lose some");
        found.add(toml.decimals.span(), what);
    }
    let (offset, signed, optional) = (toml.offset, toml.signed, toml.optional);
    Some(Dlt645Point { di, offset, bytes, decimals, signed, scale, optional })
}

pub(super) fn cjt188(
    found: &mut Found<'_>,
    tables: Tables<'_>,
    toml: Option<&Cjt188Toml>,
) -> (Vec<RegisterSpec>, Map) {
    let (dialect, status) = match toml {
        Some(toml) => cjt188_head(found, toml),
        None => {
            found.add(0..0, "the table [cjt188] is missing: meter_type and di_order");
            (Dialect::default(), StatusMap::default())
        }
    };
    let (mut names, mut specs, mut points) = (BTreeSet::new(), Vec::new(), Vec::new());
    for table in tables {
        let Some(toml) = found.deserialize::<Cjt188Register>(table) else { continue };
        let spec = spec(found, &mut names, &common!(toml));
        let scale = scale(found, toml.scale.as_ref());
        let field = *toml.field.get_ref();
        if field == Field::Time {
            found.add(toml.field.span(), "the meter's clock is no register");
        }
        if let (Some(spec), Some(scale)) = (spec, scale) {
            points.push(Cjt188Point { field, unit: spec.unit, scale, optional: toml.optional });
            specs.push(spec);
        }
    }
    (specs, Map::Cjt188(Cjt188Map { dialect, status, points }))
}

fn cjt188_head(found: &mut Found<'_>, toml: &Cjt188Toml) -> (Dialect, StatusMap) {
    let mut byte = |text: &Spanned<String>| {
        let parsed = u8::from_str_radix(text.get_ref(), 16).ok();
        if parsed.is_none() || text.get_ref().len() != 2 {
            found.add(text.span(), "write one byte as two hex digits");
        }
        parsed.unwrap_or_default()
    };
    let dialect = Dialect {
        meter_type: byte(&toml.meter_type),
        di_order: toml.di_order,
        write_di_order: toml.write_di_order.unwrap_or(toml.di_order),
        check_sequence: toml.check_sequence,
    };
    let status = toml.status.as_ref().map_or_else(StatusMap::default, |status| StatusMap {
        valve_mask: byte(&status.valve_mask),
        open: byte(&status.open),
        closed: byte(&status.closed),
        battery_mask: byte(&status.battery_mask),
    });
    (dialect, status)
}

pub(super) fn mbus(
    found: &mut Found<'_>,
    tables: Tables<'_>,
    toml: Option<MbusToml>,
) -> (Vec<RegisterSpec>, Map) {
    let reset = toml.is_none_or(|toml| toml.reset);
    let (mut names, mut specs, mut points) = (BTreeSet::new(), Vec::new(), Vec::new());
    for table in tables {
        let Some(toml) = found.deserialize::<MbusRegister>(table) else { continue };
        let spec = spec(found, &mut names, &common!(toml));
        let quantity = toml.quantity.get_ref().clone();
        if !vif::QUANTITIES.contains(&quantity.as_str()) {
            let known = vif::QUANTITIES.join(", ");
            found.add(
                toml.quantity.span(),
                format!("{quantity:?} is no quantity; there is: {known}"),
            );
        }
        let qualifiers = match &toml.vife {
            Some(hex) => found.take(hex.span(), parse_hex(hex.get_ref())).unwrap_or_default(),
            None => Vec::new(),
        };
        if let Some(spec) = spec {
            points.push(MbusPoint {
                quantity,
                function: toml.function,
                storage: toml.storage,
                tariff: toml.tariff,
                subunit: toml.subunit,
                qualifiers,
                nth: toml.nth,
                unit: spec.unit,
                optional: toml.optional,
            });
            specs.push(spec);
        }
    }
    (specs, Map::Mbus(MbusMap { reset, points }))
}
