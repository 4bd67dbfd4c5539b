//! A camera's push: read, handed to the engine, answered in the vendor's own form once the passage is
//! durable: the camera forgets its record when it is answered.

use super::advice::{Advice, Decision};
use super::{Act, Crossed, Crossing, Lanes};
use crate::config::lanes::{CameraConfig, OpenBy, PositionBy};
use crate::limits;
use crate::ports::Clock;
use blockgate_drivers::barrier::{
    self, Answer, BadPush, Colour, Position, Reply, Report, Seen, Vendor,
};
use blockgate_rules::Input;
use blockgate_rules::event::Outcome;
use blockgate_rules::gate::{ArmPosition, OpeningOutcome};
use blockgate_types::{CameraId, LaneId, Passage, Plate, PlateColour, PlateRead, Span, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why a push is not taken. Nothing opens for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// There is no such camera.
    NoCamera,
    /// The camera speaks another protocol.
    OtherVendor,
    /// It is not what the protocol says.
    Bad(BadPush),
    /// Its serial number is another one's.
    OtherSerial,
}

/// What a camera reported last, by its own keys, and how it was answered.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(String, Instant, Reply)>);

impl Recent {
    fn find(&self, key: &str) -> Option<&Reply> {
        let found = self.0.iter().find(|(known, ..)| known == key);
        found.filter(|(_, at, _)| at.elapsed() <= limits::REPEAT_WITHIN).map(|(.., reply)| reply)
    }

    fn keep(&mut self, key: String, reply: Reply) {
        if self.0.len() >= limits::REPEATS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((key, Instant::now(), reply));
    }
}

/// Takes a push and gives the answer.
///
/// # Errors
/// [`NotTaken`].
pub async fn take(
    lanes: &Arc<Lanes>,
    clock: &dyn Clock,
    id: &CameraId,
    vendor: Vendor,
    media: &str,
    body: &[u8],
) -> Result<Answer, NotTaken> {
    let camera = lanes.camera(id).ok_or(NotTaken::NoCamera)?.clone();
    if camera.vendor != vendor {
        return Err(NotTaken::OtherVendor);
    }
    let now = clock.now();
    let report = barrier::read(vendor, media, body).map_err(|fault| {
        lanes.cameras().entry(id.clone()).or_default().bad += 1;
        NotTaken::Bad(fault)
    })?;
    if let (Some(want), Some(told)) = (&camera.serial, serial(&report))
        && want != told
    {
        return Err(NotTaken::OtherSerial);
    }
    lanes.cameras().entry(id.clone()).or_default().heard = Some(now);
    let reply = match &report {
        Report::Car(seen) => car(lanes, id, &camera, seen, now).await,
        Report::Input { input, on, .. } => {
            arm(lanes, &camera.lane, *input, *on);
            Reply::default()
        }
        Report::Heartbeat { .. } | Report::Other(_) => Reply::default(),
    };
    Ok(barrier::answer(vendor, &report, &reply))
}

fn serial(report: &Report) -> Option<&String> {
    match report {
        Report::Car(seen) => seen.serial.as_ref(),
        Report::Input { serial, .. } | Report::Heartbeat { serial } => serial.as_ref(),
        Report::Other(_) => None,
    }
}

/// A contact of the arm changed.
fn arm(lanes: &Lanes, lane: &LaneId, input: u8, on: bool) {
    let barrier = lanes.config().barriers.get(lane);
    if barrier.is_some_and(|b| b.position == PositionBy::Input(input)) {
        lanes.arm(lane, if on { Position::Open } else { Position::Closed });
    }
}

async fn car(
    lanes: &Arc<Lanes>,
    id: &CameraId,
    camera: &CameraConfig,
    seen: &Seen,
    now: Time,
) -> Reply {
    // One car at a time: a repetition waits for the answer to the first.
    let Some(turn) = lanes.turns.get(id) else { return Reply::default() };
    let mut recent = turn.lock().await;
    {
        let mut cameras = lanes.cameras();
        let board = cameras.entry(id.clone()).or_default();
        board.cars += 1;
        if let Some(at) = seen.at.filter(|_| !seen.replayed) {
            board.clock_off_ms = Some(at.as_millis().saturating_sub(now.as_millis()));
        }
    }
    if let Some(reply) = seen.key.as_deref().and_then(|key| recent.find(key)) {
        lanes.cameras().entry(id.clone()).or_default().repeated += 1;
        return reply.clone();
    }
    let passage = passage(id, &camera.lane, seen, now);
    let open_by = lanes.config().barriers.get(&camera.lane).map(|barrier| barrier.open);
    let (crossed, at_once) = cross(lanes, passage).await;
    let mut reply = reply(&crossed.advice);
    // A car of the past opens nothing, and neither does an answer where a command does.
    reply.open &= !seen.replayed && open_by == Some(OpenBy::Answer);
    if let Some(opening) = crossed.opening.filter(|_| at_once) {
        let by_camera = seen.opened_by_camera || seen.replayed;
        let answered = open_by == Some(OpenBy::Answer) || by_camera;
        reply.open &= !seen.opened_by_camera;
        let act = Act { opening, command: None, answered };
        if let Err(act) = lanes.act(act) {
            not_done(lanes, &act, now, "the barrier takes no more openings").await;
        }
    }
    if let Some(key) = &seen.key {
        recent.keep(key.clone(), reply.clone());
    }
    reply
}

/// By the camera's clock where that can be right, else by ours.
fn passage(id: &CameraId, lane: &LaneId, seen: &Seen, now: Time) -> Passage {
    let at = seen.at.filter(|at| {
        let off = at.as_millis().abs_diff(now.as_millis());
        let near = i64::try_from(off).is_ok_and(|off| off <= limits::CAMERA_CLOCK_OFF.as_millis());
        near || (seen.replayed && *at < now && now.since(*at) < Some(Span::from_days(62)))
    });
    let read = seen.plate.as_deref().filter(|_| !seen.fake).and_then(|text| Plate::new(text).ok());
    let colour = match seen.colour {
        Colour::Unknown => PlateColour::Unknown,
        Colour::Blue => PlateColour::Blue,
        Colour::Yellow => PlateColour::Yellow,
        Colour::White => PlateColour::White,
        Colour::Black => PlateColour::Black,
        Colour::Green => PlateColour::Green,
        Colour::YellowGreen => PlateColour::YellowGreen,
    };
    Passage {
        camera: id.clone(),
        lane: lane.clone(),
        at: at.unwrap_or(now),
        event: seen.key.clone().unwrap_or_default(),
        plate: read.map(|plate| PlateRead { plate, confidence: seen.confidence, colour }),
        ticket: None,
        replayed: seen.replayed,
    }
}

/// Hands the passage to the engine and waits for the disk, as long as the camera can wait. Says too
/// whether the answer is the engine's and not the fail-safe's.
async fn cross(lanes: &Arc<Lanes>, passage: Passage) -> (Crossed, bool) {
    let lane = passage.lane.clone();
    let (reply, mut decided) = oneshot::channel();
    let fail_safe = || Crossed { advice: Advice::fail_safe(lanes.fail_safe(&lane)), opening: None };
    if lanes.crossings.try_send(Crossing { passage, reply }).is_err() {
        tracing::error!(%lane, "the engine takes no more cars: the lane works by its fail-safe policy");
        return (fail_safe(), false);
    }
    match tokio::time::timeout(limits::CROSSING_MAX, &mut decided).await {
        Ok(Ok(crossed)) => (crossed, true),
        Ok(Err(_)) => (fail_safe(), false),
        Err(_) => {
            tracing::error!(%lane, "the disk is late: the lane works by its fail-safe policy");
            // What was decided too late must have its outcome all the same.
            let late = lanes.clone();
            tokio::spawn(async move {
                if let Ok(Crossed { opening: Some(opening), .. }) = decided.await {
                    let at = opening.at;
                    let act = Act { opening, command: None, answered: true };
                    not_done(&late, &act, at, "answered by the fail-safe policy before").await;
                }
            });
            (fail_safe(), false)
        }
    }
}

async fn not_done(lanes: &Lanes, act: &Act, at: Time, why: &str) {
    let outcome = OpeningOutcome {
        action: act.opening.action.clone(),
        lane: act.opening.lane.clone(),
        at,
        outcome: Outcome::Failed,
        position: ArmPosition::Unknown,
        detail: why.to_owned(),
    };
    // When the engine has ended the process ends, and the next start answers `unknown`.
    let _ = lanes.hand.send(Input::GateOpened(outcome)).await;
}

fn reply(advice: &Advice) -> Reply {
    Reply {
        open: advice.decision == Decision::Open,
        display: Some(advice.display_zh.clone()).filter(|text| !text.is_empty()),
        voice: Some(advice.display_zh.clone()).filter(|text| !text.is_empty()),
    }
}
