//! The slave's side of DL/T 645, CJ/T 188 and M-Bus: finding requests in a stream, and the frames of
//! answers. Sums, digits and frames are the simulator's own.

use super::fault::Fault;
use super::meter::SimMeter;
use crate::address::Address;
use crate::profile::{Cjt188Map, Cjt188Point, Dlt645Map, Map, MbusMap};
use blockgate_types::{Decimal, Time, Unit};
use rust_decimal::prelude::ToPrimitive;

/// A request on a serial wire that is not Modbus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// DL/T 645: address low byte first, control, data without the offset.
    Dlt645([u8; 6], u8, Vec<u8>),
    /// CJ/T 188: type, address low byte first, control, data.
    Cjt188(u8, [u8; 7], u8, Vec<u8>),
    /// M-Bus: C field, address, CI and data of a long frame.
    Mbus(u8, u8, Vec<u8>),
    /// Modbus RTU: eight bytes.
    Modbus,
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
}

/// The first whole request in what was received: where it ends, and what it is.
pub(super) fn first_request(received: &[u8]) -> Option<(usize, usize, Request)> {
    (0..received.len()).find_map(|start| {
        let head = received.get(start..)?;
        let (len, request) = dlt645(head)
            .or_else(|| mbus_long(head))
            .or_else(|| cjt188(head))
            .or_else(|| mbus_short(head))
            .or_else(|| modbus(head))?;
        Some((start, start + len, request))
    })
}

/// The body of a frame of `len` bytes whose last two are sum and 16.
fn summed(head: &[u8], len: usize, from: usize) -> Option<&[u8]> {
    let [body @ .., check, 0x16] = head.get(..len)? else { return None };
    (sum(body.get(from..)?) == *check).then_some(body)
}

fn dlt645(head: &[u8]) -> Option<(usize, Request)> {
    let [0x68, a, b, c, d, e, f, 0x68, control, length, ..] = *head else { return None };
    let len = usize::from(length) + 12;
    let body = summed(head, len, 0)?;
    let data = body.get(10..)?.iter().map(|byte| byte.wrapping_sub(0x33)).collect();
    (control & 0x80 == 0).then_some((len, Request::Dlt645([a, b, c, d, e, f], control, data)))
}

fn cjt188(head: &[u8]) -> Option<(usize, Request)> {
    let [0x68, kind, a, b, c, d, e, f, g, control, length, ..] = *head else { return None };
    let len = usize::from(length) + 13;
    let data = summed(head, len, 0)?.get(11..)?.to_vec();
    let address = [a, b, c, d, e, f, g];
    (control & 0x80 == 0).then_some((len, Request::Cjt188(kind, address, control, data)))
}

fn mbus_long(head: &[u8]) -> Option<(usize, Request)> {
    let [0x68, length, again, 0x68, control, address, ..] = *head else { return None };
    let len = usize::from(length) + 6;
    let body = summed(head, len, 4).filter(|_| length == again)?;
    Some((len, Request::Mbus(control, address, body.get(6..)?.to_vec())))
}

fn mbus_short(head: &[u8]) -> Option<(usize, Request)> {
    let [0x10, control, address, ..] = *head else { return None };
    let known = matches!(control, 0x40 | 0x5B | 0x7B);
    summed(head, 5, 1).filter(|_| known)?;
    Some((5, Request::Mbus(control, address, Vec::new())))
}

fn modbus(head: &[u8]) -> Option<(usize, Request)> {
    let (body, check) = head.get(..8)?.split_at_checked(6)?;
    (super::encode::crc16(body) == check).then_some((8, Request::Modbus))
}

/// What two and more meters that answer at once leave on the wire: a dominant zero wins.
pub(super) fn collide(replies: &[Vec<u8>]) -> Vec<u8> {
    let longest = replies.iter().map(Vec::len).max().unwrap_or(0);
    let at = |i: usize| replies.iter().filter_map(|reply| reply.get(i)).fold(0xFF, |x, y| x & y);
    (0..longest).map(at).collect()
}

/// Digits low byte first; what does not fit is cut at the front, as a register that rolls over.
fn digits(value: Decimal, decimals: u32, bytes: usize, signed: bool) -> Vec<u8> {
    let ten = 10_i64.checked_pow(decimals).unwrap_or(1);
    let whole = value.abs().checked_mul(ten.into()).unwrap_or_default().round();
    let mut number = whole.to_u64().unwrap_or(0);
    let mut out = Vec::new();
    for _ in 0..bytes {
        let pair = u8::try_from(number % 100).unwrap_or(0);
        out.push((pair / 10 * 16) + pair % 10);
        number /= 100;
    }
    if signed
        && value.is_sign_negative()
        && !value.is_zero()
        && let Some(high) = out.last_mut()
    {
        *high |= 0x80;
    }
    out
}

impl SimMeter {
    /// Whether a DL/T 645 request is for this meter.
    pub(super) fn is_dlt645(own: &Address, asked: [u8; 6]) -> bool {
        let Address::Dlt645(own) = own else { return false };
        if asked == [0x99; 6] {
            return true;
        }
        asked.iter().zip(own.wire()).all(|(asked, own)| *asked == 0xAA || *asked == own)
    }

    /// The answer of a DL/T 645 meter; empty for none.
    pub(super) fn answer_dlt645(
        &mut self,
        own: [u8; 6],
        control: u8,
        data: &[u8],
        now: Time,
        faults: &[Fault],
    ) -> Vec<u8> {
        let Map::Dlt645(map) = self.profile().map().clone() else { return Vec::new() };
        let (code, answer) = match control {
            0x13 => (0x93, own.to_vec()),
            0x11 | 0x01 => match self.dlt645_data(&map, data, now, faults) {
                Some(answer) => (control | 0x80, answer),
                None => (control | 0xC0, vec![0x02]),
            },
            0x08 => {
                if let [ss, mm, hh, day, month, year] = *data {
                    self.set_clock([year, month, day, hh, mm, ss], now, faults);
                }
                return Vec::new();
            }
            // Error bit 2: password wrong or not authorised.
            0x1C if !self.may(data, 0) => (0xDC, vec![0x04]),
            0x14 if !self.may(data, 4) => (0xD4, vec![0x04]),
            0x14 => match self.write_clock(data, now, faults) {
                Some(()) => (0x94, Vec::new()),
                None => (0xD4, vec![0x02]),
            },
            0x1C => {
                // A trip with a stuck relay is acknowledged all the same.
                if let Some(order) = data.get(8) {
                    self.order_relay(*order, faults);
                }
                (0x9C, Vec::new())
            }
            _ => (control | 0xC0, vec![0x01]),
        };
        let [mut a, b, c, d, e, f] = own;
        for fault in faults {
            if let Fault::WrongUnit(unit) = fault {
                a = *unit;
            }
        }
        let length = u8::try_from(answer.len()).unwrap_or(u8::MAX);
        let mut frame = vec![0x68, a, b, c, d, e, f, 0x68, code, length];
        frame.extend(answer.iter().map(|byte| byte.wrapping_add(0x33)));
        frame.extend([sum(&frame), 0x16]);
        [vec![0xFE; 4], frame].concat()
    }

    /// Writes date or time.
    fn write_clock(&mut self, data: &[u8], now: Time, faults: &[Fault]) -> Option<()> {
        let [year, month, day, hh, mm, ss] = self.clock_digits(now);
        match (data.get(..4)?, data.get(12..)?) {
            ([1, 1, 0, 4], &[_, day, month, year]) => {
                self.set_clock([year, month, day, hh, mm, ss], now, faults);
            }
            ([2, 1, 0, 4], &[ss, mm, hh]) => {
                self.set_clock([year, month, day, hh, mm, ss], now, faults);
            }
            _ => return None,
        }
        Some(())
    }

    fn dlt645_data(
        &mut self,
        map: &Dlt645Map,
        wire: &[u8],
        now: Time,
        faults: &[Fault],
    ) -> Option<Vec<u8>> {
        let di = wire.iter().rev().fold(0_u32, |di, byte| (di << 8) | u32::from(*byte));
        if di == 0x0400_0503 && wire.len() == 4 {
            return Some([wire, &[if self.relay_is_open() { 0x10 } else { 0 }, 0]].concat());
        }
        let [year, month, day, hh, mm, ss] = self.clock_digits(now);
        match di {
            0x0400_0101 => return Some([wire, &[0, day, month, year]].concat()),
            0x0400_0102 => return Some([wire, &[ss, mm, hh]].concat()),
            _ => {}
        }
        if let Some(frozen) = self.dlt645_frozen(map, di, wire, now) {
            return Some(frozen);
        }
        let read = map.reads.iter().find(|read| read.di == di)?;
        let mut image = vec![0; read.length];
        let specs = self.profile().specs().clone();
        for (spec, point) in specs.iter().zip(&map.points).filter(|(_, p)| p.di == di) {
            let value = self.value(spec, now, faults).checked_div(point.scale).unwrap_or_default();
            let bytes = if faults.contains(&Fault::NaN) {
                vec![0xAB; point.bytes]
            } else {
                digits(value, point.decimals, point.bytes, point.signed)
            };
            image.get_mut(point.offset..point.offset + point.bytes)?.copy_from_slice(&bytes);
        }
        Some([wire, &image].concat())
    }

    /// What a DL/T 645 meter froze; a meter that is asked for a register that it has not has frozen nothing.
    fn dlt645_frozen(
        &mut self,
        map: &Dlt645Map,
        di: u32,
        wire: &[u8],
        now: Time,
    ) -> Option<Vec<u8>> {
        let [d3, d2, d1, d0] = di.to_be_bytes();
        match (wire.len(), d3, d2, d1) {
            (4, 0x05, 0x06, 0x00) => {
                let days = i64::from(d0) - 1;
                let at = super::meter::midnight(now, days);
                let [year, month, day, hh, mm, _] = self.clock_digits(at);
                Some([wire, &[mm, hh, day, month, year]].concat())
            }
            (4, 0x05, 0x06, kind @ 1..=8) => {
                let at = super::meter::midnight(now, i64::from(d0) - 1);
                let block: Vec<u8> = (0..5_u8)
                    .flat_map(|tariff| self.dlt645_energy(map, (kind, tariff), at))
                    .collect();
                Some([wire, &block].concat())
            }
            (4, 0x00, kind, 0xFF) if d0 > 0 => {
                let at = super::meter::midnight(now, 30 * i64::from(d0));
                let block: Vec<u8> = (0..5_u8)
                    .flat_map(|tariff| self.dlt645_energy(map, (kind, tariff), at))
                    .collect();
                Some([wire, &block].concat())
            }
            (4, 0x00, kind, tariff) if d0 > 0 => {
                let at = super::meter::midnight(now, 30 * i64::from(d0));
                Some([wire, &self.dlt645_energy(map, (kind, tariff), at)].concat())
            }
            (2, 0, 0, 0x94 | 0x98) => {
                let months = if d1 == 0x94 { 1 } else { 2 };
                let at = super::meter::midnight(now, 30 * months);
                let read = map.reads.iter().find(|read| read.di == u32::from(d0) | 0x9000)?;
                let place = map.points.iter().position(|point| point.di == read.di)?;
                let spec = self.profile().specs().get(place)?.clone();
                Some([wire, &digits(self.value(&spec, at, &[]), 2, 4, false)].concat())
            }
            _ => None,
        }
    }

    /// One energy of the past; zero for a tariff that the meter has not.
    fn dlt645_energy(&mut self, map: &Dlt645Map, (kind, tariff): (u8, u8), at: Time) -> Vec<u8> {
        let place = map.points.iter().position(|point| {
            let [d3, is, part, _] = point.di.to_be_bytes();
            let of = if part == 0xFF { point.offset / 4 } else { usize::from(part) };
            d3 == 0 && is == kind && of == usize::from(tariff)
        });
        let spec = place.and_then(|place| self.profile().specs().get(place).cloned());
        let value = spec.map_or(Decimal::ZERO, |spec| self.value(&spec, at, &[]));
        digits(value, 2, 4, false)
    }

    /// The answer of a CJ/T 188 meter; empty for none.
    pub(super) fn answer_cjt188(
        &mut self,
        (kind, own): (u8, [u8; 7]),
        control: u8,
        data: &[u8],
        now: Time,
        faults: &[Fault],
    ) -> Vec<u8> {
        let Map::Cjt188(map) = self.profile().map().clone() else { return Vec::new() };
        let head = data.get(..3).unwrap_or_default().to_vec();
        let known = [[0x1F, 0x90], [0x90, 0x1F]].iter().any(|di| head.starts_with(di));
        let (code, answer) = match control {
            0x01 if known => (0x81, [head, self.cjt188_content(&map, now, faults)].concat()),
            0x01 => match head.as_slice() {
                [0xD1, n @ 0x20..=0x2B, _] | [n @ 0x20..=0x2B, 0xD1, _] => {
                    let at = super::meter::midnight(now, 30 * (i64::from(*n) - 0x1F));
                    (0x81, [head, self.cjt188_settled(&map, at)].concat())
                }
                _ => (0xC1, vec![head.get(2).copied().unwrap_or(0), 0, 0]),
            },
            0x03 => (0x83, head),
            0x04 => {
                if let Some(order) = data.get(3) {
                    self.order_relay(if *order == 0x99 { 0x1A } else { 0x1C }, faults);
                }
                (0x84, [head, self.cjt188_status(&map)].concat())
            }
            _ => (control | 0xC0, vec![head.get(2).copied().unwrap_or(0), 0, 0]),
        };
        let mut frame = vec![0x68, kind];
        frame.extend(own);
        frame.extend([code, u8::try_from(answer.len()).unwrap_or(u8::MAX)]);
        frame.extend(answer);
        frame.extend([sum(&frame), 0x16]);
        [vec![0xFE; 3], frame].concat()
    }

    /// The counter of a settlement, in m3.
    fn cjt188_settled(&mut self, map: &Cjt188Map, at: Time) -> Vec<u8> {
        let is_current = |point: &Cjt188Point| point.field == crate::cjt188::Field::Current;
        let place = map.points.iter().position(is_current);
        let spec = place.and_then(|place| self.profile().specs().get(place).cloned());
        let value = spec.map_or(Decimal::ZERO, |spec| self.value(&spec, at, &[]));
        [digits(value, 2, 4, false), vec![0x2C]].concat()
    }

    fn cjt188_status(&self, map: &Cjt188Map) -> Vec<u8> {
        let status = map.status;
        vec![if self.relay_is_open() { status.closed } else { status.open }, 0]
    }

    fn cjt188_content(&mut self, map: &Cjt188Map, now: Time, faults: &[Fault]) -> Vec<u8> {
        use crate::cjt188::Field;
        let specs = self.profile().specs().clone();
        let mut of = |field: Field, per: &str, decimals, bytes| {
            let place = map.points.iter().position(|point| point.field == field);
            let spec = place.and_then(|place| specs.get(place));
            let per: Decimal = per.parse().unwrap_or(Decimal::ONE);
            let value = spec.map_or(Decimal::ZERO, |spec| {
                let value = self.value(spec, now, faults);
                let value = if spec.unit == Unit::KilowattHour {
                    value.checked_mul(per).unwrap_or_default()
                } else {
                    value
                };
                value.checked_div(per).unwrap_or_default()
            });
            if faults.contains(&Fault::NaN) {
                return vec![0xAB; bytes];
            }
            digits(value, decimals, bytes, false)
        };
        let zero_time = [0; 7];
        let mut content = Vec::new();
        if map.points.iter().any(|point| point.field == Field::Heat) {
            // A register in GJ is shown in kWh: the meter has a unit of its own.
            content.extend(of(Field::SettlementHeat, "0.0036", 2, 4));
            content.push(0x05);
            content.extend(of(Field::Heat, "0.0036", 2, 4));
            content.push(0x05);
            content.extend(of(Field::Power, "1000", 2, 4));
            content.push(0x17);
            content.extend(of(Field::Flow, "1", 4, 4));
            content.push(0x35);
            content.extend(of(Field::Volume, "1", 2, 4));
            content.push(0x2C);
            content.extend(of(Field::SupplyTemperature, "1", 2, 3));
            content.extend(of(Field::ReturnTemperature, "1", 2, 3));
            content.extend(of(Field::Hours, "1", 0, 3));
        } else {
            content.extend(of(Field::Current, "1", 2, 4));
            content.push(0x2C);
            content.extend(of(Field::Settlement, "1", 2, 4));
            content.push(0x2C);
        }
        content.extend(zero_time);
        content.extend(self.cjt188_status(map));
        content
    }

    /// The answer of an M-Bus meter to REQ_UD2.
    pub(super) fn answer_mbus(&mut self, own: &Address, now: Time, faults: &[Fault]) -> Vec<u8> {
        let Map::Mbus(map) = self.profile().map().clone() else { return Vec::new() };
        let (primary, identity) = match own {
            Address::Mbus(crate::mbus::Address::Primary(primary)) => {
                (*primary, [*primary, 0, 0, 0, 0x24, 0x40, 1, 7])
            }
            Address::Mbus(crate::mbus::Address::Secondary(identity)) => (0, identity.wire()),
            Address::Unit(_) | Address::Dlt645(_) | Address::Cjt188(_) => return Vec::new(),
        };
        let mut body = vec![0x08, primary, 0x72];
        body.extend(identity);
        body.extend([self.access(), 0, 0, 0]);
        body.extend(self.mbus_records(&map, now, faults));
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        let mut frame = vec![0x68, length, length, 0x68];
        frame.extend(&body);
        frame.extend([sum(&body), 0x16]);
        frame
    }

    fn mbus_records(&mut self, map: &MbusMap, now: Time, faults: &[Fault]) -> Vec<u8> {
        let specs = self.profile().specs().clone();
        let mut out = Vec::new();
        for (spec, point) in specs.iter().zip(&map.points) {
            // Exponents as most meters have them; the number in Wh, litres, W, mK, mV, mA.
            let (vif, factor): (&[u8], i64) = match (point.quantity.as_str(), spec.unit) {
                ("energy", Unit::Gigajoule) => (&[0x0B], 1_000_000),
                ("energy", _) => (&[0x03], 1000),
                ("volume", _) => (&[0x13], 1000),
                ("power", Unit::Kilowatt) => (&[0x2B], 1000),
                ("power", _) => (&[0x2B], 1),
                ("volume_flow", _) => (&[0x3B], 1000),
                ("flow_temperature", _) => (&[0x58], 1000),
                ("return_temperature", _) => (&[0x5C], 1000),
                ("temperature_difference", _) => (&[0x60], 1000),
                ("external_temperature", _) => (&[0x64], 1000),
                ("operating_time", _) => (&[0x26], 1),
                ("on_time", _) => (&[0x22], 1),
                ("voltage", _) => (&[0xFD, 0x46], 1000),
                ("current", _) => (&[0xFD, 0x59], 1000),
                ("heat_cost", _) => (&[0x6E], 1),
                _ => (&[0xFD, 0x3A], 1),
            };
            let value = self.value(spec, now, faults).checked_mul(factor.into());
            let number = value.and_then(|value| value.round().to_i64()).unwrap_or(0);
            let function = match point.function {
                crate::mbus::Function::Instantaneous => 0x00,
                crate::mbus::Function::Maximum => 0x10,
                crate::mbus::Function::Minimum => 0x20,
                crate::mbus::Function::Error => 0x30,
            };
            let low = u8::try_from(point.storage & 1).unwrap_or(0) << 6;
            let (mut storage, mut tariff, mut subunit) =
                (point.storage >> 1, point.tariff, point.subunit);
            let mut difes = Vec::new();
            while storage > 0 || tariff > 0 || subunit > 0 {
                let nibble = |n: u64, mask: u64| u8::try_from(n & mask).unwrap_or(0);
                difes.push(
                    nibble(storage, 15)
                        | nibble(tariff.into(), 3) << 4
                        | nibble(subunit.into(), 1) << 6,
                );
                (storage, tariff, subunit) = (storage >> 4, tariff >> 2, subunit >> 1);
            }
            let count = difes.len();
            out.push(0x06 | function | low | if count > 0 { 0x80 } else { 0 });
            let more = |i: usize| if i + 1 < count { 0x80 } else { 0 };
            out.extend(difes.iter().enumerate().map(|(i, dife)| dife | more(i)));
            let qualified = !point.qualifiers.is_empty();
            for (i, byte) in vif.iter().enumerate() {
                let last = i + 1 == vif.len();
                out.push(if last && qualified { byte | 0x80 } else { *byte });
            }
            let last = point.qualifiers.len().saturating_sub(1);
            let more = |i: usize| if i < last { 0x80 } else { 0 };
            out.extend(point.qualifiers.iter().enumerate().map(|(i, byte)| byte | more(i)));
            out.extend(number.to_le_bytes().iter().take(6));
        }
        out
    }
}
