//! One simulated unit.

use super::encode;
use super::fault::{Fault, When};
use crate::modbus::Function;
use crate::profile::Profile;
use blockgate_types::{Decimal, RegisterName, RegisterSpec, Role, Span, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a simulated meter's values come from.
pub trait Source: Send {
    /// The value of a register in its unit, at a point of simulated time. A counter must not run
    /// backwards on its own; a fault can make it.
    fn value(&mut self, register: &RegisterName, now: Time) -> Decimal;
}

impl<F: FnMut(&RegisterName, Time) -> Decimal + Send> Source for F {
    fn value(&mut self, register: &RegisterName, now: Time) -> Decimal {
        self(register, now)
    }
}

/// Values that another task sets: a shared map of register names. What is not in it reads 0.
#[derive(Debug, Clone, Default)]
pub struct SharedRegisters(Arc<Mutex<BTreeMap<RegisterName, Decimal>>>);

impl SharedRegisters {
    /// Sets a register's value in its unit.
    pub fn set(&self, register: &RegisterName, value: Decimal) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match map.get_mut(register) {
            Some(slot) => *slot = value,
            None => {
                map.insert(register.clone(), value);
            }
        }
    }

    /// The value that a register reads at present.
    #[must_use]
    pub fn get(&self, register: &RegisterName) -> Decimal {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(register).copied().unwrap_or_default()
    }
}

impl Source for SharedRegisters {
    fn value(&mut self, register: &RegisterName, _now: Time) -> Decimal {
        self.get(register)
    }
}

/// A simulated meter: the registers of a profile, values from a [`Source`], scripted faults.
///
/// Between the first and the last register of each table, unused registers read 0; outside, the
/// meter answers exception 02, and to more registers than its `max_block` exception 03.
pub struct SimMeter {
    profile: Arc<Profile>,
    source: Box<dyn Source>,
    script: Vec<(When, Fault)>,
    requests: u64,
    /// The relay or the valve: true means that nothing flows.
    cut: bool,
    /// What it is moving to, and from which request on it is there.
    moving: Option<(bool, u64)>,
    /// Requests that a movement takes.
    slow: u64,
    /// Level, password and operator as on the wire, where they are checked.
    authority: Option<[u8; 8]>,
    /// By how many milliseconds its clock is ahead of simulated local time.
    clock_ahead: i64,
    /// Orders that it took: relay, valve, clock.
    orders: u64,
}

/// Simulated meters stand in China.
const LOCAL: Span = Span::from_hours(8);

const DAY_MS: i64 = 24 * 3600 * 1000;

/// The last local midnight, or one so many days before it.
pub(super) fn midnight(now: Time, days_before: i64) -> Time {
    let day = now.plus(LOCAL).as_millis().div_euclid(DAY_MS) - days_before;
    Time::from_millis(day * DAY_MS - LOCAL.as_millis())
}

impl std::fmt::Debug for SimMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimMeter")
            .field("profile", &self.profile.id)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl SimMeter {
    /// A meter of a profile.
    #[must_use]
    pub fn new(profile: Arc<Profile>, source: impl Source + 'static) -> Self {
        Self {
            profile,
            source: Box::new(source),
            script: Vec::new(),
            requests: 0,
            cut: false,
            moving: None,
            slow: 0,
            authority: None,
            clock_ahead: 0,
            orders: 0,
        }
    }

    /// Checks who gives DL/T 645 orders: level, password and operator, in the order of the wire.
    #[must_use]
    pub fn with_authority(mut self, wire: [u8; 8]) -> Self {
        self.authority = Some(wire);
        self
    }

    /// Lets a relay or valve arrive only with the n-th request after the order.
    #[must_use]
    pub fn slow_by(mut self, requests: u64) -> Self {
        self.slow = requests;
        self
    }

    /// Lets its clock be ahead, or behind where the number is negative.
    #[must_use]
    pub fn with_clock_ahead(mut self, seconds: i64) -> Self {
        self.clock_ahead = seconds * 1000;
        self
    }

    /// Orders that it took so far: relay, valve, clock.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.orders
    }

    /// Whether level, password and operator at the place of an order's data are right.
    pub(super) fn may(&self, data: &[u8], at: usize) -> bool {
        self.authority.is_none_or(|own| data.get(at..at + 8) == Some(&own[..]))
    }

    /// `YY MM DD hh mm ss` of its clock, as digits.
    pub(super) fn clock_digits(&self, now: Time) -> [u8; 6] {
        let local = now.plus(LOCAL).as_millis();
        let shown = Time::from_millis(local.saturating_add(self.clock_ahead)).to_string();
        // 2026-03-01T08:00:00Z
        let two = |at: usize| {
            let digits = shown.as_bytes().get(at..at + 2).unwrap_or(b"00");
            digits.iter().fold(0, |byte, digit| (byte << 4) | (digit & 15))
        };
        [two(2), two(5), two(8), two(11), two(14), two(17)]
    }

    /// Sets its clock: the digits that are given, the others stay.
    pub(super) fn set_clock(&mut self, digits: [u8; 6], now: Time, faults: &[Fault]) {
        self.orders += 1;
        if faults.contains(&Fault::Stuck) {
            return;
        }
        let [year, month, day, hour, minute, second] = digits;
        let text =
            format!("20{year:02x}-{month:02x}-{day:02x}T{hour:02x}:{minute:02x}:{second:02x}Z");
        if let Ok(wanted) = text.parse::<Time>() {
            self.clock_ahead = wanted.as_millis() - now.plus(LOCAL).as_millis();
        }
    }

    /// Adds a fault; several may apply to one request, in the order in which they were added.
    #[must_use]
    pub fn with_fault(mut self, when: When, fault: Fault) -> Self {
        self.script.push((when, fault));
        self
    }

    /// Adds a fault to a running meter.
    pub fn add_fault(&mut self, when: When, fault: Fault) {
        self.script.push((when, fault));
    }

    /// Ends all scripted faults.
    pub fn clear_faults(&mut self) {
        self.script.clear();
    }

    /// Whether the relay is open or the valve closed: nothing flows.
    #[must_use]
    pub fn relay_is_open(&self) -> bool {
        self.cut
    }

    /// Carries a relay order out, unless the relay is stuck.
    pub(super) fn order_relay(&mut self, order: u8, faults: &[Fault]) {
        self.orders += 1;
        if faults.contains(&Fault::Stuck) {
            return;
        }
        let cut = match order {
            0x1A => true,
            0x1C => false,
            // 1B only permits: the key is not pressed.
            _ => return,
        };
        self.moving = Some((cut, self.requests + self.slow));
        self.arrive();
    }

    /// A movement whose time is over is over.
    fn arrive(&mut self) {
        if let Some((cut, from)) = self.moving
            && self.requests >= from
        {
            (self.cut, self.moving) = (cut, None);
        }
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// M-Bus: counts the readouts.
    pub(super) fn access(&self) -> u8 {
        u8::try_from(self.requests & 0xFF).unwrap_or(0)
    }

    /// What a register shows, with the faults that concern values.
    pub(super) fn value(&mut self, spec: &RegisterSpec, now: Time, faults: &[Fault]) -> Decimal {
        let mut value = self.source.value(&spec.name, now);
        for fault in faults {
            if let Fault::LowerValue(by) = fault
                && spec.role == Role::Billing
            {
                value = value.checked_sub(*by).unwrap_or(value).max(Decimal::ZERO);
            }
        }
        value
    }

    /// Requests seen so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Counts a request and says what goes wrong with it.
    pub(super) fn count(&mut self, now: Time) -> Vec<Fault> {
        self.requests += 1;
        self.arrive();
        if self.script.is_empty() {
            return Vec::new();
        }
        let applying = self.script.iter().filter(|(when, _)| when.applies(self.requests, now));
        applying.map(|(_, fault)| fault.clone()).collect()
    }

    /// Appends the data of a read, or says with which exception the meter refuses it.
    pub(super) fn read(
        &mut self,
        code: u8,
        address: u16,
        quantity: u16,
        now: Time,
        faults: &[Fault],
        out: &mut Vec<u8>,
    ) -> Result<(), u8> {
        let function = match code {
            3 => Function::HoldingRegisters,
            4 => Function::InputRegisters,
            _ => return Err(1),
        };
        if quantity == 0 || quantity > self.profile.max_block {
            return Err(3);
        }
        let (from, to) = (u32::from(address), u32::from(address) + u32::from(quantity));
        let Self { profile, source, .. } = self;
        let mut blocks = profile.plan().iter().filter(|b| b.read.function == function);
        let start = blocks.clone().map(|b| u32::from(b.read.address)).min().unwrap_or(u32::MAX);
        let end = blocks.by_ref().map(|b| u32::from(b.read.address) + u32::from(b.read.quantity));
        let end = end.max().unwrap_or(0);
        if from < start || to > end {
            return Err(2);
        }
        let base = out.len();
        out.resize(base + usize::from(quantity) * 2, 0);
        let Some(image) = out.get_mut(base..) else { return Err(4) };
        for (spec, register) in profile.specs().iter().zip(profile.registers()) {
            if register.function != function {
                continue;
            }
            let parts = [Some(&register.part), register.add.as_ref()];
            let touches = |part: &&crate::profile::Part| {
                let first = u32::from(part.address);
                first < to && first + u32::from(part.format.registers()) > from
            };
            if !parts.into_iter().flatten().any(|part| touches(&part)) {
                continue;
            }
            let mut value = source.value(&spec.name, now);
            for fault in faults {
                if let Fault::LowerValue(by) = fault
                    && spec.role == Role::Billing
                {
                    value = value.checked_sub(*by).unwrap_or(value).max(Decimal::ZERO);
                }
            }
            let nan = faults.contains(&Fault::NaN);
            let split = register.add.is_some();
            for (i, part) in parts.into_iter().flatten().enumerate() {
                let share = match (split, i) {
                    (false, _) => value,
                    (true, 0) => value.trunc(),
                    (true, _) => value.fract(),
                };
                let bytes =
                    if nan { encode::not_a_number(part) } else { encode::registers(share, part) };
                for (k, byte) in (0_u32..).zip(bytes) {
                    let at = u32::from(part.address) * 2 + k;
                    let slot = at.checked_sub(from * 2).and_then(|at| usize::try_from(at).ok());
                    if let Some(slot) = slot.and_then(|at| image.get_mut(at)) {
                        *slot = byte;
                    }
                }
            }
        }
        Ok(())
    }
}
