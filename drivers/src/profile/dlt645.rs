//! DL/T 645 registers of a profile: data identifiers, and how their bytes are written.

use super::map::{self, Found};
use crate::bcd;
use crate::dlt645::Edition;
use blockgate_types::{Decimal, Frozen, ReadFault, Values};

/// One register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dlt645Point {
    /// Data identifier.
    pub di: u32,
    /// Bytes behind the identifier before the value: the place inside a block.
    pub offset: usize,
    /// Bytes of the value.
    pub bytes: usize,
    /// Decimals of the digits.
    pub decimals: u32,
    /// Whether the top bit is the sign.
    pub signed: bool,
    /// What one unit of the digits is worth in the register's unit.
    pub scale: Decimal,
    /// Whether a meter may have no such data: then the register has no value.
    pub optional: bool,
}

impl Dlt645Point {
    /// Reads digits as the standard writes them: `XXXXXX.XX`.
    ///
    /// # Errors
    /// A sentence about another text.
    pub fn digits(text: &str) -> Result<(usize, u32), String> {
        let wrong = || format!("{text:?}: write the digits as the standard does, like XXXXXX.XX");
        let (before, after) = text.split_once('.').unwrap_or((text, ""));
        if !before.bytes().chain(after.bytes()).all(|b| b == b'X') || before.is_empty() {
            return Err(wrong());
        }
        let digits = before.len() + after.len();
        if !digits.is_multiple_of(2) || digits > 16 {
            return Err(format!("{text:?} has {digits} digits; there are 2, 4, … 16: two a byte"));
        }
        Ok((digits / 2, u32::try_from(after.len()).unwrap_or(0)))
    }

    /// What the answer to this point's identifier says of it.
    pub(crate) fn value(&self, data: &[u8]) -> Result<Option<Decimal>, String> {
        self.find(self.di, data).unwrap_or(Ok(None))
    }

    fn find(&self, di: u32, data: &[u8]) -> Found {
        if self.di != di {
            return None;
        }
        let Some(bytes) = data.get(self.offset..self.offset + self.bytes) else {
            let has = data.len();
            return Some(if self.optional {
                Ok(None)
            } else {
                Err(format!("is missing: the answer to {di:08X} has only {has} bytes"))
            });
        };
        let number = match bcd::decode(bytes, self.decimals, self.signed) {
            Ok(Some(number)) => number,
            Ok(None) => return Some(Ok(None)),
            Err(error) => return Some(Err(error.to_string())),
        };
        let scaled = number.checked_mul(self.scale).map(|value| Some(value.normalize()));
        Some(scaled.ok_or_else(|| "is too large to be a reading".to_owned()))
    }
}

/// One read request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dlt645Read {
    /// Data identifier.
    pub di: u32,
    /// Data bytes that are expected.
    pub length: usize,
    /// Whether a refusal "no such data" is no fault: all its registers are optional.
    pub optional: bool,
}

/// The registers of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dlt645Map {
    /// Which edition the meter speaks.
    pub edition: Edition,
    /// In the order of the profile.
    pub points: Vec<Dlt645Point>,
    /// The requests, in the order in which their first register stands.
    pub reads: Vec<Dlt645Read>,
}

impl Dlt645Map {
    /// Gathers the requests.
    #[must_use]
    pub fn new(edition: Edition, points: Vec<Dlt645Point>) -> Self {
        let mut reads: Vec<Dlt645Read> = Vec::new();
        for point in &points {
            let length = point.offset + point.bytes;
            match reads.iter_mut().find(|read| read.di == point.di) {
                Some(read) => {
                    read.length = read.length.max(length);
                    read.optional &= point.optional;
                }
                None => reads.push(Dlt645Read { di: point.di, length, optional: point.optional }),
            }
        }
        Self { edition, points, reads }
    }

    /// Takes the values of an answer: the data behind the identifier.
    ///
    /// # Errors
    /// Class value.
    pub fn take(&self, di: u32, data: &[u8], values: &mut Values) -> Result<(), ReadFault> {
        let mut points = self.points.iter().enumerate();
        points.try_for_each(|(index, point)| map::put(values, index, point.find(di, data)))
    }

    /// The registers that the meter freezes as well, by their places, and where they stand there.
    pub(crate) fn frozen(&self, which: Frozen) -> Vec<(usize, Dlt645Point)> {
        let points = self.points.iter().enumerate();
        points.filter_map(|(i, point)| Some((i, point.frozen(self.edition, which)?))).collect()
    }

    /// The registers that an answer to `di` holds.
    pub(super) fn members(&self, di: u32) -> impl Iterator<Item = usize> + '_ {
        let points = self.points.iter().enumerate();
        points.filter(move |(_, point)| point.di == di).map(|(index, _)| index)
    }
}
