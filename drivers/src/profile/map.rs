//! Where a protocol other than Modbus keeps the registers of a profile.

use super::cjt188::Cjt188Map;
use super::dlt645::Dlt645Map;
use super::mbus::MbusMap;
use super::{Block, Register};
use crate::address::Protocol;
use blockgate_types::{Decimal, FaultClass, ReadFault, RegisterSpec, Values};

/// The registers of a profile as their protocol finds them, in the order of the profile.
#[derive(Debug, Clone, PartialEq)]
pub enum Map {
    /// Register tables.
    Modbus {
        /// Where each register stands.
        registers: Vec<Register>,
        /// The requests that read them.
        plan: Vec<Block>,
    },
    /// Data identifiers.
    Dlt645(Dlt645Map),
    /// Fields of one reply.
    Cjt188(Cjt188Map),
    /// Records of one readout.
    Mbus(MbusMap),
}

impl Map {
    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Modbus { .. } => Protocol::Modbus,
            Self::Dlt645(_) => Protocol::Dlt645,
            Self::Cjt188(_) => Protocol::Cjt188,
            Self::Mbus(_) => Protocol::Mbus,
        }
    }
}

/// What a reply says about one register: nothing, "no value", or a value in the register's unit.
pub(super) type Found = Option<Result<Option<Decimal>, String>>;

/// Puts what a reply says into the reading. `index` is the register's place in the profile.
pub(super) fn put(values: &mut Values, index: usize, found: Found) -> Result<(), ReadFault> {
    let (Some(spec), Some(slot)) = (values.specs.get(index), values.values.get_mut(index)) else {
        return Ok(());
    };
    match found {
        None => Ok(()),
        Some(result) => {
            *slot = judged(spec, result)?;
            Ok(())
        }
    }
}

/// The value as its register may have it.
pub(crate) fn judged(
    spec: &RegisterSpec,
    result: Result<Option<Decimal>, String>,
) -> Result<Option<Decimal>, ReadFault> {
    let value = match result {
        Ok(Some(value)) => super::plan::judged(spec, value).map(Some),
        Ok(None) => Ok(None),
        Err(what) => Err(what),
    };
    value.map_err(|what| ReadFault {
        class: FaultClass::Value,
        what: format!("{} {what}", spec.name),
        raw: Vec::new(),
    })
}
