//! A whole line on a simulated wire: what dead meters cost the others, how close together readings lie,
//! and what a meter that is told something comes to.

use super::*;
use crate::supervise::Watchdog;
use blockgate_drivers::line::LineSettings;
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{Fault, Pace, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_drivers::transport::{Parity, Target};
use blockgate_drivers::{Address, Protocol};
use blockgate_types::{ActResult, ClockState, Decimal, RegisterName, ValveTo};

struct Wall(SimClock);

impl Clock for Wall {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// A line of meters, the first of them dead, or dead from a time on.
struct Bench {
    baud: u32,
    protocol: Protocol,
    profile: &'static str,
    meters: u8,
    dead: u8,
    /// When the dead ones die; from the beginning where nothing is said.
    die_at: Option<Time>,
    poll_every: Span,
}

struct Running {
    asks: mpsc::Sender<Ask>,
    inbox: mpsc::Receiver<Input>,
    board: Arc<Board>,
    stop: CancellationToken,
}

fn id(n: u8) -> MeterId {
    MeterId::new(&format!("m-{n}")).unwrap()
}

impl Bench {
    fn start(&self, wall: SimClock, board: &Arc<Board>) -> Running {
        self.start_with(wall, board).0
    }

    /// As [`Self::start`], with the wire's far end.
    fn start_with(&self, wall: SimClock, board: &Arc<Board>) -> (Running, SimLine) {
        let pace = Pace { baud: self.baud, character_bits: 11, answer: Duration::from_millis(20) };
        let mut sim = SimLine::new(Framing::Rtu, wall).paced(pace);
        let profile = Profile::shipped_by_id(self.profile).unwrap();
        let mut meters = Vec::new();
        for n in 1..=self.meters {
            let address = Address::parse(self.protocol, &n.to_string()).unwrap();
            let value = |_: &RegisterName, _: Time| Decimal::ONE;
            let mut meter = SimMeter::new(profile.clone(), value).slow_by(4);
            if n <= self.dead {
                let end = Time::from_millis(i64::MAX);
                let when = self.die_at.map_or(When::Always, |at| When::Between(at, end));
                meter.add_fault(when, Fault::Silent);
            }
            sim = sim.with(address, meter);
            let config = MeterConfig {
                line: "l-1".parse().unwrap(),
                address,
                profile: profile.clone(),
                poll_every: self.poll_every,
                record_every: Span::from_mins(15),
                authority_file: None,
                controls: std::collections::BTreeSet::new(),
            };
            meters.push((id(n), config));
        }
        let (path, parity, baud) = ("/dev/ttyS9".to_owned(), Parity::Even, self.baud);
        let target = Target::Serial { path, baud, data_bits: 8, parity, stop_bits: 1 };
        let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim.clone()));
        let line = Line::new(LineSettings::new(target, Framing::Rtu), connect);
        let (asks, asked) = mpsc::channel(4);
        let (hand, inbox) = mpsc::channel(100_000);
        let clock = Arc::new(Wall(wall));
        let worker =
            Worker::new("l-1".parse().unwrap(), line, meters, board.clone(), clock, hand, asked);
        let stop = CancellationToken::new();
        tokio::spawn(worker.run(Watchdog::new().part("l-1"), stop.clone()));
        (Running { asks, inbox, board: board.clone(), stop }, sim)
    }

    /// Good polls of the living from one time until another.
    async fn good_between(&self, from: Time, until: Time) -> u32 {
        let midnight = start_of(0);
        let mut running = self.start(SimClock::starting_at(midnight), &Arc::default());
        tokio::time::sleep(until.since(midnight).unwrap().into()).await;
        running.stop.cancel();
        let mut good = 0;
        while let Some(Input::Observed(seen)) = running.inbox.recv().await {
            let n = seen.meter.as_str().trim_start_matches("m-").parse::<u8>().unwrap();
            let is_dead = n <= self.dead && self.die_at.is_none_or(|at| seen.at > at);
            assert!(seen.outcome.is_err() || !is_dead, "a dead meter answered");
            let counts = n > self.dead && seen.at >= from && seen.at < until;
            good += u32::from(seen.outcome.is_ok() && counts);
        }
        good
    }

    /// Good polls in an hour.
    async fn good_in_an_hour(&self) -> u32 {
        let start = SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap());
        let mut running = self.start(start, &Arc::default());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        running.stop.cancel();
        let mut good = 0;
        while let Some(Input::Observed(seen)) = running.inbox.recv().await {
            let silent = seen.meter.as_str().trim_start_matches("m-").parse::<u8>().unwrap();
            assert!(seen.outcome.is_err() || silent > self.dead, "a dead meter answered");
            good += u32::from(seen.outcome.is_ok());
        }
        good
    }
}

/// 54 meters as fast as the wire allows, alone and beside 10 that never answer.
#[tokio::test(start_paused = true)]
async fn ten_dead_meters_of_sixty_four_cost_the_others_less_than_3_percent() {
    println!("  baud  polls an hour of 54 alone  beside 10 dead    lost");
    for baud in [9600, 115_200] {
        let alone = Bench {
            baud,
            protocol: Protocol::Modbus,
            profile: "eastron-sdm120",
            meters: 54,
            dead: 0,
            die_at: None,
            poll_every: Span::ZERO,
        };
        let beside = Bench { meters: 64, dead: 10, ..alone };
        let (alone, beside) = (alone.good_in_an_hour().await, beside.good_in_an_hour().await);
        let lost = (alone - beside) * 1000 / alone;
        println!("{baud:>6} {alone:>26} {beside:>15} {:>5}.{} %", lost / 10, lost % 10);
        assert!(lost < 30, "{baud}: {alone} {beside}");
    }
}

/// Ten that have answered for half an hour and die together, on a line that is polled as fast as the wire
/// allows: what the others lose in the quarter, the half and the whole hour after that.
#[tokio::test(start_paused = true)]
async fn ten_meters_of_sixty_four_that_die_in_mid_run_cost_the_others_less_than_3_percent() {
    let death = start_of(0).plus(Span::from_mins(30));
    println!("  baud  minutes  polls of 54 alone  beside 10 that died    lost");
    for (baud, protocol, profile) in [
        (2400, Protocol::Dlt645, "generic-dlt645-energy"),
        (9600, Protocol::Modbus, "eastron-sdm120"),
        (115_200, Protocol::Modbus, "eastron-sdm120"),
    ] {
        for minutes in [15, 30, 60] {
            let alone = Bench {
                baud,
                protocol,
                profile,
                meters: 54,
                dead: 0,
                die_at: None,
                poll_every: Span::ZERO,
            };
            let beside = Bench { meters: 64, dead: 10, die_at: Some(death), ..alone };
            let until = death.plus(Span::from_mins(minutes));
            let alone = alone.good_between(death, until).await;
            let beside = beside.good_between(death, until).await;
            let lost = alone.saturating_sub(beside) * 1000 / alone;
            println!(
                "{baud:>6} {minutes:>8} {alone:>18} {beside:>20} {:>5}.{} %",
                lost / 10,
                lost % 10
            );
            assert!(lost < 30, "{baud}, {minutes} minutes: {alone} {beside}");
        }
    }
}

/// A meter that is once slower than it ever was misses that poll, is asked again within seconds, and is
/// read for the same quarter-hour.
#[tokio::test(start_paused = true)]
async fn a_meter_that_answers_late_once_is_read_again_in_the_same_quarter_of_an_hour() {
    let start = SimClock::starting_at(start_of(0));
    let bench = Bench {
        baud: 9600,
        protocol: Protocol::Dlt645,
        profile: "generic-dlt645-energy",
        meters: 3,
        dead: 0,
        die_at: None,
        poll_every: Span::from_secs(60),
    };
    let (mut running, sim) = bench.start_with(start, &Arc::default());
    let edge = start_of(1);
    let late = Fault::Late(Duration::from_millis(900));
    let own = Address::parse(Protocol::Dlt645, "2").unwrap();
    sim.meter(own, |meter| {
        meter.add_fault(When::Between(edge, edge.plus(Span::from_secs(2))), late)
    });
    tokio::time::sleep(Duration::from_secs(3630)).await;
    let shown = running.board.meters().get(&id(2)).unwrap().reply.unwrap();
    running.stop.cancel();
    let mut polls = Vec::new();
    while let Some(Input::Observed(seen)) = running.inbox.recv().await {
        let first = seen.at.since(edge).map(|after| after.as_millis());
        match first {
            Some(after) => polls.push((seen.meter.to_string(), after, seen.outcome.is_ok())),
            None => assert!(seen.outcome.is_ok(), "{} {:?}", seen.at, seen.outcome),
        }
    }
    let of = |n: u8| {
        let name = id(n).to_string();
        polls.iter().filter(|p| p.0 == name).map(|p| (p.1, p.2)).collect::<Vec<_>>()
    };
    assert!(matches!(of(1)[..], [(0..=200, true)]), "{polls:?}");
    assert!(matches!(of(2)[..], [(0..=600, false), (3000..=4000, true)]), "{polls:?}");
    // Its late answer met the neighbour's exchange and was nobody's fault.
    assert!(matches!(of(3)[..], [(0..=800, true)]), "{polls:?}");
    assert_eq!(shown.1, Duration::from_secs(1), "it gets the whole time again: {shown:?}");
}

/// Where there is time to spare, dead meters cost nothing, and one that comes back is noticed in minutes.
#[tokio::test(start_paused = true)]
async fn a_line_with_time_to_spare_loses_nothing() {
    let bench = |dead| Bench {
        baud: 9600,
        protocol: Protocol::Modbus,
        profile: "eastron-sdm120",
        meters: 20 + dead,
        dead,
        die_at: None,
        poll_every: Span::from_secs(60),
    };
    let (alone, beside) = (bench(0).good_in_an_hour().await, bench(10).good_in_an_hour().await);
    assert_eq!((alone, beside), (20 * 60, 20 * 60));
}

/// Three lines of other speeds and intervals: the readings for a quarter-hour's edge lie together.
#[tokio::test(start_paused = true)]
async fn readings_of_a_quarter_hour_lie_within_the_slowest_line_s_round() {
    let start = SimClock::starting_at("2026-03-01T00:03:00Z".parse().unwrap());
    let board: Arc<Board> = Arc::default();
    board.alignment().within = Span::from_secs(60);
    let bench = |baud, protocol, profile, minutes| Bench {
        baud,
        protocol,
        profile,
        meters: 40,
        dead: 0,
        die_at: None,
        poll_every: Span::from_mins(minutes),
    };
    let mut lines: Vec<Running> = [
        bench(9600, Protocol::Modbus, "eastron-sdm120", 7),
        bench(2400, Protocol::Dlt645, "generic-dlt645-energy", 11),
        bench(9600, Protocol::Cjt188, "generic-cjt188-cold-water", 15),
    ]
    .iter()
    .map(|bench| bench.start(start, &board))
    .collect();
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let mut worst = Duration::ZERO;
    for hour in 1..=2 {
        let edge = start_of(hour);
        for line in &mut lines {
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < 40 {
                let Some(Input::Observed(poll)) = line.inbox.recv().await else { panic!() };
                if poll.at >= edge && seen.insert(poll.meter) {
                    worst = worst.max(poll.at.since(edge).unwrap().into());
                }
            }
        }
    }
    let measured = *line_alignment(&lines);
    println!(
        "worst of two edges {} ms; measured by the board {:?}",
        worst.as_millis(),
        measured.last
    );
    assert!(worst < Duration::from_secs(60), "{worst:?}");
    assert!(measured.last.spread < Span::from_secs(60));
    assert!(measured.last.meters >= 120, "{measured:?}");
    lines.iter().for_each(|line| line.stop.cancel());
}

fn start_of(hour: i64) -> Time {
    let midnight: Time = "2026-03-01T00:00:00Z".parse().unwrap();
    midnight.plus(Span::from_hours(hour))
}

fn line_alignment(lines: &[Running]) -> std::sync::MutexGuard<'_, crate::board::Alignment> {
    lines.first().unwrap().board.alignment()
}

/// A valve moves while the line polls on, and is believed when its status says so.
#[tokio::test(start_paused = true)]
async fn a_valve_is_looked_at_until_it_has_arrived_and_the_others_are_polled_meanwhile() {
    let start = SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap());
    let bench = Bench {
        baud: 2400,
        protocol: Protocol::Cjt188,
        profile: "generic-cjt188-cold-water",
        meters: 2,
        dead: 1,
        die_at: None,
        poll_every: Span::from_secs(1),
    };
    let running = bench.start(start, &Arc::default());
    let told = async |meter| {
        let (reply, report) = oneshot::channel();
        let act = Act::Valve(ValveTo::Close);
        running.asks.send(Ask::Act { meter, act, reply }).await.unwrap();
        report.await.unwrap()
    };
    let report = told(id(2)).await;
    assert_eq!((report.result, report.state), (ActResult::Verified, Some(MeterState::ValveClosed)));
    // The dead one may have done it, and nobody can say.
    let report = told(id(1)).await;
    assert_eq!((report.result, report.state), (ActResult::Unknown, None));
    running.stop.cancel();
}
