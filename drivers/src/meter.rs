//! One meter, read whole.
//!
//! # Invariants
//! 1. A reading is whole: any fault in any block makes the poll a fault. Half a reading would mix
//!    values of two times without saying so.

use crate::line::{Framing, Line};
use crate::modbus;
use crate::profile::{Block, Profile};
use blockgate_types::{ReadFault, Values};
use std::time::Duration;

/// Reads all registers of a profile from one unit.
///
/// May be cancelled by dropping the future: the next exchange settles the line first.
///
/// # Errors
/// The first fault of any block.
pub async fn read_meter(line: &mut Line, unit: u8, profile: &Profile) -> Result<Values, ReadFault> {
    let mut values = empty(profile);
    let pipeline = line.settings().pipeline && line.settings().framing == Framing::Tcp;
    if pipeline && profile.plan().len() > 1 {
        let reads = profile.plan().iter().map(|block| block.read);
        modbus::read_pipelined(line, unit, reads, |i, data| match profile.plan().get(i) {
            Some(block) => decode(block, data, &mut values),
            None => Ok(()),
        })
        .await?;
    } else {
        for block in profile.plan() {
            let data = modbus::read_registers(line, unit, block.read).await?;
            decode(block, data, &mut values).map_err(|fault| with_frame(fault, line))?;
        }
    }
    Ok(values)
}

/// A value that cannot be one is shown with the whole frame in which it came.
fn with_frame(fault: ReadFault, line: &Line) -> ReadFault {
    ReadFault { raw: line.last_exchange().reply.to_vec(), ..fault }
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

/// The bytes of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawExchange {
    /// Sent.
    pub request: Vec<u8>,
    /// Received, good or bad; empty when nothing came.
    pub reply: Vec<u8>,
    /// From the last byte sent to the last byte received.
    pub round_trip: Duration,
}

/// What a test read shows an installer: every frame, and the values or the fault.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRead {
    /// The exchanges in order; the last one is the one that failed, if one did.
    pub exchanges: Vec<RawExchange>,
    /// The reading, or why there is none.
    pub outcome: Result<Values, ReadFault>,
}

/// As [`read_meter`], block by block, keeping the frames.
pub async fn test_read(line: &mut Line, unit: u8, profile: &Profile) -> TestRead {
    let mut exchanges = Vec::new();
    let mut values = empty(profile);
    for block in profile.plan() {
        let outcome = match modbus::read_registers(line, unit, block.read).await {
            Ok(data) => decode(block, data, &mut values).map_err(|fault| with_frame(fault, line)),
            Err(fault) => Err(fault),
        };
        let last = line.last_exchange();
        let mut exchange = RawExchange {
            request: last.request.to_vec(),
            reply: last.reply.to_vec(),
            round_trip: last.round_trip,
        };
        if let Err(fault) = outcome {
            // A fault may have closed the connection and its buffer with it.
            if exchange.reply.is_empty() {
                exchange.reply.clone_from(&fault.raw);
            }
            exchanges.push(exchange);
            return TestRead { exchanges, outcome: Err(fault) };
        }
        exchanges.push(exchange);
    }
    TestRead { exchanges, outcome: Ok(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_may_be_spawned_on_any_runtime() {
        fn sendable<T: Send>(_: impl FnOnce(&'static mut Line, &'static Profile) -> T) {}
        sendable(|line, profile| read_meter(line, 1, profile));
        sendable(|line, profile| test_read(line, 1, profile));
        sendable(|line, _| line.settle());
    }
}
