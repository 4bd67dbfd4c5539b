//! What changes a meter: a relay, a valve, a clock. An acknowledgement is not the effect, so an act ends
//! with what the meter says of itself afterwards.

use serde::{Deserialize, Serialize};

/// What a meter is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "act", content = "to", rename_all = "kebab-case")]
pub enum Act {
    /// Its relay.
    Relay(RelayTo),
    /// Its valve.
    Valve(ValveTo),
    /// Its clock is to show our time.
    Clock,
    /// The clocks of all meters on its line are to show our time, by one telegram; proven at this one.
    LineClock,
}

/// What a relay is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RelayTo {
    /// Open: power is cut.
    Trip,
    /// Close: power flows.
    Close,
    /// A person may close it by the meter's key.
    Permit,
}

/// What a valve is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ValveTo {
    /// Let pass.
    Open,
    /// Let nothing pass.
    Close,
}

/// What can be told to a meter at all; the config says what of it holds for which meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// [`Act::Relay`].
    Relay,
    /// [`Act::Valve`].
    Valve,
    /// [`Act::Clock`].
    Clock,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Relay, Self::Valve, Self::Clock];

    /// The word in config and on the page.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Valve => "valve",
            Self::Clock => "clock",
        }
    }
}

impl Act {
    /// What it moves.
    #[must_use]
    pub fn control(self) -> Control {
        match self {
            Self::Relay(_) => Control::Relay,
            Self::Valve(_) => Control::Valve,
            Self::Clock | Self::LineClock => Control::Clock,
        }
    }

    /// Whether a state is the one ordered; `None` where no state can tell: a permission leaves the relay
    /// where it is, and another part's state says nothing.
    #[must_use]
    pub fn is_done_by(self, state: MeterState) -> Option<bool> {
        match (self, state) {
            (Self::Relay(RelayTo::Trip), MeterState::RelayOpen)
            | (Self::Relay(RelayTo::Close), MeterState::RelayClosed)
            | (Self::Valve(ValveTo::Open), MeterState::ValveOpen)
            | (Self::Valve(ValveTo::Close), MeterState::ValveClosed)
            | (Self::Clock | Self::LineClock, MeterState::ClockRight) => Some(true),
            (
                Self::Relay(RelayTo::Trip | RelayTo::Close),
                MeterState::RelayOpen | MeterState::RelayClosed,
            )
            | (
                Self::Valve(_),
                MeterState::ValveOpen | MeterState::ValveClosed | MeterState::ValveFault,
            )
            | (Self::Clock | Self::LineClock, MeterState::ClockWrong) => Some(false),
            (Self::Relay(_) | Self::Valve(_) | Self::Clock | Self::LineClock, _) => None,
        }
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Relay(RelayTo::Trip) => "trip the relay",
            Self::Relay(RelayTo::Close) => "close the relay",
            Self::Relay(RelayTo::Permit) => "permit closing the relay",
            Self::Valve(ValveTo::Open) => "open the valve",
            Self::Valve(ValveTo::Close) => "close the valve",
            Self::Clock => "set the clock",
            Self::LineClock => "set the clocks of the line",
        })
    }
}

/// What a meter says of itself when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MeterState {
    /// Power flows.
    RelayClosed,
    /// Power is cut.
    RelayOpen,
    /// The valve is open.
    ValveOpen,
    /// The valve is closed.
    ValveClosed,
    /// The valve reports a fault.
    ValveFault,
    /// The clock shows our time, within a few seconds.
    ClockRight,
    /// It does not.
    ClockWrong,
}

impl MeterState {
    /// The stable word, as in its JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RelayClosed => "relay-closed",
            Self::RelayOpen => "relay-open",
            Self::ValveOpen => "valve-open",
            Self::ValveClosed => "valve-closed",
            Self::ValveFault => "valve-fault",
            Self::ClockRight => "clock-right",
            Self::ClockWrong => "clock-wrong",
        }
    }
}

/// What an act came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ActResult {
    /// The state that was read back is the one ordered.
    Verified,
    /// The meter acknowledged, and no state proves this order: a person may press the key now.
    Acknowledged,
    /// The meter acknowledged, and the state that was read back is not the one ordered.
    NotMoved,
    /// The meter acknowledged, and its state could not be read.
    Unread,
    /// The meter refused.
    Refused,
    /// No good answer came, and the meter's state is not the one ordered.
    NoAnswer,
    /// No good answer came, and the state could not be read either: it may have been carried out.
    Unknown,
    /// Nothing was sent.
    NotSent,
}

impl ActResult {
    /// The stable word, as in its JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Acknowledged => "acknowledged",
            Self::NotMoved => "not-moved",
            Self::Unread => "unread",
            Self::Refused => "refused",
            Self::NoAnswer => "no-answer",
            Self::Unknown => "unknown",
            Self::NotSent => "not-sent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_proves_or_disproves_only_the_order_that_it_is_about() {
        use MeterState::{ClockWrong, RelayClosed, RelayOpen, ValveClosed, ValveFault};
        let (trip, close) = (Act::Relay(RelayTo::Trip), Act::Valve(ValveTo::Close));
        for (act, state, want) in [
            (trip, RelayOpen, Some(true)),
            (trip, RelayClosed, Some(false)),
            (trip, ValveClosed, None),
            (Act::Relay(RelayTo::Permit), RelayOpen, None),
            (close, ValveClosed, Some(true)),
            (close, ValveFault, Some(false)),
            (close, RelayOpen, None),
            (Act::Clock, ClockWrong, Some(false)),
            (Act::LineClock, ClockWrong, Some(false)),
        ] {
            assert_eq!(act.is_done_by(state), want, "{act} {}", state.word());
        }
        let json = serde_json::to_string(&[trip, Act::Clock, Act::LineClock]).unwrap();
        let want = r#"[{"act":"relay","to":"trip"},{"act":"clock"},{"act":"line-clock"}]"#;
        assert_eq!(json, want);
        let again = serde_json::from_str::<Vec<Act>>(&json).unwrap();
        assert_eq!(again, [trip, Act::Clock, Act::LineClock]);
    }
}
