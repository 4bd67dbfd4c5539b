//! CJ/T 188 registers of a profile: fields of the answer to 901F.

use super::map::{self, Found};
use crate::cjt188::data::{self, Content};
use crate::cjt188::{Dialect, Field, StatusMap, ValveState};
use crate::measure::Measure;
use blockgate_types::{Decimal, ReadFault, Unit, Values};

/// One register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cjt188Point {
    /// Which field.
    pub field: Field,
    /// The register's unit; the meter says its own, and the value is converted.
    pub unit: Unit,
    /// What the number is multiplied with beside its unit: counts of litres differ by model.
    pub scale: Decimal,
    /// Whether the answer of some meters of this model has no such field.
    pub optional: bool,
}

/// The registers of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cjt188Map {
    /// How the model speaks.
    pub dialect: Dialect,
    /// How its status word is read.
    pub status: StatusMap,
    /// In the order of the profile.
    pub points: Vec<Cjt188Point>,
}

impl Cjt188Map {
    /// Takes the values of an answer: the content behind identifier and sequence number.
    ///
    /// # Errors
    /// Class value: digits that are none, a unit that is not the register's, a field that is missing.
    pub fn take(&self, content: &[u8], values: &mut Values) -> Result<(), ReadFault> {
        let fields = data::fields(content);
        for (index, point) in self.points.iter().enumerate() {
            let found = match self.find(point, &fields) {
                Some(found) => found,
                None if point.optional => Ok(None),
                None => Err(format!(
                    "is missing: an answer of {} bytes has no field {}",
                    content.len(),
                    point.field.text()
                )),
            };
            map::put(values, index, Some(found))?;
        }
        Ok(())
    }

    /// The registers of the answer to a settlement (D120 to D12B), by their places: the counter alone.
    pub(crate) fn settled(&self, content: &[u8]) -> Vec<(usize, Result<Option<Decimal>, String>)> {
        let fields = data::fields(content);
        let points = self.points.iter().enumerate();
        let counters = points.filter(|(_, point)| point.field == Field::Current);
        counters.filter_map(|(i, point)| Some((i, self.find(point, &fields)?))).collect()
    }

    fn find(&self, point: &Cjt188Point, fields: &[(Field, Result<Content, String>)]) -> Found {
        let in_status = matches!(point.field, Field::Valve | Field::BatteryLow);
        let source = if in_status { Field::Status } else { point.field };
        let (_, content) = fields.iter().find(|(field, _)| *field == source)?;
        let content = match content {
            Ok(content) => content,
            Err(what) => return Some(Err(what.clone())),
        };
        Some(match content {
            Content::Amount(None, _) | Content::Plain(None, _) => Ok(None),
            Content::Amount(Some(value), code) => match data::unit(*code) {
                Some((text, measure)) => self.converted(point, *value, measure, text),
                None => Err(format!("has the unknown unit {code:02X}")),
            },
            Content::Plain(Some(value), measure) => {
                self.converted(point, *value, *measure, "another unit")
            }
            Content::Status(word) => Ok(Some(self.of_status(point.field, *word))),
            Content::Time(_) => Err("is a time and no number".to_owned()),
        })
    }

    fn of_status(&self, field: Field, word: [u8; 2]) -> Decimal {
        if field == Field::BatteryLow {
            return Decimal::from(u8::from(self.status.battery_low(word)));
        }
        if field != Field::Valve {
            return Decimal::from(u16::from_le_bytes(word));
        }
        Decimal::from(match self.status.valve(word) {
            ValveState::Open => 0,
            ValveState::Closed => 1,
            ValveState::Fault => 2,
        })
    }

    fn converted(
        &self,
        point: &Cjt188Point,
        value: Decimal,
        measure: Measure,
        unit: &str,
    ) -> Result<Option<Decimal>, String> {
        let value = value.checked_mul(point.scale).and_then(|v| measure.convert(v, point.unit));
        value.map(Some).ok_or_else(|| format!("comes in {unit}, which is no {}", point.unit))
    }

    /// The registers that an answer with this content holds.
    pub(super) fn members(&self, content: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let fields = data::fields(content);
        let points = self.points.iter().enumerate();
        points.filter(move |(_, point)| self.find(point, &fields).is_some()).map(|(i, _)| i)
    }
}
