//! Short texts of numbers, days and times, written on the stack: a bill has some forty of them, and
//! the formatting machinery takes three times as long for the same bytes.

use jiff::civil::Date;
use rust_decimal::Decimal;

/// The longest: a sign, 20 digits of 64 bits and a point, or 28 decimals with their zero.
const MOST: usize = 40;

/// A text, written from its end.
pub struct Spelled {
    bytes: [u8; MOST],
    begin: usize,
}

impl Spelled {
    fn new() -> Self {
        Self { bytes: [b'0'; MOST], begin: MOST }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(self.begin..).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Puts a byte before what is there.
    fn put(&mut self, byte: u8) -> Option<()> {
        let begin = self.begin.checked_sub(1)?;
        *self.bytes.get_mut(begin)? = byte;
        self.begin = begin;
        Some(())
    }

    /// Puts the last `count` decimal digits of a number before what is there.
    fn put_digits(&mut self, number: u64, count: u32) -> Option<()> {
        let mut rest = number;
        for _ in 0..count {
            self.put(digit(rest))?;
            rest /= 10;
        }
        Some(())
    }

    /// A number with the decimals it has; `None` beyond 64 bits.
    #[must_use]
    pub fn decimal(value: Decimal) -> Option<Self> {
        let mut rest = u64::try_from(value.mantissa().unsigned_abs()).ok()?;
        let (mut text, scale, mut place) = (Self::new(), value.scale(), 0_u32);
        while place <= scale || rest > 0 {
            if place == scale && place > 0 {
                text.put(b'.')?;
            }
            text.put(digit(rest))?;
            rest /= 10;
            place = place.saturating_add(1);
        }
        if value.is_sign_negative() {
            text.put(b'-')?;
        }
        Some(text)
    }

    /// A whole number.
    #[must_use]
    pub fn whole(number: u64) -> Option<Self> {
        Self::decimal(Decimal::from(number))
    }

    /// A day, `2026-03-01`; `None` outside of the years 0 to 9999.
    #[must_use]
    pub fn day(day: Date) -> Option<Self> {
        let mut text = Self::new();
        text.put_day(day)?;
        Some(text)
    }

    fn put_day(&mut self, day: Date) -> Option<()> {
        self.put_digits(u64::try_from(day.day()).ok()?, 2)?;
        self.put(b'-')?;
        self.put_digits(u64::try_from(day.month()).ok()?, 2)?;
        self.put(b'-')?;
        self.put_digits(u64::try_from(day.year()).ok()?, 4)
    }

    /// A time in UTC as RFC 3339 has it, with as many decimals of the second as are not zero.
    #[must_use]
    pub fn time(at: jiff::Timestamp) -> Option<Self> {
        let civil = jiff::tz::Offset::UTC.to_datetime(at);
        let mut text = Self::new();
        text.put(b'Z')?;
        let mut fraction = u64::try_from(civil.subsec_nanosecond()).ok()?;
        let mut places = 9_u32;
        if fraction > 0 {
            while fraction % 10 == 0 {
                fraction /= 10;
                places = places.saturating_sub(1);
            }
            text.put_digits(fraction, places)?;
            text.put(b'.')?;
        }
        for part in [civil.second(), civil.minute()] {
            text.put_digits(u64::try_from(part).ok()?, 2)?;
            text.put(b':')?;
        }
        text.put_digits(u64::try_from(civil.hour()).ok()?, 2)?;
        text.put(b'T')?;
        text.put_day(civil.date())?;
        Some(text)
    }
}

/// The last decimal digit of a number.
fn digit(number: u64) -> u8 {
    b'0'.saturating_add(u8::try_from(number % 10).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_number_is_spelled_as_it_is_displayed(mantissa: i64, scale in 0_u32..28, size in 0_u32..63) {
            let value = Decimal::new(mantissa >> size, scale);
            for value in [value, -value, value.normalize()] {
                let text = Spelled::decimal(value).unwrap();
                proptest::prop_assert_eq!(text.as_str().to_owned(), value.to_string());
            }
        }

        #[test]
        fn a_time_and_its_day_are_spelled_as_they_are_displayed(ms in 0_i64..253_402_207_200_000, zeros in 0_u32..4) {
            let ms = ms - ms % 10_i64.pow(zeros);
            let at = jiff::Timestamp::from_millisecond(ms).unwrap();
            proptest::prop_assert_eq!(Spelled::time(at).unwrap().as_str().to_owned(), at.to_string());
            let day = jiff::tz::Offset::UTC.to_datetime(at).date();
            proptest::prop_assert_eq!(Spelled::day(day).unwrap().as_str().to_owned(), day.to_string());
        }
    }

    #[test]
    fn what_has_no_short_form_is_left_to_its_display() {
        assert!(Spelled::decimal(Decimal::MAX).is_none());
        assert_eq!(
            Spelled::decimal(-Decimal::ZERO).unwrap().as_str(),
            (-Decimal::ZERO).to_string()
        );
        assert_eq!(Spelled::whole(u64::MAX).unwrap().as_str(), u64::MAX.to_string());
        assert!(Spelled::day(Date::new(-5, 1, 1).unwrap()).is_none());
        assert_eq!(Spelled::day(Date::new(7, 1, 2).unwrap()).unwrap().as_str(), "0007-01-02");
    }
}
