//! What a meter used, stretch by stretch: the difference between the last readings before the ends of
//! the stretch, times the multiplier. Where no reading lies inside a stretch, or the counter fell,
//! nothing is said; nothing is spread or guessed.

use blockgate_types::{Decimal, Time};

/// One stretch: its begin, and what was used; `None` where the readings do not say.
pub type Stretch = (Time, Option<Decimal>);

/// The use between the `edges`, which ascend, by readings in time order.
#[must_use]
pub fn between(edges: &[Time], readings: &[(Time, Decimal)], multiplier: Decimal) -> Vec<Stretch> {
    let at = |edge: Time| {
        let after = readings.partition_point(|(time, _)| *time <= edge);
        after.checked_sub(1).and_then(|place| readings.get(place))
    };
    let pairs = edges.iter().zip(edges.iter().skip(1));
    let used = pairs.map(|(from, to)| {
        let (first, last) = (at(*from), at(*to));
        let used = first.zip(last).filter(|(first, last)| first.0 < last.0);
        let used = used.and_then(|(first, last)| last.1.checked_sub(first.1));
        let used = used.filter(|used| !used.is_sign_negative());
        (*from, used.and_then(|used| used.checked_mul(multiplier)).map(|used| used.normalize()))
    });
    used.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_without_a_reading_and_a_counter_that_fell_say_nothing() {
        let t = |minute: i64| Time::from_millis(minute * 60_000);
        let d = |n: i64| Decimal::new(n, 1);
        let readings =
            [(t(0), d(100)), (t(60), d(125)), (t(61), d(130)), (t(180), d(150)), (t(240), d(20))];
        let edges: Vec<Time> = (0..5).map(|hour| t(hour * 60)).collect();
        let used: Vec<Option<Decimal>> =
            between(&edges, &readings, Decimal::TWO).into_iter().map(|(_, used)| used).collect();
        assert_eq!(used, [Some(d(50)), Some(d(10)), Some(d(40)), None]);
    }
}
