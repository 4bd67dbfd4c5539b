//! How long a device takes to begin its answer, and how long it is waited for.
//!
//! Most devices answer in a tenth of what `reply_timeout` allows the slowest. Whoever waits that long for
//! one that has died takes the time from all others. So a device that has shown how fast it is gets
//! [`MULTIPLE`] times the longest of what it has shown, never less than [`FLOOR`] and never more than what
//! is configured.
//!
//! # Invariants
//! 1. Only answers are learned from. A device without [`HISTORY`] answers gets the configured time.
//! 2. After one miss it gets the configured time again, until it has given [`HISTORY`] answers more: a
//!    slow answer is not made a fault twice. With each further miss, and each answer that would have been
//!    one, it needs twice as many, up to [`HISTORY_MAX`]: one that is slow once in a thousand answers soon
//!    gets the configured time for good.
//! 3. The longest of at least the last [`GENERATION`] answers counts, or all where there are fewer. For
//!    answer times that keep no order, whatever their distribution, a further one is longer than all of `n`
//!    before it with probability 1 in `n + 1`: with 2, fewer than one answer in 64 is given up falsely,
//!    and that only where single ones take [`MULTIPLE`] times as long as all others.
//!
//! RFC 6298 smooths a mean and a deviation instead. It forgets a block that is read once in twenty
//! requests and takes ten times as long before that block comes again (the test shows it).

use std::time::Duration;

/// Never less, so that the scheduler of the system or of a serial server makes nobody dead.
pub const FLOOR: Duration = Duration::from_millis(250);
/// How many times the longest answer a device is waited for.
pub const MULTIPLE: u32 = 4;
/// Answers since the last miss before a device is given less than the configured time.
pub const HISTORY: u16 = 32;
/// The most that it needs after several misses; so many without one, and all are forgotten.
pub const HISTORY_MAX: u16 = 4096;
/// The longest of this many answers up to twice as many counts.
pub const GENERATION: u16 = 128;

/// What one device has shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerTimes {
    last: Option<Duration>,
    /// Longest of the generation that is being filled, and of the one before it.
    longest: [Duration; 2],
    /// Answers in the generation that is being filled.
    filled: u16,
    /// Answers since the last miss, up to [`HISTORY_MAX`].
    answers: u16,
    /// Misses that were followed by an answer, and answers that would have been missed.
    misses: u8,
    /// It was given less than the configured time, and missed.
    doubted: bool,
}

impl AnswerTimes {
    /// A good answer began so long after the request had gone over the wire.
    pub fn answered(&mut self, after: Duration) {
        let known = self.longest().filter(|_| self.answers >= HISTORY);
        if known.is_some_and(|longest| after > longest.saturating_mul(MULTIPLE).max(FLOOR)) {
            self.missed();
        }
        self.last = Some(after);
        self.doubted = false;
        self.answers = self.answers.saturating_add(1).min(HISTORY_MAX);
        if self.answers >= HISTORY_MAX {
            self.misses = 0;
        }
        if self.filled >= GENERATION {
            let [full, _] = self.longest;
            self.longest = [Duration::ZERO, full];
            self.filled = 0;
        }
        let [longest, _] = &mut self.longest;
        *longest = after.max(*longest);
        self.filled += 1;
    }

    /// It was waited for as long as [`Self::wait`] says, and nothing came.
    pub fn given_up(&mut self) {
        self.missed();
        self.doubted = true;
    }

    /// Whether it was given up early when it was asked before; once.
    pub fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubted)
    }

    /// Nothing came.
    pub fn missed(&mut self) {
        // A second one in a row says that it is dead, not that it is slow.
        if self.answers > 0 {
            self.misses = self.misses.saturating_add(1);
        }
        self.answers = 0;
    }

    /// How many answers it must have given since the last miss.
    fn needed(&self) -> u16 {
        let doubled = self.misses.saturating_sub(1).min(7);
        (HISTORY << doubled).min(HISTORY_MAX)
    }

    /// How long the last answer took to begin.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        self.last
    }

    /// The longest of the last answers; `None` before the first.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        self.last.map(|_| self.longest.into_iter().max().unwrap_or_default())
    }

    /// For how long the beginning of the next answer is waited, where that is less than `configured`.
    #[must_use]
    pub fn wait(&self, configured: Duration) -> Option<Duration> {
        if self.answers < self.needed() {
            return None;
        }
        let wait = self.longest()?.saturating_mul(MULTIPLE).max(FLOOR);
        (wait < configured).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: Duration = Duration::from_millis(1000);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn after(answers: impl IntoIterator<Item = u64>) -> AnswerTimes {
        let mut times = AnswerTimes::default();
        answers.into_iter().for_each(|n| times.answered(ms(n)));
        times
    }

    #[test]
    fn a_device_is_waited_for_four_times_the_longest_that_it_has_shown() {
        let history = usize::from(HISTORY);
        let table: &[(&str, AnswerTimes, Option<u64>)] = &[
            ("nothing known", AnswerTimes::default(), None),
            ("one answer too few", after(vec![40; history - 1]), None),
            ("fast: the floor", after(vec![40; history]), Some(250)),
            ("four times the longest", after((0..32).map(|n| 49 + n)), Some(320)),
            ("slow: what is configured", after(vec![250; history]), None),
            ("one slow one counts", after([vec![40; 100], vec![200; 1]].concat()), Some(800)),
            ("it counts for 128 more", after([vec![200; 1], vec![40; 255]].concat()), Some(800)),
            ("and for no more than 256", after([vec![200; 1], vec![40; 256]].concat()), Some(250)),
        ];
        for (name, times, wait) in table {
            assert_eq!(times.wait(CONFIGURED), wait.map(ms), "{name}");
        }
        assert_eq!(
            after([40; 32]).wait(ms(200)),
            None,
            "the configured time is less than the floor"
        );
    }

    #[test]
    fn after_one_miss_it_gets_the_configured_time_until_it_has_shown_as_much_again() {
        let mut times = after(vec![40; 500]);
        assert_eq!(times.wait(CONFIGURED), Some(FLOOR));
        times.missed();
        assert_eq!((times.wait(CONFIGURED), times.longest()), (None, Some(ms(40))));
        times.answered(ms(900));
        for _ in 1..HISTORY {
            assert_eq!(times.wait(CONFIGURED), None);
            times.answered(ms(40));
        }
        // It has answered after 900 ms: it is not given up before.
        assert_eq!(times.wait(CONFIGURED), None);
        for _ in 0..GENERATION * 2 {
            times.answered(ms(40));
        }
        assert_eq!(times.wait(CONFIGURED), Some(FLOOR));
    }

    #[test]
    fn with_each_miss_it_must_show_twice_as_much_and_one_that_dies_misses_once() {
        let mut times = after(vec![40; 500]);
        let mut needed = Vec::new();
        for _ in 0..9 {
            (0..5).for_each(|_| times.missed());
            let count = (1..).find(|_| {
                times.answered(ms(40));
                times.wait(CONFIGURED).is_some()
            });
            needed.push(count.unwrap());
        }
        // 4,096 without a miss, and all are forgotten.
        assert_eq!(needed, [32, 64, 128, 256, 512, 1024, 2048, 4096, 32]);
    }

    /// A plain generator of numbers, so that the test is the same everywhere.
    struct Numbers(u64);

    impl Numbers {
        /// From 1 to 65,536.
        fn next(&mut self) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 48) + 1
        }
    }

    /// Answers given up though the configured time would have heard them, of 100,000.
    fn given_up(mut takes: impl FnMut(u64) -> Duration) -> u32 {
        let (mut times, mut falsely) = (AnswerTimes::default(), 0);
        for n in 0..100_000 {
            let took = takes(n).min(CONFIGURED);
            if times.wait(CONFIGURED).is_some_and(|wait| took > wait) {
                falsely += 1;
                times.given_up();
            } else {
                times.answered(took);
            }
        }
        falsely
    }

    #[test]
    fn jitter_makes_hardly_an_answer_a_fault_and_never_more_than_the_bound() {
        let mut random = Numbers(1);
        let mut uniform = || random.next();
        let even = given_up(|_| ms(20 + uniform() % 180));
        let mut random = Numbers(2);
        // The more zero bits in front the longer: each doubling half as often.
        let mut steps = || u64::from(random.next().saturating_sub(1).trailing_zeros().min(12));
        let geometric = given_up(|_| ms(40 + 25 * steps()));
        let mut random = Numbers(3);
        // No mean at all: longer than x with probability 20 ms / x.
        let mut pareto = || random.next();
        let heavy = given_up(|_| Duration::from_micros(20_000 * 65_536 / pareto()));
        let rare = given_up(|n| if n % 20 == 0 { ms(600) } else { ms(40) });
        let mut random = Numbers(4);
        let mut any = || random.next();
        let seldom = given_up(|_| if any() % 500 == 0 { ms(900) } else { ms(40) });
        println!(
            "given up of 100,000: even {even}, geometric {geometric}, heavy {heavy}, one in 20 {rare}, one in 500 {seldom}"
        );
        assert_eq!((even, geometric, rare), (0, 0, 0));
        let bound = 100_000 / u32::from(HISTORY) / 2;
        assert!(heavy <= 10, "{heavy}");
        // Two hundred were slow.
        assert!((1..=12).contains(&seldom) && seldom < bound, "{seldom}");
    }

    /// RFC 6298, 2: SRTT and RTTVAR with their gains, without its least of one second.
    #[test]
    fn a_smoothed_mean_forgets_the_slow_block_that_is_read_once_in_twenty() {
        let (mut mean, mut deviation, mut falsely) = (40_000_i64, 20_000_i64, 0);
        for n in 0..1000 {
            let took = if n % 20 == 0 { 600_000 } else { 40_000 };
            let wait = (mean + 4 * deviation).max(i64::try_from(FLOOR.as_micros()).unwrap());
            falsely += u32::from(n > 0 && took > wait);
            deviation += ((took - mean).abs() - deviation) / 4;
            mean += (took - mean) / 8;
        }
        assert_eq!(falsely, 49, "every slow one");
        let ours = given_up(|n| if n % 20 == 0 { ms(600) } else { ms(40) });
        assert_eq!(ours, 0);
    }
}
