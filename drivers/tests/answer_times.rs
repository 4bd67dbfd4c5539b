//! A device is waited for as long as it has shown that it may need: what one that dies costs the line, that
//! one which is slow once is not lost, and that its late answer is never anybody else's.
//!
//! The wire is simulated: bytes take their time, and what is said at the same time is understood by nobody.

use blockgate_drivers::line::answers::HISTORY;
use blockgate_drivers::sim::{Fault, Pace, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_drivers::{
    Address, AnswerTimes, Framing, Line, LineSettings, Parity, Profile, Protocol, Target,
    poll_meter, read_meter,
};
use blockgate_types::{Decimal, FaultClass, ReadFault, RegisterName, Time, Values};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ANSWER: Duration = Duration::from_millis(40);

struct Device {
    address: Address,
    profile: Arc<Profile>,
    times: AnswerTimes,
    number: u8,
}

/// A line at 9,600 baud with these devices on it; each shows its number in every register.
struct Bench {
    line: Line,
    sim: SimLine,
    devices: Vec<Device>,
}

impl Bench {
    fn new(devices: &[(Protocol, &str)]) -> Self {
        let clock = SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap());
        let pace = Pace { baud: 9600, character_bits: 11, answer: ANSWER };
        let mut sim = SimLine::new(Framing::Rtu, clock).paced(pace);
        let mut all = Vec::new();
        for ((protocol, profile), number) in devices.iter().zip(1_u8..) {
            let digits = if *protocol == Protocol::Mbus && *profile == "selected" {
                format!("1234567{number}")
            } else {
                number.to_string()
            };
            let profile = if *profile == "selected" { "itron-bm-m" } else { profile };
            let address = Address::parse(*protocol, &digits).unwrap();
            let profile = Profile::shipped_by_id(profile).unwrap().clone();
            let own = move |register: &RegisterName, _: Time| match register.as_str() {
                "valve" | "battery_low" => Decimal::ZERO,
                "power_factor" => Decimal::ONE,
                _ => Decimal::from(number),
            };
            sim = sim.with(address, SimMeter::new(profile.clone(), own));
            all.push(Device { address, profile, times: AnswerTimes::default(), number });
        }
        let (path, parity) = ("/dev/ttyS9".to_owned(), Parity::Even);
        let target = Target::Serial { path, baud: 9600, data_bits: 8, parity, stop_bits: 1 };
        let mut settings = LineSettings::new(target, Framing::Rtu);
        settings.quarantine_at_open = false;
        let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim.clone()));
        Self { line: Line::new(settings, connect), sim, devices: all }
    }

    /// Polls a device; a value that is not its own is the end of the test.
    async fn poll(&mut self, place: usize) -> Result<(), ReadFault> {
        let device = &mut self.devices[place];
        let (address, profile) = (device.address, &device.profile);
        let values = poll_meter(&mut self.line, address, profile, &mut device.times).await?;
        check(&values, device.number);
        Ok(())
    }

    /// Rounds over all devices until each has shown enough.
    async fn learn(&mut self) {
        for _ in 0..=HISTORY {
            for place in 0..self.devices.len() {
                self.poll(place).await.unwrap();
            }
        }
    }

    fn fault(&self, place: usize, when: When, fault: Fault) {
        let added =
            self.sim.meter(self.devices[place].address, |meter| meter.add_fault(when, fault));
        assert!(added.is_some());
    }

    /// The next request only.
    fn late_once(&self, place: usize, by: Duration) {
        let now = self.sim.meter(self.devices[place].address, |meter| meter.requests()).unwrap();
        self.fault(place, When::Request(now + 1), Fault::Late(by));
    }
}

fn check(values: &Values, number: u8) {
    for (spec, value) in values.iter().filter(|(_, value)| value.is_some()) {
        if !matches!(spec.name.as_str(), "valve" | "battery_low" | "power_factor") {
            assert_eq!(value, Some(Decimal::from(number)), "{}", spec.name);
        }
    }
}

const FOUR: [(Protocol, &str); 4] = [
    (Protocol::Modbus, "eastron-sdm120"),
    (Protocol::Dlt645, "generic-dlt645-energy"),
    (Protocol::Cjt188, "generic-cjt188-cold-water"),
    (Protocol::Mbus, "itron-bm-m"),
];

/// What a death costs until the neighbour has been read: with what the device has shown, and without.
#[tokio::test(start_paused = true)]
async fn a_device_that_answers_in_40_ms_and_dies_costs_less_of_the_wire() {
    println!("protocol  neighbour after the death ms: learned first, second  not learned");
    for (protocol, profile) in FOUR {
        let mut bench = Bench::new(&[(protocol, profile), (protocol, profile)]);
        bench.learn().await;
        let started = Instant::now();
        bench.poll(1).await.unwrap();
        let alive = started.elapsed();
        bench.fault(0, When::Always, Fault::Silent);
        let mut costs = Vec::new();
        for _ in 0..2 {
            let started = Instant::now();
            let fault = bench.poll(0).await.unwrap_err();
            assert_eq!((fault.class, fault.raw.len()), (FaultClass::Timeout, 0), "{fault:?}");
            bench.poll(1).await.unwrap();
            costs.push((started.elapsed() - alive).as_millis());
            sleep(Duration::from_secs(4)).await;
        }
        let started = Instant::now();
        let dead = &bench.devices[0];
        read_meter(&mut bench.line, dead.address, &dead.profile).await.unwrap_err();
        bench.poll(1).await.unwrap();
        let plain = (started.elapsed() - alive).as_millis();
        println!("{protocol:<9} {:>44} {:>7} {plain:>12}", costs[0], costs[1]);
        // Four times 40 ms and what the answer is on this wire before its first byte comes.
        assert!(costs[0] < 450, "{protocol}: {costs:?}");
        assert!(costs[1] < 1500, "{protocol}: the whole reply_timeout: {costs:?}");
        assert!(plain >= 2900 && plain > 6 * costs[0], "{protocol}: {plain}");
    }
}

/// At 90 % of the reply_timeout after months of 40 ms: that poll is a fault, and no further one is.
#[tokio::test(start_paused = true)]
async fn a_device_that_is_slow_once_is_not_lost_and_not_a_fault_twice() {
    for (protocol, profile) in FOUR {
        let mut bench = Bench::new(&[(protocol, profile), (Protocol::Modbus, "eastron-sdm220")]);
        bench.learn().await;
        let slow = Duration::from_millis(900) - ANSWER;
        bench.late_once(0, slow);
        let fault = bench.poll(0).await.unwrap_err();
        let what = &fault.what;
        let mut number = what.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (within, longest) = (number.next().unwrap(), number.next().unwrap());
        assert_eq!(
            *what,
            format!("no answer within {within} ms; its longest lately took {longest} ms")
        );
        assert!(within < 450 && (within / 4).max(40) <= longest, "{what}");
        bench.poll(1).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        for n in 0..HISTORY {
            // However often it is slow now, it is heard.
            if n % 5 == 0 {
                bench.late_once(0, slow);
            }
            bench.poll(0).await.unwrap_or_else(|fault| panic!("{protocol} {n}: {fault:?}"));
            bench.poll(1).await.unwrap();
        }
        assert!(bench.devices[0].times.longest() > Some(Duration::from_millis(800)));
    }
}

/// An answer that comes when others are being asked, at every moment of their exchanges, for every pair of
/// protocols: no value is another meter's, and what it spoils is one poll at most.
#[tokio::test(start_paused = true)]
async fn a_late_answer_is_never_the_neighbour_s_whenever_it_comes() {
    let pairs = FOUR.iter().flat_map(|first| FOUR.iter().map(move |second| [*first, *second]));
    let selected = (Protocol::Mbus, "selected");
    let pairs = pairs.chain([[selected, selected], [selected, FOUR[3]], [FOUR[3], selected]]);
    let (mut events, mut spoilt) = (0_u32, BTreeMap::<FaultClass, u32>::new());
    for [late, neighbour] in pairs {
        let mut bench = Bench::new(&[late, neighbour, neighbour]);
        bench.learn().await;
        for by in (220..2900).step_by(23) {
            bench.late_once(0, Duration::from_millis(by));
            let given_up = bench.poll(0).await;
            let mut faults = 0;
            let until = Instant::now() + Duration::from_millis(3200);
            while Instant::now() < until {
                for place in [1, 2] {
                    if let Err(fault) = bench.poll(place).await {
                        faults += 1;
                        *spoilt.entry(fault.class).or_default() += 1;
                    }
                }
            }
            events += 1;
            assert!(faults <= 1, "{late:?} {neighbour:?} {by} ms late: {faults} faults");
            assert!(given_up.is_err() || by < 1000, "{by} ms late and heard");
            bench.poll(0).await.unwrap_or_else(|fault| panic!("{late:?} {by}: {fault:?}"));
            // Fast again, for as long as it takes to be trusted again.
            let times = &mut bench.devices[0].times;
            *times = AnswerTimes::default();
            (0..HISTORY).for_each(|_| times.answered(ANSWER));
        }
    }
    // The wire is never idle here: most of them meet an exchange and are not understood, nor is it.
    println!("{events} late answers spoilt {spoilt:?} of the neighbours' polls");
    assert_eq!(spoilt.get(&FaultClass::Value), None);
}

/// Answers between 40 and 160 ms and the wire's own time, in no order, and nobody is given up.
#[tokio::test(start_paused = true)]
async fn jitter_on_the_wire_makes_no_fault() {
    let mut bench = Bench::new(&FOUR);
    let mut given_less = 0;
    // A plain generator of numbers, so that the test is the same everywhere.
    let mut random = 1_u64;
    for round in 0..400 {
        for place in 0..4 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bench.late_once(place, Duration::from_millis((random >> 40) % 120));
            bench.poll(place).await.unwrap_or_else(|fault| panic!("{round} {place}: {fault:?}"));
            let times = &bench.devices[place].times;
            given_less += u32::from(times.wait(Duration::from_secs(1)).is_some());
        }
    }
    assert!(given_less > 500, "of 1,600 polls {given_less} had less than the whole second");
}
