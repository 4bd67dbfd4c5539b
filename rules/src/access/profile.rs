//! Schedules as the time profiles of a controller: weekdays, up to three segments, a range of days,
//! and a link to the next profile that holds as well. A holiday is a range of days of its own.

use super::setup::{AccessSetup, Schedule, Window};
use crate::calendar::{Day, days_before, next_day};
use std::collections::BTreeMap;

/// The first number of a profile.
pub const FIRST: u8 = 2;
/// The last one.
pub const LAST: u8 = 254;
/// Segments of one profile.
const SEGMENTS: usize = 3;
/// Runs of holidays that a controller is told ahead.
const RUNS: usize = 4;

/// One time profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
    /// Monday first.
    pub weekdays: [bool; 7],
    /// Up to three windows.
    pub segments: Vec<Window>,
    /// The next profile that holds as well; 0 for none.
    pub linked: u8,
}

/// Day without a beginning.
pub(crate) const EARLIEST: Day = jiff::civil::date(2020, 1, 1);
/// Day without an end.
pub(crate) const LATEST: Day = jiff::civil::date(2099, 12, 31);

/// Windows of several schedules as one, in order, none touching.
#[must_use]
pub fn merged(windows: impl Iterator<Item = Window>) -> Vec<Window> {
    let mut all: Vec<Window> = windows.filter(|window| window.from < window.until).collect();
    all.sort_unstable();
    let mut merged: Vec<Window> = Vec::new();
    for window in all {
        match merged.last_mut() {
            Some(last) if window.from <= last.until => last.until = last.until.max(window.until),
            Some(_) | None => merged.push(window),
        }
    }
    merged
}

/// The union of several schedules.
#[must_use]
pub fn union(schedules: &[&Schedule]) -> Schedule {
    let mut whole = Schedule::default();
    for (day, place) in whole.week.iter_mut().enumerate() {
        let windows = schedules.iter().filter_map(|s| s.week.get(day)).flatten().copied();
        *place = merged(windows);
    }
    whole.holidays = merged(schedules.iter().flat_map(|s| &s.holidays).copied());
    whole
}

/// The holidays from `today` on, as at most so many runs of days: first and last.
#[must_use]
pub fn runs(setup: &AccessSetup, today: Day, most: usize) -> Vec<(Day, Day)> {
    let mut runs: Vec<(Day, Day)> = Vec::new();
    for day in setup.holidays.iter().map(|holiday| holiday.0).filter(|day| *day >= today) {
        let full = runs.len() >= most;
        match runs.last_mut() {
            Some((_, last)) if next_day(*last) == day => *last = day,
            Some(_) | None if full => break,
            Some(_) | None => runs.push((day, day)),
        }
    }
    runs
}

/// The links of one schedule's chain, without their numbers.
fn chain(schedule: &Schedule, runs: &[(Day, Day)]) -> Vec<Profile> {
    let mut links = Vec::new();
    let mut add = |from: Day, to: Day, weekdays: [bool; 7], windows: &[Window]| {
        for segments in windows.chunks(SEGMENTS) {
            let segments = segments.to_vec();
            links.push(Profile { from, to, weekdays, segments, linked: 0 });
        }
    };
    // Days of the week that are alike share their profiles.
    let mut patterns: BTreeMap<&[Window], [bool; 7]> = BTreeMap::new();
    for (day, windows) in schedule.week.iter().enumerate().filter(|(_, w)| !w.is_empty()) {
        if let Some(on) = patterns.entry(windows).or_default().get_mut(day) {
            *on = true;
        }
    }
    let mut from = EARLIEST;
    for (first, last) in runs {
        if let Some(to) = days_before(*first, 1).filter(|to| from <= *to) {
            patterns.iter().for_each(|(windows, days)| add(from, to, *days, windows));
        }
        add(*first, *last, [true; 7], &schedule.holidays);
        from = next_day(*last);
    }
    patterns.iter().for_each(|(windows, days)| add(from, LATEST, *days, windows));
    links
}

/// The profiles of a controller for its sets of schedules, and the number of each set's first profile.
/// First profiles are numbered from below, in the order of `sets`, the others from above: what
/// cards refer to does not move when a holiday passes. Where they do not fit, fewer holidays are told
/// ahead. A set that does not fit at all, or that never holds, has no number: it gives no right.
#[must_use]
pub fn profiles(
    setup: &AccessSetup,
    sets: &[Vec<&Schedule>],
    today: Day,
) -> (BTreeMap<u8, Profile>, Vec<Option<u8>>) {
    let wholes: Vec<Schedule> = sets.iter().map(|set| union(set)).collect();
    for most in (0..=RUNS).rev() {
        let runs = runs(setup, today, most);
        let chains: Vec<Vec<Profile>> = wholes.iter().map(|whole| chain(whole, &runs)).collect();
        let links: usize = chains.iter().map(|chain| chain.len().max(1)).sum();
        if links <= usize::from(LAST - FIRST) + 1 || most == 0 {
            return numbered(chains);
        }
    }
    (BTreeMap::new(), vec![None; sets.len()])
}

fn numbered(chains: Vec<Vec<Profile>>) -> (BTreeMap<u8, Profile>, Vec<Option<u8>>) {
    let (mut made, mut heads) = (BTreeMap::new(), Vec::new());
    let mut high = LAST;
    let count = chains.len();
    for (place, chain) in chains.into_iter().enumerate() {
        let head = u8::try_from(place).ok().and_then(|place| FIRST.checked_add(place));
        let rest = chain.len().saturating_sub(1);
        // What is left above all heads.
        let room = usize::from(high).saturating_sub(usize::from(FIRST) + count.saturating_sub(1));
        let Some(head) = head.filter(|_| !chain.is_empty() && rest <= room) else {
            heads.push(None);
            continue;
        };
        let mut number = head;
        let mut links = chain.into_iter().peekable();
        while let Some(link) = links.next() {
            let next = if links.peek().is_some() { high } else { 0 };
            made.insert(number, Profile { linked: next, ..link });
            if next != 0 {
                number = next;
                high = high.saturating_sub(1);
            }
        }
        heads.push(Some(head));
    }
    (made, heads)
}
