//! The task of one lane's barrier: carries out what is durable, once, and reports what came of it.
//! `accepted` is not the effect: where the device or a contact tells, the arm's position decides.

use super::client::{self, Login};
use super::{Act, Lanes};
use crate::config::lanes::{self, BarrierConfig, PositionBy};
use crate::limits;
use crate::ports::Clock;
use blockgate_drivers::barrier::{
    GateCommand, Position, Request, Vendor, Verdict, dahua, hikvision,
};
use blockgate_drivers::transport::{Connect, Target};
use blockgate_rules::Input;
use blockgate_rules::anomaly::rule::Lasting;
use blockgate_rules::event::Outcome;
use blockgate_rules::gate::{ArmPosition, OpeningOutcome};
use blockgate_types::{LaneId, Span, Time};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An opening that its lane could not do in this time is too late: the car is gone, or a person came.
const TOO_LATE: Span = Span::from_secs(20);

/// The task of one barrier.
pub struct Gate {
    /// Which lane's.
    pub lane: LaneId,
    /// How it opens.
    pub config: BarrierConfig,
    /// What all lanes share.
    pub lanes: Arc<Lanes>,
    /// The way to the device.
    pub connect: Arc<dyn Connect>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The engine.
    pub hand: mpsc::Sender<Input>,
    /// What it is to do.
    pub acts: mpsc::Receiver<Act>,
    /// Where its arm is, by a contact.
    pub arm: watch::Receiver<Position>,
    /// The device did not take our password: it is not tried again, or the account is locked.
    pub locked_out: bool,
}

struct Done {
    outcome: Outcome,
    position: ArmPosition,
    detail: String,
}

impl Done {
    fn new(outcome: Outcome, position: ArmPosition, detail: impl Into<String>) -> Self {
        Self { outcome, position, detail: detail.into() }
    }
}

impl Gate {
    /// Works until told to stop. What is being carried out then is finished first.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut arm = self.arm.clone();
        let mut open = None;
        loop {
            let asked = open.is_some() && self.config.position == PositionBy::Device;
            let act = tokio::select! { biased;
                () = stop.cancelled() => return,
                act = self.acts.recv() => act,
                Ok(()) = arm.changed() => {
                    let position = *arm.borrow_and_update();
                    if self.arm_moved(position, &mut open).await {
                        continue;
                    }
                    stop.cancelled().await;
                    return;
                }
                () = tokio::time::sleep(limits::ARM_LOOK_EVERY), if asked => {
                    self.look().await;
                    continue;
                }
            };
            let Some(act) = act else { return };
            let done = self.carry_out(&act).await;
            if !self.report(&act, done).await {
                stop.cancelled().await;
                return;
            }
        }
    }

    /// Tells the rules since when the arm is up, and when it is down again: one that stays up lets
    /// everybody through. False when the engine has ended.
    async fn arm_moved(&self, position: Position, open: &mut Option<Time>) -> bool {
        let now = self.clock.now();
        let since = match position {
            Position::Open if open.is_none() => Some(now),
            Position::Closed if open.is_some() => None,
            Position::Open | Position::Closed | Position::Unknown => return true,
        };
        *open = since;
        let (what, subject) = (Lasting::GateOpen, format!("gate/{}", self.lane));
        self.hand.send(Input::Lasting { now, what, subject, since }).await.is_ok()
    }

    /// Asks the device where the arm is.
    async fn look(&self) {
        let Some(target) = &self.config.target else { return };
        let Ok(login) = self.login() else { return };
        let ask = hikvision::gate::ask_position(self.config.channel);
        if let Ok(answered) = client::send(&*self.connect, target, login.as_ref(), &ask).await {
            let position = hikvision::gate::position(&answered.body).unwrap_or(Position::Unknown);
            self.lanes.arm(&self.lane, position);
        }
    }

    async fn report(&self, act: &Act, done: Done) -> bool {
        let now = self.clock.now();
        {
            let mut barriers = self.lanes.barriers();
            let board = barriers.entry(self.lane.clone()).or_default();
            let good = done.outcome == Outcome::Done;
            board.opened += u64::from(good);
            board.failed += u64::from(!good);
            let word = if good { "done" } else { "failed" };
            board.last = Some((now, word.to_owned()));
        }
        if done.outcome != Outcome::Done {
            tracing::error!(lane = %self.lane, action = %act.opening.action, why = %done.detail,
                "the barrier did not open");
        }
        let outcome = OpeningOutcome {
            action: act.opening.action.clone(),
            lane: self.lane.clone(),
            at: now,
            outcome: done.outcome,
            position: done.position,
            detail: done.detail.clone(),
        };
        if self.hand.send(Input::GateOpened(outcome)).await.is_err() {
            return false;
        }
        let Some(id) = act.command.clone() else { return true };
        let outcome = match done.outcome {
            Outcome::Done => Outcome::Done,
            Outcome::Unknown => Outcome::Unknown,
            Outcome::Failed | Outcome::Expired | Outcome::Duplicate | Outcome::Refused => {
                Outcome::Failed
            }
        };
        let word = |position| match position {
            ArmPosition::Unknown => "unknown",
            ArmPosition::Closed => "closed",
            ArmPosition::Open => "open",
        };
        let detail = serde_json::json!({
            "lane": self.lane, "action": act.opening.action,
            "position": word(done.position), "detail": done.detail,
        });
        let done = Input::CommandDone { now, id, outcome, detail: detail.to_string() };
        self.hand.send(done).await.is_ok()
    }

    async fn carry_out(&mut self, act: &Act) -> Done {
        let late = self.clock.now().since(act.opening.at).is_some_and(|span| span > TOO_LATE);
        if late && !act.answered {
            let why = "it came too late: whoever waited is gone";
            return Done::new(Outcome::Failed, ArmPosition::Unknown, why);
        }
        if act.answered {
            return self.seen("answered").await;
        }
        let Some(target) = self.config.target.clone() else {
            let why = "this barrier is opened by the answer to its camera only: it has no host";
            return Done::new(Outcome::Failed, ArmPosition::Unknown, why);
        };
        if self.locked_out {
            let why = "the device refused our password before; correct it and restart";
            return Done::new(Outcome::Failed, ArmPosition::Unknown, why);
        }
        let login = match self.login() {
            Ok(login) => login,
            Err(fault) => {
                let why = format!("the password file: {fault}");
                return Done::new(Outcome::Failed, ArmPosition::Unknown, why);
            }
        };
        match self.command(&target, login.as_ref()).await {
            Ok(Verdict::Accepted) => self.read_back(&target, login.as_ref()).await,
            Ok(Verdict::Credentials) => {
                self.locked_out = true;
                let why = "the device refuses user or password";
                Done::new(Outcome::Failed, ArmPosition::Unknown, why)
            }
            Ok(Verdict::NotSupported) => {
                let why = "the device knows none of its commands";
                Done::new(Outcome::Failed, ArmPosition::Unknown, why)
            }
            Ok(Verdict::Refused(why)) => Done::new(Outcome::Failed, ArmPosition::Unknown, why),
            // It may have opened: only the arm can tell.
            Err(fault) => {
                let seen = self.read_back(&target, login.as_ref()).await;
                match seen.position {
                    ArmPosition::Open => seen,
                    ArmPosition::Unknown | ArmPosition::Closed => {
                        Done::new(Outcome::Unknown, seen.position, fault.to_string())
                    }
                }
            }
        }
    }

    fn login(&self) -> std::io::Result<Option<Login>> {
        let (Some(user), Some(file)) = (&self.config.user, &self.config.password_file) else {
            return Ok(None);
        };
        Ok(Some(Login { user: user.clone(), password: lanes::password(file)? }))
    }

    /// Tries the ways in which models of this vendor open; the next one only after "not supported".
    async fn command(&self, target: &Target, login: Option<&Login>) -> std::io::Result<Verdict> {
        let channel = self.config.channel;
        let send = |request: Request| async move {
            client::send(&*self.connect, target, login, &request).await
        };
        match self.config.vendor {
            Vendor::Vzenith => client::vzenith_open(&*self.connect, target).await,
            Vendor::Hikvision => {
                for way in hikvision::gate::ways(channel, GateCommand::Open) {
                    let answered = send(way).await?;
                    match hikvision::gate::verdict(answered.status, &answered.body) {
                        Verdict::NotSupported => {}
                        verdict => return Ok(verdict),
                    }
                }
                Ok(Verdict::NotSupported)
            }
            Vendor::Dahua => {
                let answered = send(dahua::strobe::command(channel, GateCommand::Open)).await?;
                Ok(dahua::strobe::verdict(answered.status, &answered.body))
            }
            Vendor::Generic => Ok(Verdict::NotSupported),
        }
    }

    async fn read_back(&mut self, target: &Target, login: Option<&Login>) -> Done {
        if self.config.position != PositionBy::Device {
            return self.seen("accepted").await;
        }
        let until = Instant::now() + self.config.arm_within.into();
        let ask = hikvision::gate::ask_position(self.config.channel);
        let mut last = Position::Unknown;
        loop {
            if let Ok(answered) = client::send(&*self.connect, target, login, &ask).await {
                last = hikvision::gate::position(&answered.body).unwrap_or(Position::Unknown);
                self.lanes.arm(&self.lane, last);
            }
            if last == Position::Open {
                return Done::new(Outcome::Done, ArmPosition::Open, "");
            }
            if Instant::now() >= until {
                return not_seen(last);
            }
            tokio::time::sleep(limits::ARM_EVERY).await;
        }
    }

    /// Waits for the contact of the arm, where there is one.
    async fn seen(&mut self, without: &str) -> Done {
        match self.config.position {
            PositionBy::Nowhere | PositionBy::Device => {
                Done::new(Outcome::Done, ArmPosition::Unknown, without)
            }
            PositionBy::Input(_) => {
                let within = self.config.arm_within.into();
                let open = self.arm.wait_for(|position| *position == Position::Open);
                let open = matches!(tokio::time::timeout(within, open).await, Ok(Ok(_)));
                if open {
                    return Done::new(Outcome::Done, ArmPosition::Open, "");
                }
                let last = *self.arm.borrow();
                not_seen(last)
            }
        }
    }
}

fn not_seen(last: Position) -> Done {
    match last {
        Position::Closed => {
            let why = "it was accepted, but the arm stayed down: locked, or without power?";
            Done::new(Outcome::Failed, ArmPosition::Closed, why)
        }
        Position::Unknown | Position::Open => {
            let why = "it was accepted, but the arm did not show that it is open";
            Done::new(Outcome::Unknown, ArmPosition::Unknown, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lanes::{FailSafe, OpenBy};
    use blockgate_drivers::sim::SimConnect;
    use blockgate_types::ClockState;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Time {
            Time::from_millis(1_772_323_200_000)
        }

        fn state(&self) -> ClockState {
            ClockState::Synced
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_arm_that_goes_up_and_down_is_told_to_the_rules_once_each() {
        let (hand, mut heard) = mpsc::channel(8);
        let (_act, acts) = mpsc::channel(1);
        let (contact, arm) = watch::channel(Position::Unknown);
        let config = BarrierConfig {
            vendor: Vendor::Generic,
            open: OpenBy::Answer,
            target: None,
            user: None,
            password_file: None,
            channel: 1,
            position: PositionBy::Input(0),
            arm_within: Span::from_secs(3),
            fail_safe: FailSafe::Ask,
        };
        let gate = Gate {
            lane: LaneId::new("n-out").unwrap(),
            config,
            lanes: Lanes::none(),
            connect: Arc::new(SimConnect::new()),
            clock: Arc::new(Fixed),
            hand,
            acts,
            arm,
            locked_out: false,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(gate.run(stop.clone()));
        let mut told = Vec::new();
        for position in [Position::Closed, Position::Open, Position::Open, Position::Closed] {
            contact.send_replace(position);
            // In paused time this returns when the task has nothing left to do.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            while let Ok(Input::Lasting { what, subject, since, .. }) = heard.try_recv() {
                assert_eq!((what, subject.as_str()), (Lasting::GateOpen, "gate/n-out"));
                told.push(since.is_some());
            }
        }
        assert_eq!(told, [true, false]);
        stop.cancel();
        task.await.unwrap();
    }
}
