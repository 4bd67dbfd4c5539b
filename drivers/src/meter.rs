//! One meter, read whole.
//!
//! # Invariants
//! 1. A reading is whole: any fault in any block makes the poll a fault. Half a reading would mix
//!    values of two times without saying so.

use crate::address::Address;
use crate::line::{AnswerTimes, Framing, Line};
use crate::profile::{Block, Map, Profile};
use crate::{cjt188, dlt645, mbus, modbus};
use blockgate_types::{FaultClass, ReadFault, Values};

pub use crate::line::RawExchange;

/// Reads all registers of a profile from one meter.
///
/// May be cancelled by dropping the future: the next exchange settles the line first.
///
/// # Errors
/// The first fault of any request. Protocol: the address is not one of the profile's protocol, or the
/// line carries Modbus TCP only.
pub async fn read_meter(
    line: &mut Line,
    address: Address,
    profile: &Profile,
) -> Result<Values, ReadFault> {
    let mut values = empty(profile);
    match (profile.map(), address) {
        (Map::Modbus { plan, .. }, Address::Unit(unit)) => {
            read_modbus(line, unit, plan, &mut values).await?;
        }
        _ if line.settings().framing == Framing::Tcp => {
            return Err(misplaced(format!("a Modbus TCP line carries no {}", profile.protocol())));
        }
        (Map::Dlt645(map), Address::Dlt645(address)) => {
            let speed = profile.serial;
            for read in &map.reads {
                let got =
                    dlt645::read(line, map.edition, address, read.di, read.length, speed).await;
                match got {
                    Ok(data) => {
                        let taken = map.take(read.di, &data, &mut values);
                        taken.map_err(|fault| with_frame(fault, line))?;
                    }
                    Err(fault) if read.optional && dlt645::is_no_such_data(&fault) => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        (Map::Cjt188(map), Address::Cjt188(address)) => {
            let di = cjt188::frame::di::CURRENT;
            let content = cjt188::read(line, map.dialect, address, di, profile.serial).await?;
            map.take(&content, &mut values).map_err(|fault| with_frame(fault, line))?;
        }
        (Map::Mbus(map), Address::Mbus(address)) => {
            let telegrams = mbus::read(line, address, map.reset, profile.serial).await?;
            map.take(&telegrams, &mut values).map_err(|fault| with_frame(fault, line))?;
        }
        (Map::Modbus { .. } | Map::Dlt645(_) | Map::Cjt188(_) | Map::Mbus(_), address) => {
            let (is, want) = (address.protocol(), profile.protocol());
            return Err(misplaced(format!("{address} is an address of {is}, not of {want}")));
        }
    }
    Ok(values)
}

/// As [`read_meter`], for a meter that is read again and again: `times` is what it has shown until now,
/// and learns. One that has always been fast is not waited for as long as the slowest may take.
///
/// # Errors
/// As [`read_meter`].
pub async fn poll_meter(
    line: &mut Line,
    address: Address,
    profile: &Profile,
    times: &mut AnswerTimes,
) -> Result<Values, ReadFault> {
    let paced = line.paced(address, times);
    read_meter(&mut *paced.line, address, profile).await
}

/// A value that cannot be one is shown with the whole frame in which it came.
fn with_frame(fault: ReadFault, line: &Line) -> ReadFault {
    ReadFault { raw: line.last_exchange().reply.to_vec(), ..fault }
}

fn misplaced(what: String) -> ReadFault {
    ReadFault { class: FaultClass::Protocol, what, raw: Vec::new() }
}

async fn read_modbus(
    line: &mut Line,
    unit: u8,
    plan: &[Block],
    values: &mut Values,
) -> Result<(), ReadFault> {
    // While a person watches, one request after the other: each frame with its own reply.
    let pipeline = line.settings().pipeline && !line.is_traced();
    let pipeline = pipeline && line.settings().framing == Framing::Tcp;
    if pipeline && plan.len() > 1 {
        let reads = plan.iter().map(|block| block.read);
        return modbus::read_pipelined(line, unit, reads, |i, data| match plan.get(i) {
            Some(block) => decode(block, data, values),
            None => Ok(()),
        })
        .await;
    }
    for block in plan {
        let data = modbus::read_registers(line, unit, block.read).await?;
        decode(block, data, values).map_err(|fault| with_frame(fault, line))?;
    }
    Ok(())
}

fn empty(profile: &Profile) -> Values {
    Values { specs: profile.specs().clone(), values: vec![None; profile.specs().len()] }
}

fn decode(block: &Block, data: &[u8], values: &mut Values) -> Result<(), ReadFault> {
    for point in &block.points {
        if let (Some(spec), Some(slot)) =
            (values.specs.get(point.index), values.values.get_mut(point.index))
        {
            *slot = point.value(spec, data)?;
        }
    }
    Ok(())
}

/// What a test read shows an installer: every frame, and the values or the fault.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRead {
    /// The exchanges in order; the last one is the one that failed, if one did.
    pub exchanges: Vec<RawExchange>,
    /// The reading, or why there is none.
    pub outcome: Result<Values, ReadFault>,
    /// When the values were frozen, by the meter's clock, where it is not the present and the meter says so.
    pub frozen_at: Option<String>,
}

/// As [`read_meter`], one request at a time, keeping the frames.
pub async fn test_read(line: &mut Line, address: Address, profile: &Profile) -> TestRead {
    line.keep_trace();
    let outcome = read_meter(line, address, profile).await;
    TestRead { exchanges: line.take_trace(), outcome, frozen_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_may_be_spawned_on_any_runtime() {
        fn sendable<T: Send>(_: impl FnOnce(&'static mut Line, &'static Profile) -> T) {}
        sendable(|line, profile| read_meter(line, 1.into(), profile));
        sendable(|line, profile| test_read(line, 1.into(), profile));
        sendable(|line, _| line.settle());
    }
}
