//! Commands on their way through the door. They outlive a connection: an answer that comes while
//! there is none goes out on the next one.

use super::authority::{self, Authority};
use super::wire::{self, Refusal, Response, Status};
use crate::command::{Closed, CommandDoor};
use crate::limits;
use crate::problem::Code;
use bytes::Bytes;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Where an answer goes.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// The topic.
    pub(super) topic: String,
    /// What the sender wants back.
    pub(super) correlation: Option<Bytes>,
}

/// An answer that is to be published.
pub(super) type Answered = (Address, Response);

/// Commands whose outcome is not known yet.
pub(super) struct Commands {
    door: CommandDoor,
    authority: Authority,
    running: JoinSet<Option<Answered>>,
    /// Begin of the present minute, and the commands in it.
    minute: (Instant, u32),
}

impl Commands {
    /// Commands through this door, of those who may.
    pub(super) fn new(door: CommandDoor, authority: Authority) -> Self {
        Self { door, authority, running: JoinSet::new(), minute: (Instant::now(), 0) }
    }

    /// Whether one more may be looked at: each leaves a record, and the disk is not its sender's.
    fn in_time(&mut self) -> bool {
        if self.minute.0.elapsed() >= Duration::from_secs(60) {
            self.minute = (Instant::now(), 0);
        }
        self.minute.1 = self.minute.1.saturating_add(1);
        self.minute.1 <= limits::MQTT_COMMANDS_PER_MINUTE
    }

    /// Reads a command and hands it in; gives the answer that goes out at once: `accepted`, or
    /// `refused` with the reason.
    pub(super) fn take(
        &mut self,
        topic: &str,
        name: &str,
        payload: &[u8],
        retained: bool,
        address: Address,
    ) -> Answered {
        let in_time = self.in_time();
        let opened = authority::open(payload);
        let command = match wire::command(name, &opened.text, retained) {
            Ok(command) if in_time && self.running.len() < limits::MQTT_INCOMING_MAX => command,
            Ok(command) => {
                let reason = match in_time {
                    true => format!("{} commands are being carried out", self.running.len()),
                    false => {
                        format!("more than {} in a minute", limits::MQTT_COMMANDS_PER_MINUTE)
                    }
                };
                let busy = Refusal { id: Some(command.id), code: Code::CommandBusy, reason };
                return (address, refused(name, busy));
            }
            Err(refusal) => return (address, refused(name, refusal)),
        };
        if let Err(why) = self.authority.judge(topic, &opened, &command) {
            tracing::warn!(name, "a command is refused: {why}");
            let id = Some(command.id.clone());
            let door = self.door.clone();
            // For the audit record; it is its one outcome, and the answer does not wait for it.
            self.running.spawn(async move {
                let _ = door.refuse(command, why).await;
                None
            });
            let forbidden = Refusal { id, code: Code::Forbidden, reason: why.to_owned() };
            return (address, refused(name, forbidden));
        }
        let accepted = Response {
            id: Some(command.id.clone()),
            name: name.to_owned(),
            status: Status::Accepted,
            code: Status::Accepted.code(),
            reason: String::new(),
            result: None,
        };
        let (door, name, id) = (self.door.clone(), name.to_owned(), command.id.clone());
        let to = address.clone();
        self.running.spawn(async move {
            match door.submit(command).await {
                Ok(answer) => Some((to, Response::ended(id, &name, answer.outcome, answer.detail))),
                // The gateway stops: the outcome, if there is one, is in the journal.
                Err(Closed) => None,
            }
        });
        (address, accepted)
    }

    /// Whether no outcome is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for the next outcome; `None` when it will not come.
    pub(super) async fn next(&mut self) -> Option<Answered> {
        self.running.join_next().await.and_then(Result::ok).flatten()
    }
}

fn refused(name: &str, refusal: Refusal) -> Response {
    Response {
        id: refusal.id,
        name: name.to_owned(),
        status: Status::Ended(blockgate_rules::event::Outcome::Refused),
        code: refusal.code.text(),
        reason: refusal.reason,
        result: None,
    }
}
