//! What is on its way to the broker: which packet id carries what. The client library sends QoS 1
//! publishes in the order in which they are queued and names each id when it does, so one queue of
//! what was handed over is enough. Nothing here outlives a connection.

use std::collections::VecDeque;
use tokio::time::Instant;

/// What a publish carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// The event with this sequence number.
    Event(u64),
    /// Our state.
    State,
    /// The answer to a command.
    Response,
}

/// Publishes between the outbox and their PUBACK.
#[derive(Debug, Default)]
pub(super) struct Flight {
    queued: VecDeque<(Instant, Carries)>,
    sent: VecDeque<(u16, Instant, Carries)>,
}

impl Flight {
    /// A publish was handed to the client library.
    pub(super) fn queue(&mut self, what: Carries) {
        self.queued.push_back((Instant::now(), what));
    }

    /// The library has sent the next queued publish under this id. False when none was queued: the
    /// library and we no longer mean the same.
    pub(super) fn sent(&mut self, pkid: u16) -> bool {
        match self.queued.pop_front() {
            Some((since, what)) => {
                self.sent.push_back((pkid, since, what));
                true
            }
            None => false,
        }
    }

    /// The broker has answered for this id. `None` for an id that is not on its way.
    pub(super) fn answered(&mut self, pkid: u16) -> Option<Carries> {
        // Brokers acknowledge in order (MQTT 5, 4.6): it is the first.
        let place = self.sent.iter().position(|(id, ..)| *id == pkid)?;
        self.sent.remove(place).map(|(.., what)| what)
    }

    /// The first event that is on its way.
    pub(super) fn first_event(&self) -> Option<u64> {
        let sent = self.sent.iter().map(|(.., what)| what);
        sent.chain(self.queued.iter().map(|(_, what)| what)).find_map(|what| match what {
            Carries::Event(seq) => Some(*seq),
            Carries::State | Carries::Response => None,
        })
    }

    /// Since when the oldest is on its way.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let sent = self.sent.front().map(|(_, since, _)| *since);
        sent.or_else(|| self.queued.front().map(|(since, _)| *since))
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.queued.len() + self.sent.len()
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_finds_what_its_packet_carried() {
        let mut flight = Flight::default();
        assert!(!flight.sent(1), "nothing was queued");
        for what in [Carries::State, Carries::Event(7), Carries::Event(8)] {
            flight.queue(what);
        }
        assert!(flight.sent(1) && flight.sent(2));
        assert_eq!(flight.answered(3), None, "not sent yet");
        assert!(flight.sent(3));
        assert_eq!(flight.answered(2), Some(Carries::Event(7)), "out of order is survived");
        assert_eq!(flight.answered(2), None, "twice");
        assert_eq!(flight.answered(1), Some(Carries::State));
        assert_eq!(flight.len(), 1);
        assert_eq!(flight.answered(3), Some(Carries::Event(8)));
        assert!(flight.is_empty());
    }
}
