//! The car park's nights: statements before people go to work, once each morning, without a charge.

use super::parking::{account, car_park, plate};
use super::*;
use crate::parking::Parking;
use crate::parking::event::{Reason, Statement, Told};

fn world() -> World {
    let mut world = World::default();
    world.setup("2026-03-10T00:00:00+08:00", &car_park());
    world.tick("2026-03-10T06:00:00+08:00");
    world
}

fn statements(events: &[Event]) -> Vec<Statement> {
    let stated = events.iter().filter_map(|event| {
        let Event::Parking(parking) = event else { return None };
        let Parking::Stated(statement) = &**parking else { return None };
        Some((**statement).clone())
    });
    stated.collect()
}

fn of_night(events: &[Event]) -> Vec<String> {
    let lines = shown(events).into_iter();
    lines.filter(|line| line.starts_with("parking") || line.starts_with("notice")).collect()
}

#[test]
fn each_stay_of_a_night_that_owes_something_is_stated_once_before_six() {
    let mut world = world();
    let before = world.block.ledger().clone();
    world.pass("in-1", "粤B33333", "2026-03-10T20:00:00+08:00"); // on its household's account
    world.pass("in-1", "粤A00001", "2026-03-10T21:00:00+08:00"); // a stranger
    world.pass("in-1", "京V08001", "2026-03-10T22:00:00+08:00"); // parks free
    world.pass("in-1", "粤A00002", "2026-03-11T00:30:00+08:00"); // no night yet
    assert_eq!(of_night(&world.tick("2026-03-11T05:29:59+08:00")), [""; 0]);
    assert_eq!(world.block.next_due(), Some(t("2026-03-11T05:30:00+08:00")));
    let events = world.tick("2026-03-11T05:30:00+08:00");
    let view = world.block.parking().unwrap();
    let told = statements(&events);
    assert_eq!(told.len(), 2, "{:?}", shown(&events));
    for statement in &told {
        let stay = &view.state.stays()[&statement.stay];
        // What the barrier would ask for now, with its lines and its time line.
        let due = view.due(stay, t("2026-03-11T05:30:00+08:00")).unwrap();
        assert_eq!((statement.due_fen, &statement.lines), (due.due_fen, &due.lines));
        assert_eq!(statement.diagram, due.diagram);
        let minutes = t("2026-03-11T05:30:00+08:00").since(stay.entered).unwrap().as_millis();
        let last = statement.diagram.last().unwrap();
        assert_eq!(i64::from(last.to), minutes / 60_000);
        assert_eq!(statement.day, "2026-03-11");
        let own = stay.plate == Some(plate("粤B33333"));
        assert_eq!(statement.account, own.then(|| account("a-0101")));
    }
    drop(view);
    let notices = of_night(&events).into_iter().filter(|line| line.starts_with("notice"));
    let on_account = told.iter().find(|told| told.account.is_some()).unwrap();
    assert_eq!(
        notices.collect::<Vec<_>>(),
        [format!("notice a-0101 Parking {}", on_account.due_fen)]
    );
    let text = &on_account.text;
    assert!(
        text.zh.contains("2026-03-10 20:00") && text.en.contains("2026-03-11 05:30"),
        "{text:?}"
    );

    // Once a morning, also after a restart; the next morning again.
    assert_eq!(of_night(&world.tick("2026-03-11T05:31:00+08:00")), [""; 0]);
    let mut again = World { block: world.replayed(), ..World::default() };
    assert_eq!(of_night(&again.tick("2026-03-11T05:40:00+08:00")), [""; 0]);
    assert_eq!(statements(&world.tick("2026-03-12T05:30:00+08:00")).len(), 3);

    // No money moved by any of it, and the exit settles the stay.
    assert_eq!(*world.block.ledger(), before);
    let (told, reason, _) = world.pass("out-1", "粤B33333", "2026-03-12T07:45:00+08:00");
    assert_eq!((told, reason), (Told::Open, Reason::OnAccount));
    world.checked();
}

#[test]
fn a_box_that_was_off_at_half_past_five_states_when_it_comes_back_and_a_false_clock_states_nothing()
{
    let mut world = world();
    world.pass("in-1", "粤A00001", "2026-03-10T21:00:00+08:00");
    let unsynced = Input::Tick { now: t("2026-03-11T06:00:00+08:00"), clock: ClockState::Unsynced };
    assert_eq!(statements(&world.feed(&unsynced)).len(), 0);
    assert_eq!(statements(&world.tick("2026-03-11T09:10:00+08:00")).len(), 1);
    world.checked();
}

#[test]
fn a_full_car_park_has_all_its_statements_within_a_few_ticks() {
    let mut setup = car_park();
    let mut parking = (**setup.parking.as_ref().unwrap()).clone();
    parking.areas.values_mut().for_each(|area| area.capacity = 1_000);
    setup.parking = Some(Arc::new(parking));
    let mut world = World::default();
    world.setup("2026-03-10T00:00:00+08:00", &setup);
    for n in 0..450_u32 {
        let at = format!("2026-03-10T{:02}:{:02}:00+08:00", 10 + n / 60, n % 60);
        world.pass("in-1", &format!("粤C{n:05}"), &at);
    }
    let mut seen = BTreeSet::new();
    for second in 0..3 {
        let told = statements(&world.tick(&format!("2026-03-11T05:30:0{second}+08:00")));
        seen.extend(told.into_iter().map(|statement| statement.stay));
    }
    assert_eq!(seen.len(), 450);
    world.checked();
}
