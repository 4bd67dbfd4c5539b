//! The one door for orders, whether they come by MQTT or by HTTP: the engine decides each exactly
//! once (invariant 7), what needs a device or the outbox is done outside and reported back.

use crate::limits;
use blockgate_rules::event::Outcome;
use blockgate_rules::input::Command;
use tokio::sync::{mpsc, oneshot};

/// How a command was answered: the outcome and a reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// The reason; empty when there is none to give. For `read-now` the values as JSON.
    pub detail: String,
}

/// An order on its way to the engine, with the place for its answer.
#[derive(Debug)]
pub struct Order {
    /// The order.
    pub command: Command,
    /// Why it is not to be carried out, where its sender may not order it.
    pub refused: Option<&'static str>,
    /// Where the answer goes, once the outcome is durable.
    pub reply: oneshot::Sender<Answer>,
}

/// The door's outer side; clone it freely.
#[derive(Debug, Clone)]
pub struct CommandDoor {
    inbox: mpsc::Sender<Order>,
}

/// The gateway is stopping and takes no more orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl CommandDoor {
    /// A door and the engine's side of it.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (inbox, outbox) = mpsc::channel(limits::MQTT_INCOMING_MAX);
        (Self { inbox }, outbox)
    }

    /// Hands an order in and waits for its answer.
    ///
    /// # Errors
    /// [`Closed`] when the gateway stops before it answers.
    pub async fn submit(&self, command: Command) -> Result<Answer, Closed> {
        self.hand(command, None).await
    }

    /// Hands in an order whose sender may not order it: it is not carried out, and has its outcome.
    ///
    /// # Errors
    /// [`Closed`] when the gateway stops before it answers.
    pub async fn refuse(&self, command: Command, why: &'static str) -> Result<Answer, Closed> {
        self.hand(command, Some(why)).await
    }

    async fn hand(
        &self,
        command: Command,
        refused: Option<&'static str>,
    ) -> Result<Answer, Closed> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Order { command, refused, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}
