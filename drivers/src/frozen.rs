//! What a meter kept of its own past: daily freezes and settlements, read as they were frozen. Reads only.
//!
//! | protocol | days | months |
//! |---|---|---|
//! | DL/T 645-2007 | 050600nn, 0506kknn: time, total and tariffs of a kind of energy | 00kkttnn: the n-th last settlement |
//! | DL/T 645-1997 | | 94xx and 98xx in place of 90xx: last month, month before last |
//! | CJ/T 188 | | D120 to D12B: the n-th last settlement |
//!
//! Which energies is what the profile reads now: the values bear its registers' names and units.

use crate::address::Address;
use crate::dlt645::{self, Edition};
use crate::line::{Framing, Line};
use crate::meter::TestRead;
use crate::profile::{Dlt645Point, Map, Profile, judged};
use crate::{bcd, cjt188};
use blockgate_types::{Decimal, FaultClass, Frozen, ReadFault, RegisterSpec, Values};

/// What was frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// When, by the meter's clock, `YYYY-MM-DD hh:mm`; `None` where the meter does not say.
    pub at: Option<String>,
    /// The registers that were frozen.
    pub values: Values,
}

/// Reads what a meter froze.
///
/// # Errors
/// Those of the exchange. Protocol: the meter has no such data, or nothing is kept in this protocol. Value:
/// nothing was frozen there yet.
pub async fn read_frozen(
    line: &mut Line,
    address: Address,
    profile: &Profile,
    which: Frozen,
) -> Result<Kept, ReadFault> {
    let mut found: Vec<(RegisterSpec, Option<Decimal>)> = Vec::new();
    let mut at = None;
    match (profile.map(), address) {
        _ if line.settings().framing == Framing::Tcp => {
            return Err(nothing_kept(profile, which));
        }
        (Map::Dlt645(map), Address::Dlt645(address)) => {
            let points = map.frozen(which);
            if points.is_empty() {
                return Err(nothing_kept(profile, which));
            }
            let (edition, speed) = (map.edition, profile.serial);
            if let (Edition::E2007, Frozen::Day(n)) = (edition, which) {
                let di = FREEZE_TIME | u32::from(n);
                let stamp = dlt645::read(line, edition, address, di, 5, speed).await?;
                at = Some(time(&stamp).ok_or_else(|| never(line, which))?);
            }
            let mut asked: Option<(u32, Vec<u8>)> = None;
            for (index, point) in points {
                let length = point.offset + point.bytes;
                let data = match asked {
                    Some((di, data)) if di == point.di => data,
                    _ => dlt645::read(line, edition, address, point.di, length, speed).await?,
                };
                take(profile, index, point.value(&data), &mut found)?;
                asked = Some((point.di, data));
            }
        }
        (Map::Cjt188(map), Address::Cjt188(address)) => {
            let Frozen::Month(n) = which else { return Err(nothing_kept(profile, which)) };
            let di = cjt188::frame::di::SETTLEMENT_1 + u16::from(n.saturating_sub(1));
            let content = cjt188::read(line, map.dialect, address, di, profile.serial).await?;
            for (index, value) in map.settled(&content) {
                take(profile, index, value, &mut found)?;
            }
            if found.is_empty() {
                return Err(nothing_kept(profile, which));
            }
        }
        (Map::Modbus { .. } | Map::Dlt645(_) | Map::Cjt188(_) | Map::Mbus(_), _) => {
            return Err(nothing_kept(profile, which));
        }
    }
    let (specs, values): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok(Kept { at, values: Values { specs: specs.into(), values } })
}

/// As [`read_frozen`], keeping the frames.
pub async fn test_read_frozen(
    line: &mut Line,
    address: Address,
    profile: &Profile,
    which: Frozen,
) -> TestRead {
    line.keep_trace();
    let kept = read_frozen(line, address, profile, which).await;
    let (frozen_at, outcome) = match kept {
        Ok(kept) => (kept.at, Ok(kept.values)),
        Err(fault) => (None, Err(fault)),
    };
    TestRead { exchanges: line.take_trace(), outcome, frozen_at }
}

/// The time of a daily freeze; its last byte is the how many-th last.
const FREEZE_TIME: u32 = 0x0506_0000;

impl Dlt645Point {
    /// Where the same register stands among what was frozen.
    pub(crate) fn frozen(&self, edition: Edition, which: Frozen) -> Option<Self> {
        let [d3, kind, part, back] = self.di.to_be_bytes();
        let is_energy = d3 == 0 && kind <= 8 && back == 0;
        let (di, offset) = match (edition, which) {
            (Edition::E2007, Frozen::Month(n)) if is_energy => {
                (self.di | u32::from(n), self.offset)
            }
            // A block of total and tariffs, four bytes each; the combined energy is not frozen.
            (Edition::E2007, Frozen::Day(n)) if is_energy && kind > 0 && self.bytes == 4 => {
                let offset = if part == 0xFF { self.offset } else { usize::from(part) * 4 };
                (u32::from_be_bytes([0x05, 0x06, kind, n]), offset)
            }
            (Edition::E1997, Frozen::Month(n @ 1..=2)) if part & 0xFC == 0x90 => {
                (self.di | u32::from(n) << 10, self.offset)
            }
            (Edition::E2007 | Edition::E1997, Frozen::Day(_) | Frozen::Month(_)) => return None,
        };
        Some(Self { di, offset, ..self.clone() })
    }
}

fn take(
    profile: &Profile,
    index: usize,
    value: Result<Option<Decimal>, String>,
    found: &mut Vec<(RegisterSpec, Option<Decimal>)>,
) -> Result<(), ReadFault> {
    if let Some(spec) = profile.specs().get(index) {
        found.push((spec.clone(), judged(spec, value)?));
    }
    Ok(())
}

/// `mm hh DD MM YY`; `None` where nothing was frozen.
fn time(bytes: &[u8]) -> Option<String> {
    let &[minute, hour, day, month, year] = bytes else { return None };
    let [minute, hour, day, month, year] = [minute, hour, day, month, year].map(bcd::two);
    let (month, day) =
        (month.filter(|n| (1..=12).contains(n))?, day.filter(|n| (1..=31).contains(n))?);
    let (hour, minute) = (hour.filter(|n| *n < 24)?, minute.filter(|n| *n < 60)?);
    Some(format!("20{:02}-{month:02}-{day:02} {hour:02}:{minute:02}", year?))
}

fn never(line: &Line, which: Frozen) -> ReadFault {
    let raw = line.last_exchange().reply.to_vec();
    let what = format!("the meter has frozen nothing at {which} yet");
    ReadFault { class: FaultClass::Value, what, raw }
}

fn nothing_kept(profile: &Profile, which: Frozen) -> ReadFault {
    let what = format!("{} keeps nothing of {which} that can be read", profile.id);
    ReadFault { class: FaultClass::Protocol, what, raw: Vec::new() }
}
