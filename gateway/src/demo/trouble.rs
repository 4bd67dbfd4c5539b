//! Trouble on purpose, by the seed: the broker goes mute, forgets, cuts, refuses or dawdles, and a line's port is
//! gone; a few seconds each, with a few good ones between. For a soak: nothing may grow by it, and nothing be lost.

use super::broker::{Acknowledge, Broker, Faults};
use blockgate_drivers::sim::SimConnect;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Lines whose port goes.
const LINES: [&str; 2] = ["/dev/demo-e", "/dev/demo-f"];

/// Real seconds: of quiet, and of trouble.
const QUIET: (u64, u64) = (3, 10);
const LASTS: (u64, u64) = (1, 5);

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn seconds(&mut self, (low, high): (u64, u64)) -> Duration {
        Duration::from_secs(low + self.below(high - low))
    }
}

fn faults(n: u64, dice: &mut Dice) -> Faults {
    let fine = Faults::default();
    match n {
        0 => Faults { acknowledge: Acknowledge::Never, ..fine },
        1 => Faults { acknowledge: Acknowledge::AndForget, ..fine },
        2 => Faults { cut_after: Some(1 + dice.below(9)), ..fine },
        3 => Faults { refuse: Some(rumqttc::ConnectReturnCode::ServerBusy), ..fine },
        _ => Faults { slow: Duration::from_millis(50), ..fine },
    }
}

/// Until told to stop; all is well then.
pub(super) async fn run(
    broker: Arc<Broker>,
    lines: SimConnect,
    seed: u64,
    stop: CancellationToken,
) {
    let mut dice = Dice(seed | 1);
    let work = async {
        loop {
            tokio::time::sleep(dice.seconds(QUIET)).await;
            let kind = dice.below(6);
            let line = LINES[usize::try_from(dice.below(2)).unwrap_or(0)];
            if kind == 5 {
                lines.refuse(line, true);
            } else {
                broker.set_faults(faults(kind, &mut dice));
                if matches!(kind, 2 | 3) {
                    broker.cut();
                }
            }
            tokio::time::sleep(dice.seconds(LASTS)).await;
            lines.refuse(line, false);
            broker.set_faults(Faults::default());
        }
    };
    tokio::select! { biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
    LINES.iter().for_each(|line| lines.refuse(line, false));
    broker.set_faults(Faults::default());
}
