//! What money is to be expected next month, from the months that are over. Three plain methods are
//! tried on the past, month by month, each time with what was known then; the one that was wrong by
//! the least is taken, and its error is shown beside the number. No method is trusted unseen.

use blockgate_rules::Fen;
use serde::Serialize;

/// How a month is foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// As the month before.
    LastMonth,
    /// The mean of the three months before.
    MeanOfThree,
    /// As the same month of the year before.
    SameMonthLastYear,
}

impl Method {
    const ALL: [Self; 3] = [Self::LastMonth, Self::MeanOfThree, Self::SameMonthLastYear];

    /// What it says of the month after `past`.
    fn next(self, past: &[Fen]) -> Option<Fen> {
        match self {
            Self::LastMonth => past.last().copied(),
            Self::MeanOfThree => {
                let three = past.len().checked_sub(3).and_then(|from| past.get(from..))?;
                Some(Fen(Fen::sum(three.iter().copied())?.0 / 3))
            }
            Self::SameMonthLastYear => {
                past.len().checked_sub(12).and_then(|place| past.get(place)).copied()
            }
        }
    }
}

/// What is to be expected, and how wrong the method was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// What is to be expected.
    pub expected_fen: Fen,
    /// By which method.
    pub method: Method,
    /// By how much the method was wrong on average over the months it was tried on.
    pub mean_error_fen: Fen,
    /// The same in thousandths of what came; none where nothing came.
    pub error_permille: Option<i64>,
    /// On how many months it was tried.
    pub tried_months: usize,
}

/// The forecast of the month after `months`, which are whole months in order; `None` before there are
/// two of them.
#[must_use]
pub fn forecast(months: &[Fen]) -> Option<Forecast> {
    let tries = Method::ALL.into_iter().filter_map(|method| {
        let (mut wrong, mut came, mut tried) = (0_i128, 0_i128, 0_usize);
        for at in 1..months.len() {
            let (past, real) = (months.get(..at)?, months.get(at)?);
            let Some(said) = method.next(past) else { continue };
            wrong += i128::from(said.0).abs_diff(i128::from(real.0)).cast_signed();
            came += i128::from(real.0).abs();
            tried += 1;
        }
        let count = i128::try_from(tried).ok().filter(|count| *count > 0)?;
        let mean_error_fen = Fen(i64::try_from(wrong / count).ok()?);
        let error_permille =
            (came > 0).then(|| i64::try_from(wrong * 1000 / came).unwrap_or(i64::MAX));
        let expected_fen = method.next(months)?;
        Some(Forecast { expected_fen, method, mean_error_fen, error_permille, tried_months: tried })
    });
    // The first of equals: the plainest method.
    tries.min_by_key(|tried| tried.mean_error_fen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_that_was_wrong_by_the_least_is_taken_and_says_by_how_much() {
        assert_eq!(forecast(&[Fen(5)]), None, "one month says nothing");
        let flat = forecast(&[Fen(100), Fen(100), Fen(100)]).unwrap();
        assert_eq!((flat.expected_fen, flat.mean_error_fen), (Fen(100), Fen(0)));
        // Each winter month 900, each other 100: only last year's month knows.
        let season = |n: usize| if n % 12 < 2 { Fen(900) } else { Fen(100) };
        let two_years: Vec<Fen> = (0..24).map(season).collect();
        let said = forecast(&two_years).unwrap();
        assert_eq!(said.method, Method::SameMonthLastYear);
        assert_eq!((said.expected_fen, said.error_permille), (Fen(900), Some(0)));
        assert_eq!(said.tried_months, 12);
        // 100, 200, 300, …: the last month is wrong by 100 each time, three months' mean by 200.
        let rising: Vec<Fen> = (1..8).map(|n| Fen(n * 100)).collect();
        let said = forecast(&rising).unwrap();
        assert_eq!((said.method, said.mean_error_fen), (Method::LastMonth, Fen(100)));
    }
}
