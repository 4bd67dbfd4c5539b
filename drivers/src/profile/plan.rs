//! From registers to requests: neighbours are read together.

use super::{Part, Register};
use crate::modbus::{Function, ReadRequest};
use blockgate_types::{Decimal, FaultClass, ReadFault, RegisterSpec, Role};
use rust_decimal::RoundingStrategy;

/// One request and the registers whose values its reply brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The request.
    pub read: ReadRequest,
    /// The registers inside, by address.
    pub points: Vec<Point>,
}

/// A register inside a block's reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its index in the profile.
    pub index: usize,
    part: Slice,
    add: Option<Slice>,
    none: Vec<Vec<u8>>,
}

/// A number inside a block's data.
#[derive(Debug, Clone, PartialEq)]
struct Slice {
    from: usize,
    to: usize,
    part: Part,
}

impl Slice {
    fn new(part: &Part, block: u16) -> Self {
        let from = usize::from(part.address.saturating_sub(block)) * 2;
        Self { from, to: from + usize::from(part.format.registers()) * 2, part: part.clone() }
    }

    fn wire<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.from..self.to).unwrap_or_default()
    }

    fn decode(&self, data: &[u8]) -> Result<Decimal, String> {
        let raw = self.part.format.decode(self.part.order, self.wire(data));
        let raw = raw.map_err(|error| error.to_string())?;
        if self.part.scale == Decimal::ONE {
            return Ok(raw);
        }
        raw.checked_mul(self.part.scale).ok_or_else(|| "is too large to be a reading".to_owned())
    }
}

/// First register and the one behind the last, both parts of a register together.
pub(super) fn extent(register: &Register) -> (u32, u32) {
    let of = |part: &Part| {
        let from = u32::from(part.address);
        (from, from + u32::from(part.format.registers()))
    };
    let (from, to) = of(&register.part);
    match register.add.as_ref().map(of) {
        Some((add_from, add_to)) => (from.min(add_from), to.max(add_to)),
        None => (from, to),
    }
}

/// Merges the registers into few requests: in the order of their addresses, a register joins the
/// block before it where the gap is at most `max_gap` and the whole at most `max_block` registers.
/// A register is never cut: both its parts come from one request.
pub(super) fn plan(registers: &[Register], max_block: u16, max_gap: u16) -> Vec<Block> {
    let mut order: Vec<(Function, u32, u32, usize)> = registers
        .iter()
        .enumerate()
        .map(|(index, register)| {
            let (from, to) = extent(register);
            (register.function, from, to, index)
        })
        .collect();
    order.sort_unstable();
    let mut groups: Vec<(Function, u32, u32, Vec<usize>)> = Vec::new();
    for (function, from, to, index) in order {
        match groups.last_mut() {
            Some((f, start, end, members))
                if *f == function
                    && from <= *end + u32::from(max_gap)
                    && to.max(*end) - *start <= u32::from(max_block) =>
            {
                *end = to.max(*end);
                members.push(index);
            }
            _ => groups.push((function, from, to, vec![index])),
        }
    }
    groups.into_iter().filter_map(|group| block(registers, group)).collect()
}

fn block(registers: &[Register], group: (Function, u32, u32, Vec<usize>)) -> Option<Block> {
    let (function, start, end, members) = group;
    let start = u16::try_from(start).ok()?;
    let quantity = u16::try_from(end.saturating_sub(start.into())).ok()?;
    let read = ReadRequest::new(function, start, quantity).ok()?;
    Some(Block { read, points: points_in(registers, members.into_iter(), start) })
}

fn points_in(
    registers: &[Register],
    members: impl Iterator<Item = usize>,
    start: u16,
) -> Vec<Point> {
    let point = |index: usize| {
        let register = registers.get(index)?;
        Some(Point {
            index,
            part: Slice::new(&register.part, start),
            add: register.add.as_ref().map(|add| Slice::new(add, start)),
            none: register.none.clone(),
        })
    };
    members.filter_map(point).collect()
}

/// The registers that lie wholly inside any request, for a captured frame.
pub(super) fn points_of(registers: &[Register], read: ReadRequest) -> Vec<Point> {
    let (start, end) =
        (u32::from(read.address), u32::from(read.address) + u32::from(read.quantity));
    let members = registers.iter().enumerate().filter(|(_, register)| {
        let (from, to) = extent(register);
        register.function == read.function && from >= start && to <= end
    });
    points_in(registers, members.map(|(index, _)| index), read.address)
}

impl Point {
    /// The register's value in its unit, rounded to its decimals half away from zero; `None` where
    /// the device says that it has no value.
    ///
    /// # Errors
    /// Class value, with the register's name and its raw bytes: not a number, a counter below zero or
    /// beyond its digits.
    pub fn value(&self, spec: &RegisterSpec, data: &[u8]) -> Result<Option<Decimal>, ReadFault> {
        let wire = self.part.wire(data);
        if self.none.iter().any(|pattern| pattern == wire) {
            return Ok(None);
        }
        self.number(spec, data).map(Some).map_err(|what| ReadFault {
            class: FaultClass::Value,
            what: format!("{} {what}", spec.name),
            raw: wire.to_vec(),
        })
    }

    fn number(&self, spec: &RegisterSpec, data: &[u8]) -> Result<Decimal, String> {
        let too_large = || "is too large to be a reading".to_owned();
        let mut value = self.part.decode(data)?;
        if let Some(add) = &self.add {
            value = value.checked_add(add.decode(data)?).ok_or_else(too_large)?;
        }
        judged(spec, value)
    }
}

/// A value as its register may have it: rounded to the register's decimals half away from zero; a
/// counter that is negative or beyond its digits is refused.
pub(super) fn judged(spec: &RegisterSpec, mut value: Decimal) -> Result<Decimal, String> {
    if value.scale() > spec.decimals {
        value = value.round_dp_with_strategy(spec.decimals, RoundingStrategy::MidpointAwayFromZero);
    }
    if value.is_zero() {
        value = Decimal::ZERO;
    }
    if spec.role == Role::Billing {
        if value.is_sign_negative() {
            return Err(format!("is a counter and reads {value}"));
        }
        if let Some(digits) = spec.rollover_digits
            && 10_i64.checked_pow(digits).is_some_and(|end| value >= Decimal::from(end))
        {
            return Err(format!("is a counter of {digits} digits and reads {value}"));
        }
    }
    Ok(value)
}
