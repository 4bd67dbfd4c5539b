//! Clocks that were never set, are set, or are set back, as scenarios: what is read, judged and closed by them.

use super::scenarios::{act, play, watched};
use super::*;

// invariant 12
#[test]
fn a_clock_that_was_never_set_begins_nothing_and_closes_nothing() {
    play(
        &mut World { block: begun().block, ..begun() },
        "
        03-31T23:50 read 1100
        > gap 2974
        > accepted 1100 used 100
        04-01T00:00 read 1100
        > accepted 1100 used 0
        04-01T00:01 tick unsynced
        > alarm clock-unsynced Raised
        04-05T00:00 tick unsynced
        04-05T00:01 tick
        > alarm clock-unsynced Cleared
        > bill a-1 electricity 2026-03-01..2026-04-01 48.83
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > closed 2 236.84
        04-05T00:02 tick
    ",
    );
}

// invariant 12
#[test]
fn readings_of_an_unset_clock_get_their_true_time_once_it_is_known() {
    // Half a year ahead: without it every meter would be held until that day has come.
    play(
        &mut begun(),
        "
        03-31T23:00 read 1100
        > gap 2971
        > accepted 1100 used 100
        09-20T00:00 restart
        > audit started
        09-20T00:01 tick unsynced
        > alarm clock-unsynced Raised
        09-20T00:15 read 1101
        > accepted 1101 used 1
        09-20T00:30 read 1102
        > accepted 1102 used 1
        03-31T23:50 known 09-20T00:00 09-20T00:31 -4129
        > audit clock-corrected
        03-31T23:50 tick
        > alarm clock-unsynced Cleared
        04-01T00:15 read 1103
        > gap 2
        > accepted 1103 used 1
        04-01T00:16 tick
        > bill a-1 electricity 2026-03-01..2026-04-01 50.29
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > closed 2 238.30
    ",
    );
}

#[test]
fn what_was_read_in_1970_over_the_months_edge_closes_the_month_once_its_time_is_known() {
    // As January here. It is no reading to look at on the spot, and no alarm.
    play(
        &mut begun(),
        "
        03-31T23:00 read 1100
        > gap 2971
        > accepted 1100 used 100
        01-01T00:00 restart
        > audit started
        01-01T00:01 tick unsynced
        > alarm clock-unsynced Raised
        01-01T00:15 read 1101
        > held 1101 ClockUnset
        01-01T00:30 read 1101
        01-01T00:45 read 1102
        > held 1102 ClockUnset
        01-01T01:00 read 1103
        > held 1103 ClockUnset
        04-03T12:00 known 01-01T00:00 01-01T01:01 2159
        > audit clock-corrected
        04-03T12:00 settle
        > accepted 1101 used 1
        04-03T12:00 settle
        > accepted 1102 used 1
        04-03T12:00 settle
        > accepted 1103 used 1
        04-03T12:00 settle
        04-03T12:00 tick
        > alarm clock-unsynced Cleared
        > bill a-1 electricity 2026-03-01..2026-04-01 50.29
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > closed 2 238.30
        04-03T12:15 read 1111
        > gap 240
        > accepted 1111 used 8
    ",
    );
}

#[test]
fn a_clock_that_goes_on_where_it_stopped_does_not_make_a_meter_look_too_fast() {
    // Eight hours without power; the clock of the start knows of five minutes.
    let mut world = begun();
    play(
        &mut world,
        "
        03-31T08:00 read 1100
        > gap 2911
        > accepted 1100 used 100
        03-31T08:05 restart
        > audit started
        03-31T08:05 tick unsynced
        > alarm clock-unsynced Raised
        03-31T08:15 read 1140
        > held 1140 ClockUnset
        03-31T08:30 read 1900
        > held 1900 ClockUnset
        03-31T16:40 known 03-31T08:05 03-31T08:40 8
        > audit clock-corrected
        03-31T16:40 settle
        > accepted 1140 used 40
        03-31T16:40 settle
        > held 1900 TooFast
        > alarm reading-held Raised
        03-31T16:40 settle
        03-31T16:45 read 1142
        > accepted 1142 used 2
        > alarm reading-held Cleared
    ",
    );
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn what_waits_for_the_time_of_a_start_that_is_over_stays_evidence() {
    let mut world = begun();
    play(
        &mut world,
        "
        03-31T08:00 read 1100
        > gap 2911
        > accepted 1100 used 100
        01-01T00:00 restart
        > audit started
        01-01T00:01 tick unsynced
        > alarm clock-unsynced Raised
        01-01T00:15 read 1101
        > held 1101 ClockUnset
        03-31T10:00 restart
        > audit started
        03-31T10:00 settle
        03-31T10:01 tick
        > alarm clock-unsynced Cleared
        03-31T10:15 read 1102
        > gap 8
        > accepted 1102 used 2
    ",
    );
    assert!(!world.block.has_waiting_readings());
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_new_box_judges_its_second_reading_by_the_true_time_of_the_first() {
    // By the wrong clock 80 days lie between the readings, and 500 kWh would be plausible.
    play(
        &mut watched(),
        "
        01-10T00:00 restart
        > audit started
        01-10T00:01 tick unsynced
        > alarm clock-unsynced Raised
        01-10T00:15 read 1000
        > opened 1000
        03-31T00:00 known 01-10T00:00 01-10T00:31 1920
        > audit clock-corrected
        03-31T00:00 tick
        > alarm clock-unsynced Cleared
        > audit charges-began
        03-31T00:45 read 1500
        > gap 1
        > held 1500 TooFast
        > alarm reading-held Raised
    ",
    );
}

#[test]
fn what_an_earlier_start_has_read_keeps_its_time() {
    let mut world = watched();
    world.read("2026-03-01T00:00:00+08:00", "1000");
    let (meter, register) =
        (MeterId::new("m-1").unwrap(), RegisterName::new("energy_import").unwrap());
    let at = |world: &World| world.block.register(&meter, &register).unwrap().at;
    let before = at(&world);
    act(&mut world, 1, "03-01T00:05 restart");
    act(&mut world, 2, "03-02T00:05 known 03-01T00:00 03-01T01:00 24");
    assert_eq!(at(&world), before);
    assert_eq!(world.replayed(), world.block);
}

// invariant 12
#[test]
fn a_clock_that_is_set_back_closes_nothing_twice_and_holds_what_it_reads() {
    play(
        &mut begun(),
        "
        04-01T00:00 read 1100
        > gap 2975
        > accepted 1100 used 100
        04-01T00:01 tick
        > bill a-1 electricity 2026-03-01..2026-04-01 48.83
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > closed 2 236.84
        03-31T12:00 tick
        > audit clock-stepped
        > alarm clock-stepped Raised
        03-31T12:00 read 1101
        > held 1101 NotLater
        > alarm reading-held Raised
        04-01T00:01 tick
        > alarm clock-stepped Cleared
        04-01T00:15 read 1102
        > accepted 1102 used 2
        > alarm reading-held Cleared
    ",
    );
}

#[test]
fn a_clock_that_was_ahead_and_is_set_back_does_not_make_a_meter_look_too_fast() {
    // Three hours ahead when it read 1100: five minutes later by the clocks, three hours by the day.
    let mut world = begun();
    play(
        &mut world,
        "
        03-15T12:00 read 1100
        > gap 1391
        > accepted 1100 used 100
        03-15T12:01 tick
        03-15T09:02 tick
        > audit clock-stepped
        > alarm clock-stepped Raised
        03-15T12:05 tick
        > alarm clock-stepped Cleared
        03-15T12:15 read 1130
        > accepted 1130 used 30
        03-15T12:30 read 1160
        > held 1160 TooFast
        > alarm reading-held Raised
    ",
    );
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_clock_that_fell_back_by_days_and_came_again_makes_no_jump_plausible() {
    // Were the rate judged over the ten days of the step, 60 kWh in a quarter of an hour would pass.
    play(
        &mut begun(),
        "
        03-20T12:00 read 1100
        > gap 1871
        > accepted 1100 used 100
        03-20T12:01 tick
        03-10T12:02 tick
        > audit clock-stepped
        > alarm clock-stepped Raised
        03-20T12:05 tick
        > alarm clock-stepped Cleared
        03-20T12:15 read 1160
        > held 1160 TooFast
        > alarm reading-held Raised
    ",
    );
}

#[test]
fn an_unset_clock_that_is_set_back_before_it_is_known_makes_no_meter_look_too_fast() {
    // First half a year ahead, then still two hours, then known: half past twelve to a quarter past three.
    let mut world = begun();
    play(
        &mut world,
        "
        03-15T12:00 read 1100
        > gap 1391
        > accepted 1100 used 100
        09-20T00:00 restart
        > audit started
        09-20T00:01 tick unsynced
        > alarm clock-unsynced Raised
        09-20T00:30 read 1110
        > accepted 1110 used 10
        03-15T15:00 tick unsynced
        > audit clock-stepped
        > alarm clock-stepped Raised
        03-15T17:00 read 1150
        > held 1150 ClockUnset
        03-15T15:10 known 09-20T00:00 09-20T00:31 -4524
        > audit clock-corrected
        03-15T15:10 known 03-15T15:00 03-15T17:05 -2
        > audit clock-corrected
        03-15T15:10 settle
        > accepted 1150 used 40
    ",
    );
    assert_eq!(world.replayed(), world.block);
}
