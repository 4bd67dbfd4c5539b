//! Telling meters something, on the simulated wire: what is refused, what is acknowledged, what moved.

use blockgate_drivers::act::{Device, Now, Seen, Sent};
use blockgate_drivers::cjt188::ValveState;
use blockgate_drivers::dlt645::order::{Authority, RelayState, Stamp};
use blockgate_drivers::sim::{Fault, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_drivers::{Address, Framing, Line, LineSettings, Parity, Profile, Protocol, Target};
use blockgate_types::{Act, Control, Decimal, RegisterName, RelayTo, Time, ValveTo};
use std::sync::Arc;

const GOOD: Authority =
    Authority { level: 2, password: [0x56, 0x34, 0x12], operator: [7, 0, 0, 0] };
const WIRE: [u8; 8] = [2, 0x56, 0x34, 0x12, 7, 0, 0, 0];
/// Eight o'clock in China.
const NOW: Now = Now {
    stamp: Stamp { year: 26, month: 3, day: 1, hour: 8, minute: 0, second: 0 },
    weekday: 0,
    deadline: Stamp { year: 26, month: 3, day: 1, hour: 8, minute: 10, second: 0 },
};

struct Bench {
    sim: SimLine,
    line: Line,
    address: Address,
    profile: Arc<Profile>,
}

impl Bench {
    fn new(protocol: Protocol, id: &str, set: impl FnOnce(SimMeter) -> SimMeter) -> Self {
        let clock = SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap());
        let value = |_: &RegisterName, _: Time| Decimal::ONE;
        let profile = Profile::shipped_by_id(id).unwrap().clone();
        let address = Address::parse(protocol, "161").unwrap();
        let meter = set(SimMeter::new(profile.clone(), value));
        let sim = SimLine::new(Framing::Rtu, clock).with(address, meter);
        let (path, parity) = ("/dev/ttyS9".to_owned(), Parity::Even);
        let target = Target::Serial { path, baud: 2400, data_bits: 8, parity, stop_bits: 1 };
        let mut settings = LineSettings::new(target, Framing::Rtu);
        settings.quarantine_at_open = false;
        let connect = SimConnect::new().with("/dev/ttyS9", sim.clone());
        let line = Line::new(settings, Arc::new(connect));
        Self { sim, line, address, profile }
    }

    fn device(&mut self) -> Device<'_> {
        Device { line: &mut self.line, address: self.address, profile: &self.profile }
    }

    fn orders(&self) -> u64 {
        self.sim.meter(self.address, |meter| meter.orders()).unwrap()
    }
}

fn dlt645(set: impl FnOnce(SimMeter) -> SimMeter) -> Bench {
    Bench::new(Protocol::Dlt645, "generic-dlt645-single-phase", set)
}

fn relay(to: RelayTo) -> Act {
    Act::Relay(to)
}

#[tokio::test(start_paused = true)]
async fn a_relay_does_what_it_is_told_by_who_may_and_its_state_says_so() {
    let mut bench = dlt645(|meter| meter.with_authority(WIRE));
    let wrong = Authority { password: [0; 3], ..GOOD };
    let refused = bench.device().order(relay(RelayTo::Trip), Some(wrong), NOW, None).await;
    let Sent::Refused(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("password"), "{why}");
    let nobody = bench.device().order(relay(RelayTo::Trip), None, NOW, None).await;
    assert!(matches!(nobody, Sent::Not(_)), "{nobody:?}");
    assert_eq!(bench.orders(), 0);
    for (to, state) in [
        (RelayTo::Trip, RelayState::Open),
        // The key is not pressed: it stays open.
        (RelayTo::Permit, RelayState::Open),
        (RelayTo::Close, RelayState::Closed),
    ] {
        let sent = bench.device().order(relay(to), Some(GOOD), NOW, None).await;
        assert_eq!(sent, Sent::Acknowledged);
        assert_eq!(bench.device().look(Control::Relay).await, Ok(Seen::Relay(state)));
    }
    assert_eq!(bench.orders(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_order_without_an_answer_is_sent_once_and_only_a_look_tells_what_became_of_it() {
    // The meter carries it out, and its acknowledgement is lost.
    let mut bench = dlt645(|meter| meter.with_fault(When::Request(1), Fault::Silent));
    let sent = bench.device().order(relay(RelayTo::Trip), Some(GOOD), NOW, None).await;
    assert!(matches!(sent, Sent::Unanswered(_)), "{sent:?}");
    let seen = bench.device().look(Control::Relay).await;
    assert_eq!((bench.orders(), seen), (1, Ok(Seen::Relay(RelayState::Open))));
    // Nothing goes out where there is no connection: nothing can have moved.
    let Bench { sim, address, profile, .. } = dlt645(|meter| meter);
    let refused = SimConnect::new().with("/dev/ttyS9", sim.clone());
    refused.refuse("/dev/ttyS9", true);
    let mut line = Line::new(bench.line.settings().clone(), Arc::new(refused));
    let mut device = Device { line: &mut line, address, profile: &profile };
    let sent = device.order(relay(RelayTo::Trip), Some(GOOD), NOW, None).await;
    assert!(matches!(sent, Sent::Not(_)), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_valve_arrives_in_its_own_time() {
    let mut bench = Bench::new(Protocol::Cjt188, "generic-cjt188-cold-water", |m| m.slow_by(3));
    let close = Act::Valve(ValveTo::Close);
    assert_eq!(bench.device().order(close, None, NOW, None).await, Sent::Acknowledged);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(bench.device().look(Control::Valve).await.unwrap());
    }
    use ValveState::{Closed, Open};
    assert_eq!(seen, [Open, Open, Closed].map(Seen::Valve));
}

#[tokio::test(start_paused = true)]
async fn a_clock_takes_the_telegram_within_five_minutes_and_a_write_beyond() {
    for (ahead, off, authority, taken) in [
        (200, Some(200), None, true),
        (-7000, Some(7000), None, false),
        (-7000, Some(7000), Some(GOOD), true),
    ] {
        let mut bench = dlt645(|meter| meter.with_clock_ahead(ahead).with_authority(WIRE));
        let sent = bench.device().order(Act::Clock, authority, NOW, off).await;
        assert_eq!(sent == Sent::Acknowledged, taken, "{ahead} {sent:?}");
        let Ok(Seen::Clock(shown)) = bench.device().look(Control::Clock).await else { panic!() };
        let minute = u64::from(shown.hour) * 60 + u64::from(shown.minute);
        assert_eq!(minute == 8 * 60, taken, "{ahead}: {shown:?}");
    }
}

/// One telegram to 999999999999: every meter of the line takes it, none answers, and the line goes on.
#[tokio::test(start_paused = true)]
async fn the_clocks_of_a_line_are_set_by_one_telegram() {
    let mut bench = dlt645(|meter| meter.with_clock_ahead(200));
    let other = Address::parse(Protocol::Dlt645, "162").unwrap();
    let value = |_: &RegisterName, _: Time| Decimal::ONE;
    bench.sim.put(other, SimMeter::new(bench.profile.clone(), value).with_clock_ahead(-90));
    let sent = bench.device().order(Act::LineClock, None, NOW, Some(200)).await;
    assert_eq!(sent, Sent::Acknowledged);
    assert_eq!(
        bench.line.last_exchange().request[4..18],
        {
            let mut telegram = vec![0x68];
            telegram.extend([0x99; 6]);
            telegram.extend([0x68, 0x08, 0x06]);
            // ss mm hh DD, 33 added.
            telegram.extend([0x33, 0x33, 0x3B, 0x34]);
            telegram
        }[..]
    );
    let profile = bench.profile.clone();
    for address in [bench.address, other] {
        let mut device = Device { line: &mut bench.line, address, profile: &profile };
        let Ok(Seen::Clock(shown)) = device.look(Control::Clock).await else { panic!("{address}") };
        assert_eq!((shown.hour, shown.minute), (8, 0), "{address}");
    }
    // What no meter takes is not sent.
    let orders = bench.orders();
    let midnight = Stamp { hour: 23, minute: 56, ..NOW.stamp };
    for (now, off) in [(NOW, 301), (Now { stamp: midnight, ..NOW }, 10)] {
        let sent = bench.device().order(Act::LineClock, None, now, Some(off)).await;
        assert!(matches!(sent, Sent::Not(_)), "{sent:?}");
    }
    assert_eq!(bench.orders(), orders);
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_has_no_order_for_is_not_sent() {
    let mut bench = dlt645(|meter| meter);
    let valve = Act::Valve(ValveTo::Open);
    let sent = bench.device().order(valve, Some(GOOD), NOW, None).await;
    assert_eq!(sent, Sent::Not("generic-dlt645-single-phase cannot open the valve".to_owned()));
}
