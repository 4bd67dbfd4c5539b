//! Who may see and order what. The server asks here before every page and every order; hiding a button
//! is only politeness.
//!
//! | | installer | caretaker | finance | auditor | operator |
//! |---|---|---|---|---|---|
//! | overview, alarms, parking, meters | reads | reads | reads | reads | reads |
//! | bills, counter, board | | reads | reads | reads | reads |
//! | system, audit trail | reads | | | reads | reads |
//! | users | | | | | reads |
//! | meters: test read, exchange, held readings | orders | test read | | | orders |
//! | alarms: acknowledge, mute, feedback | orders | orders | | | orders |
//! | barriers, stays, permits | barriers | orders | payments, passes | | orders |
//! | money, corrections, rules | | | orders | | orders |

use super::tokens::Scope;
use blockgate_rules::input::Order;

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a person may do; each person has one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role {
            $($(#[$doc])* $name,)*
        }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its word in the password file and in forms.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

roles! {
    /// Reads everything, orders everything, and says who may come in.
    Operator = "operator",
    /// Puts meters, lines and lanes into service.
    Installer = "installer",
    /// Looks after the block: barriers, alarms, questions at the counter.
    Caretaker = "caretaker",
    /// Takes money, closes the day, corrects bills.
    Finance = "finance",
    /// Reads everything and orders nothing.
    Auditor = "auditor",
}

/// The parts of page and API that a role sees or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Is all well.
    Overview,
    /// Lines and meters.
    Meters,
    /// Lanes, stays, permits; doors and who may pass them.
    Parking,
    /// Households, bills, payments.
    Money,
    /// Figures of the whole block.
    Board,
    /// Alarms.
    Alarms,
    /// Outbox, cloud, certificates, clock, log, audit trail.
    System,
    /// Who may come in.
    Users,
}

impl Area {
    /// Every part.
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Meters,
        Self::Parking,
        Self::Money,
        Self::Board,
        Self::Alarms,
        Self::System,
        Self::Users,
    ];
}

impl Role {
    /// The role of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.text() == word)
    }

    /// Whether the role may do what a token needs a scope for; what it orders is asked once more by
    /// [`Role::may_order`].
    #[must_use]
    pub fn may(self, scope: Scope) -> bool {
        match scope {
            Scope::Metrics | Scope::Read => true,
            Scope::PaymentStatus => self.sees(Area::Parking),
            Scope::Command => self != Self::Auditor,
            Scope::Camera => self == Self::Operator,
        }
    }

    /// Whether the role sees a part.
    #[must_use]
    pub fn sees(self, area: Area) -> bool {
        match area {
            Area::Overview | Area::Meters | Area::Parking | Area::Alarms => true,
            Area::Money | Area::Board => self != Self::Installer,
            Area::System => matches!(self, Self::Operator | Self::Installer | Self::Auditor),
            Area::Users => self == Self::Operator,
        }
    }

    /// Whether the role may have a line searched for devices.
    #[must_use]
    pub fn may_scan(self) -> bool {
        matches!(self, Self::Operator | Self::Installer)
    }

    /// Whether the role may give an order.
    #[must_use]
    pub fn may_order(self, order: &Order) -> bool {
        self == Self::Operator || who(order).contains(&self)
    }
}

/// Who beside the operator may give an order.
fn who(order: &Order) -> &'static [Role] {
    use Role::{Caretaker, Finance, Installer};
    match order {
        Order::ReadNow { .. } => &[Installer, Caretaker],
        Order::Resend { .. }
        | Order::DecideHeld { .. }
        | Order::ExchangeMeter { .. }
        | Order::EstimateReading { .. }
        | Order::Relay { .. }
        | Order::SetClock { .. } => &[Installer],
        // A leak does not wait.
        Order::Valve { .. } => &[Installer, Caretaker],
        Order::OpenBarrier { .. } | Order::OpenDoor(_) => &[Installer, Caretaker],
        // Whoever is on the spot lets people out, and lets visitors in.
        Order::HoldDoor(_)
        | Order::LockDown(_)
        | Order::ReleaseDoors(_)
        | Order::EmergencyOpen(_)
        | Order::EndEmergency { .. }
        | Order::Grant(_)
        | Order::Revoke(_)
        | Order::Restore { .. } => &[Caretaker],
        // What the cloud refused is the operator's matter with the cloud.
        Order::RetryDeadLetter { .. } => &[],
        // That a household cannot get home is the operator's word alone.
        Order::ConfirmArrears(_) => &[],
        Order::MuteAlarm { .. }
        | Order::UnmuteAlarm { .. }
        | Order::AlarmFeedback { .. }
        | Order::ConfirmAlarm { .. }
        | Order::CheckAlarm { .. } => &[Installer, Caretaker],
        Order::DiscountStay { .. }
        | Order::CorrectStay { .. }
        | Order::CloseStay { .. }
        | Order::SettleParking { .. }
        | Order::GrantParking { .. } => &[Caretaker],
        Order::PayStay(_) | Order::SellPass(_) | Order::RevokeParking { .. } => {
            &[Caretaker, Finance]
        }
        Order::Correct(_)
        | Order::RecordPayment(_)
        | Order::SettlePayment { .. }
        | Order::DepositCondition { .. }
        | Order::DeductDeposit { .. }
        | Order::RequestRefund(_)
        | Order::ApproveRefund { .. }
        | Order::RefundPaid { .. }
        | Order::VoidRefund { .. }
        | Order::ApplyRules { .. }
        | Order::PreviewRules { .. }
        | Order::Reconcile { .. }
        | Order::CountCash { .. }
        | Order::MoveOut(_) => &[Finance],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_a_word_of_its_own_and_an_auditor_orders_nothing() {
        for role in Role::ALL {
            assert_eq!(Role::of(role.text()), Some(*role));
        }
        assert_eq!(Role::of("root"), None);
        let lane = blockgate_types::LaneId::new("north").unwrap();
        let open = Order::OpenBarrier { lane, reason: "a guest".to_owned() };
        let may = |role: Role| role.may_order(&open);
        assert!(may(Role::Operator) && may(Role::Caretaker) && may(Role::Installer));
        assert!(!may(Role::Finance) && !may(Role::Auditor));
        assert!(!Role::Auditor.may(Scope::Command) && Role::Auditor.sees(Area::Money));
    }
}
