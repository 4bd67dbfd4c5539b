//! The move-out settlement: one document with the last readings, the last bills, what is owed, what
//! was damaged, what happens to each deposit, and what goes back on which way.

use crate::event::Evidence;
use crate::ledger::Channel;
use crate::money::Fen;
use blockgate_types::{AccountId, BillId, CommandId, ItemId, Time};
use serde::{Deserialize, Serialize};

/// What a move-out comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settlement {
    /// Its id: the command that ordered it.
    pub settlement: CommandId,
    /// Who moves out.
    pub account: AccountId,
    /// When it was made.
    pub at: Time,
    /// By whom.
    pub by: String,
    /// The day after the last one that is charged.
    pub until: String,
    /// The last readings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Evidence>,
    /// The bills until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bills: Vec<SettledBill>,
    /// What was owed before.
    pub arrears_fen: Fen,
    /// What was damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damages: Vec<Damage>,
    /// Owed altogether, before deposits.
    pub owed_fen: Fen,
    /// What was prepaid, before it goes back.
    pub prepaid_fen: Fen,
    /// The deposits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deposits: Vec<SettledDeposit>,
    /// What goes back, on which way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<SettledRefund>,
    /// What goes back altogether.
    pub refund_fen: Fen,
    /// What is still to be paid.
    pub left_to_pay_fen: Fen,
}

/// A bill of the settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettledBill {
    /// Which.
    pub bill: BillId,
    /// For what.
    pub item: ItemId,
    /// How much.
    pub total_fen: Fen,
}

/// Something that was damaged, as a command says it and as the document keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// Under which item it is charged: `damage`.
    pub item: ItemId,
    /// What it costs, more than nothing.
    pub amount_fen: Fen,
    /// What it is, and where the evidence is.
    pub reason: String,
}

/// What happens to a deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettledDeposit {
    /// Which.
    pub deposit: CommandId,
    /// What kind.
    pub kind: String,
    /// Which contract.
    pub contract: String,
    /// What there was.
    pub held_fen: Fen,
    /// What of it pays what is owed.
    pub deducted_fen: Fen,
    /// What of it goes back.
    pub refund_fen: Fen,
}

/// A refund of the settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettledRefund {
    /// Its id.
    pub refund: CommandId,
    /// On which way.
    pub channel: Channel,
    /// How much.
    pub amount_fen: Fen,
    /// Whether it is approved already, or waits for a second person.
    pub approved: bool,
}

/// A move-out as a command orders it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MoveOut {
    /// Who moves out.
    pub account: AccountId,
    /// The day after the last one that is charged, `2026-04-15`: today or tomorrow.
    pub until: String,
    /// Where the evidence of the inspection is; with it the deposits' conditions are met.
    #[serde(default)]
    pub inspection: String,
    /// What was damaged.
    #[serde(default)]
    pub damages: Vec<Damage>,
    /// Whether deposits pay what is owed. Their owner signed for it.
    pub deduct: bool,
    /// On which way prepaid money goes back that came in by no channel; a second person approves it.
    #[serde(default)]
    pub channel: Option<Channel>,
}
