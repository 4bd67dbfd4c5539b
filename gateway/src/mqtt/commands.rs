//! Commands on their way through the door. They outlive a connection: an answer that comes while
//! there is none goes out on the next one.

use super::wire::{self, Refusal, Response, Status};
use crate::command::{Closed, CommandDoor};
use crate::limits;
use crate::problem::Code;
use bytes::Bytes;
use tokio::task::JoinSet;

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
    running: JoinSet<Option<Answered>>,
}

impl Commands {
    /// Commands through this door.
    pub(super) fn new(door: CommandDoor) -> Self {
        Self { door, running: JoinSet::new() }
    }

    /// Reads a command and hands it in; gives the answer that goes out at once: `accepted`, or
    /// `refused` with the reason.
    pub(super) fn take(
        &mut self,
        name: &str,
        payload: &[u8],
        retained: bool,
        address: Address,
    ) -> Answered {
        let command = match wire::command(name, payload, retained) {
            Ok(command) if self.running.len() < limits::MQTT_INCOMING_MAX => command,
            Ok(command) => {
                let reason = format!("{} commands are being carried out", self.running.len());
                let busy = Refusal { id: Some(command.id), code: Code::CommandBusy, reason };
                return (address, refused(name, busy));
            }
            Err(refusal) => return (address, refused(name, refusal)),
        };
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
