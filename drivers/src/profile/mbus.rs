//! M-Bus registers of a profile: records of a readout, by what they mean.

use super::map::{self, Found};
use crate::mbus::{Function, Record, Telegram, Value};
use blockgate_types::{ReadFault, Unit, Values};

/// One register: the first record that means this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbusPoint {
    /// The quantity, one of [`crate::mbus::vif::QUANTITIES`].
    pub quantity: String,
    /// What kind of value.
    pub function: Function,
    /// 0 present, from 1 on stored.
    pub storage: u64,
    /// Tariff; 0 for the total.
    pub tariff: u32,
    /// Unit inside the device.
    pub subunit: u32,
    /// VIFEs that qualify the value, none for most.
    pub qualifiers: Vec<u8>,
    /// Which of several records that mean the same: 0 is the first.
    pub nth: usize,
    /// The register's unit; the record says its own, and the value is converted.
    pub unit: Unit,
    /// Whether the readout of some meters of this model has no such record.
    pub optional: bool,
}

impl MbusPoint {
    fn means(&self, record: &Record) -> bool {
        record.meaning.quantity == self.quantity
            && record.function == self.function
            && record.storage == self.storage
            && record.tariff == self.tariff
            && record.subunit == self.subunit
            && record.qualifiers == self.qualifiers
    }

    fn find(&self, telegrams: &[Telegram]) -> Found {
        let records = telegrams.iter().flat_map(|telegram| &telegram.records);
        let record = records.filter(|record| self.means(record)).nth(self.nth)?;
        Some(match &record.value {
            Value::Number(number) => {
                let measure = record.meaning.measure();
                let value = measure.and_then(|measure| measure.convert(*number, self.unit));
                let unit = record.unit();
                value
                    .map(Some)
                    .ok_or_else(|| format!("comes in {unit:?}, which is no {}", self.unit))
            }
            Value::None(_) => Ok(None),
            Value::Text(_) | Value::Stamp(_) => Err("is no number".to_owned()),
        })
    }
}

/// The registers of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbusMap {
    /// Whether the meter acknowledges SND_NKE.
    pub reset: bool,
    /// In the order of the profile.
    pub points: Vec<MbusPoint>,
}

impl MbusMap {
    /// Takes the values of a readout.
    ///
    /// # Errors
    /// Class value: a record that is missing or has another unit.
    pub fn take(&self, telegrams: &[Telegram], values: &mut Values) -> Result<(), ReadFault> {
        for (index, point) in self.points.iter().enumerate() {
            let found = match point.find(telegrams) {
                Some(found) => found,
                None if point.optional => Ok(None),
                None => Err(format!("is missing: the readout has no such {}", point.quantity)),
            };
            map::put(values, index, Some(found))?;
        }
        Ok(())
    }

    /// The registers that a readout holds.
    pub(super) fn members(&self, telegrams: &[Telegram]) -> impl Iterator<Item = usize> + '_ {
        let found: Vec<usize> = self
            .points
            .iter()
            .enumerate()
            .filter(|(_, point)| point.find(telegrams).is_some())
            .map(|(index, _)| index)
            .collect();
        found.into_iter()
    }
}
