//! The ledger: double entry in integer fen. Every movement debits one account and credits another, so
//! that all accounts together are zero after every event (invariant 5).
//!
//! | account | debit | credit |
//! |---|---|---|
//! | receivable, by household and item | a bill | a payment, prepaid money, a deposit's deduction, a bill below zero |
//! | prepaid, by household | a bill that it pays, a refund | more paid than owed |
//! | deposit, each its own | a deduction, a refund | what was left as a deposit |
//! | income by item, maintenance fund, public income | a bill below zero | a bill |
//! | clearing, by channel | a payment | a refund that was paid out |
//!
//! A deposit is a liability: it is never income and never offset by itself. It leaves its account by a
//! refund, or by a deduction that a person ordered. A household's prepaid money pays its bills at once,
//! item by item in the order of their ids; what is paid beyond what is owed becomes prepaid, so that
//! no item of a household is below zero.
//!
//! A bill that is paid late bears a late fee where its rule has one ([`crate::late`]): a bill of its own,
//! under an item of its own.
//!
//! Refunds have two phases: what is approved is reserved and cannot be spent twice; when the cloud says
//! that it is paid out it is posted; until then it can be voided, and it expires. One that nobody approves
//! expires too: what was true when it was asked for need not be true months later.

mod late;
mod open;
mod posting;
mod release;

pub use open::{Arrears, OpenBill};
pub use posting::Posting;
pub use release::{Part, Release};

use crate::calendar::{Day, day_text_option};
use crate::event::Bill;
use crate::late::Late;
use crate::money::Fen;
use blockgate_types::{AccountId, BillId, CommandId, ItemId, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many references of payments are remembered, to tell the second report of one payment.
pub const REFERENCES_MAX: usize = 4_096;

/// How long an approved refund waits for its payout.
pub const REFUND_WAITS: blockgate_types::Span = blockgate_types::Span::from_days(30);

/// How many days a refund that was asked for waits for its approval where the config says nothing.
pub const REFUND_DECIDE_DAYS: u32 = 30;

/// Refunds that expired and are remembered, to be shown.
const EXPIRED_MAX: usize = 100;

/// The ways on which money comes and goes. The gateway records what they report; it acquires nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// WeChat Pay.
    Wechat,
    /// Alipay.
    Alipay,
    /// UnionPay.
    Unionpay,
    /// Cash at the desk.
    Cash,
    /// Bank transfer.
    BankTransfer,
    /// A code scanned at a terminal.
    PosScan,
    /// A card at a terminal.
    PosCard,
    /// A self-service kiosk.
    Kiosk,
}

impl Channel {
    /// Every channel, in the order of the enum.
    pub const ALL: [Self; 8] = [
        Self::Wechat,
        Self::Alipay,
        Self::Unionpay,
        Self::Cash,
        Self::BankTransfer,
        Self::PosScan,
        Self::PosCard,
        Self::Kiosk,
    ];

    /// Its word in the journal and on the wire: `bank-transfer`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wechat => "wechat",
            Self::Alipay => "alipay",
            Self::Unionpay => "unionpay",
            Self::Cash => "cash",
            Self::BankTransfer => "bank-transfer",
            Self::PosScan => "pos-scan",
            Self::PosCard => "pos-card",
            Self::Kiosk => "kiosk",
        }
    }

    /// The channel of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.word() == word)
    }
}

/// Where the counter-entry of a bill goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Fund {
    /// The maintenance fund.
    Maintenance,
    /// Income of the common parts, which is the owners'.
    PublicIncome,
}

impl Fund {
    /// Its word in the journal: `public-income`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance",
            Self::PublicIncome => "public-income",
        }
    }
}

/// What a payment is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Toward {
    /// What is owed: these items first, in this order, then the others; the rest becomes prepaid.
    Bills {
        /// Items; may be empty.
        items: Vec<ItemId>,
    },
    /// Later bills.
    Prepaid,
    /// A deposit of its own.
    Deposit {
        /// Its id.
        deposit: CommandId,
        /// What kind: `renovation`, `door-card`, `common-rooms`.
        kind: String,
        /// Which contract.
        contract: String,
        /// When it is given back: `the works are accepted`.
        condition: String,
        /// How it goes back by itself; by order only where this is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<Release>,
    },
}

/// Where a refund is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A household's prepaid money.
    Prepaid,
    /// A deposit.
    Deposit {
        /// Its id.
        deposit: CommandId,
    },
}

/// A movement of money as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Movement {
    /// Money came in.
    Paid(Paid),
    /// A payment that was announced came in, or did not.
    Settled {
        /// Which payment.
        payment: CommandId,
        /// Whether it came in.
        posted: bool,
        /// How much it was.
        #[serde(default, skip_serializing_if = "Fen::is_zero")]
        amount_fen: Fen,
        /// On which way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<Channel>,
        /// The number of its receipt, where it came in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<u64>,
    },
    /// A deposit's condition is met, or not any more.
    Condition {
        /// Which deposit.
        deposit: CommandId,
        /// Whether it is met.
        met: bool,
        /// Where the evidence is.
        evidence: String,
        /// The day from which the contract's instalments count.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
        on: Option<Day>,
    },
    /// A part of a deposit pays what its household owes for an item.
    Deducted {
        /// Which deposit.
        deposit: CommandId,
        /// For which item.
        item: ItemId,
        /// How much.
        amount_fen: Fen,
        /// Why.
        reason: String,
    },
    /// A refund is asked for.
    RefundAsked(Box<Refund>),
    /// A refund is approved: what it takes is reserved.
    RefundApproved {
        /// Which refund.
        refund: CommandId,
        /// By whom.
        by: String,
        /// Until when it can be paid out.
        expires_at: Time,
    },
    /// A refund was paid out.
    RefundPaid {
        /// Which refund.
        refund: CommandId,
        /// The channel's reference.
        reference: String,
        /// How much it was.
        #[serde(default, skip_serializing_if = "Fen::is_zero")]
        amount_fen: Fen,
        /// On which way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<Channel>,
    },
    /// A refund will not be paid out.
    RefundVoided {
        /// Which refund.
        refund: CommandId,
        /// Why: `expired`, `not approved in time`, or a person's reason.
        reason: String,
        /// Its time was over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        expired: bool,
    },
}

impl Movement {
    /// Its word in the journal, what it is about, and its amount in fen.
    #[must_use]
    pub fn told(&self) -> (&'static str, String, Fen) {
        let of = |id: &CommandId| id.to_string();
        match self {
            Self::Paid(paid) => ("paid", of(&paid.payment), paid.amount_fen),
            Self::Settled { payment, amount_fen, .. } => ("settled", of(payment), *amount_fen),
            Self::Condition { deposit, .. } => ("condition", of(deposit), Fen::ZERO),
            Self::Deducted { deposit, amount_fen, .. } => ("deducted", of(deposit), *amount_fen),
            Self::RefundAsked(refund) => ("refund-asked", of(&refund.refund), refund.amount_fen),
            Self::RefundApproved { refund, .. } => ("refund-approved", of(refund), Fen::ZERO),
            Self::RefundPaid { refund, amount_fen, .. } => ("refund-paid", of(refund), *amount_fen),
            Self::RefundVoided { refund, .. } => ("refund-voided", of(refund), Fen::ZERO),
        }
    }
}

/// Money that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Paid {
    /// Its id, of the command that recorded it.
    pub payment: CommandId,
    /// How much.
    pub amount_fen: Fen,
    /// On which way.
    pub channel: Channel,
    /// The channel's reference; empty where it has none.
    pub reference: String,
    /// Who paid, where that is not the household; an id, never a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// What for.
    pub toward: Toward,
    /// Announced and not in yet: changes nothing until it is settled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// Receipts are numbered without gaps, from 1; 0 for what is announced: it gets its number when
    /// it comes in.
    pub receipt: u64,
    /// What was given back of the cash that was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_fen: Option<Fen>,
    /// The day on which it was paid, where that is not the day of its booking: late fees count to there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub paid_on: Option<Day>,
}

/// A refund and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refund {
    /// Its id, of the command that asked for it.
    pub refund: CommandId,
    /// To whom. Not `account` on the wire: that key is the event's own, and twice is none.
    #[serde(rename = "to")]
    pub account: AccountId,
    /// From where.
    pub source: Source,
    /// How much.
    pub amount_fen: Fen,
    /// By which way it is paid out: the one by which it came.
    pub channel: Channel,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub asked_by: String,
    /// Until when it can be paid out; `None` until it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Until when it can be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_by: Option<Time>,
    /// Which part of a deposit's contract it is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instalment: Option<u32>,
}

/// A deposit's own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deposit {
    /// Whose.
    pub account: AccountId,
    /// What kind.
    pub kind: String,
    /// Which contract.
    pub contract: String,
    /// When it is given back.
    pub condition: String,
    /// Whether that is met.
    pub met: bool,
    /// By which way it came.
    pub channel: Channel,
    /// How it goes back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Since when its condition is met.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub met_on: Option<Day>,
    /// A person said that the condition is not met: its day alone does not meet it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Parts of its contract that were asked for.
    #[serde(default)]
    pub asked: u32,
    /// How often a part expired before anybody approved it, and is asked for again.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub again: u32,
    /// What was left as the deposit.
    #[serde(default)]
    pub whole_fen: Fen,
    /// What is left; debit positive, so at most zero.
    balance: Fen,
    /// Reserved for refunds that are approved.
    reserved: Fen,
}

/// The accounts of a household, debit positive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Books {
    receivable: BTreeMap<ItemId, Fen>,
    prepaid: Fen,
    reserved: Fen,
    /// Bills that are not paid yet, by item, oldest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    open: BTreeMap<ItemId, Vec<OpenBill>>,
    /// What came in by each channel and was not paid out by it: no more goes back that way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    came: BTreeMap<Channel, Fen>,
    /// Late fees that are not billed to their end, by the bill that they are for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    late: BTreeMap<BillId, Late>,
}

/// All accounts, debit positive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ledger {
    households: BTreeMap<AccountId, Books>,
    income: BTreeMap<ItemId, Fen>,
    funds: BTreeMap<Fund, Fen>,
    clearing: BTreeMap<Channel, Fen>,
    deposits: BTreeMap<CommandId, Deposit>,
    refunds: BTreeMap<CommandId, Refund>,
    /// Refunds whose time was over, the newest last.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    expired: VecDeque<Refund>,
    pending: BTreeMap<CommandId, (AccountId, Paid)>,
    receipts: u64,
    references: VecDeque<(Channel, String)>,
    /// What is being written down of each posting; no part of the books.
    #[serde(skip)]
    recorder: posting::Recorder,
}

/// An account of the ledger.
#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Receivable(&'a AccountId, &'a ItemId),
    Prepaid(&'a AccountId),
    Deposit(&'a CommandId),
    Income(&'a ItemId),
    Fund(Fund),
    Clearing(Channel),
}

/// Where a household stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Standing {
    /// What is owed, by item.
    pub owed: BTreeMap<ItemId, Fen>,
    /// What is owed altogether.
    pub owed_fen: Fen,
    /// What is prepaid and not reserved for a refund.
    pub prepaid_fen: Fen,
}

/// All households together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Owed.
    pub receivable: Fen,
    /// Prepaid.
    pub prepaid: Fen,
    /// Left as deposits.
    pub deposits: Fen,
}

impl Ledger {
    /// The sum of all accounts: zero, after every event (invariant 5).
    #[must_use]
    pub fn trial_balance(&self) -> i128 {
        let households = self.households.values();
        let of_households = households.flat_map(|h| h.receivable.values().chain([&h.prepaid]));
        let deposits = self.deposits.values().map(|deposit| &deposit.balance);
        let all = of_households
            .chain(self.income.values())
            .chain(self.funds.values())
            .chain(self.clearing.values())
            .chain(deposits);
        all.fold(0_i128, |sum, fen| sum.saturating_add(i128::from(fen.0)))
    }

    /// Where a household stands.
    #[must_use]
    pub fn standing(&self, account: &AccountId) -> Standing {
        let books = self.households.get(account);
        let owed = books.map(|books| books.receivable.clone()).unwrap_or_default();
        let prepaid_fen = self.prepaid_fen(account);
        let owed_fen = Fen::sum(owed.values().copied()).unwrap_or_default();
        Standing { owed, owed_fen, prepaid_fen }
    }

    /// What an account has prepaid and not reserved for a refund.
    #[must_use]
    pub fn prepaid_fen(&self, account: &AccountId) -> Fen {
        let books = self.households.get(account);
        books.map_or(Fen::ZERO, |books| free(books.prepaid, books.reserved))
    }

    /// The deposits by id.
    #[must_use]
    pub fn deposits(&self) -> &BTreeMap<CommandId, Deposit> {
        &self.deposits
    }

    /// The refunds that are asked for or approved, and not paid out yet.
    #[must_use]
    pub fn refunds(&self) -> &BTreeMap<CommandId, Refund> {
        &self.refunds
    }

    /// What a channel owes the books: what came in by it and was not paid out again.
    #[must_use]
    pub fn clearing(&self, channel: Channel) -> Fen {
        self.clearing.get(&channel).copied().unwrap_or_default()
    }

    /// What all households owe, have prepaid and have left as deposits.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let sum = |fens: &mut dyn Iterator<Item = Fen>| {
            Fen(fens.fold(0_i64, |sum, fen| sum.saturating_add(fen.0)))
        };
        let households = || self.households.values();
        let credit = |fen: Fen| Fen(fen.0.saturating_neg());
        Totals {
            receivable: sum(&mut households().flat_map(|h| h.receivable.values().copied())),
            prepaid: sum(&mut households().map(|h| credit(h.prepaid))),
            deposits: sum(&mut self.deposits.values().map(|deposit| credit(deposit.balance))),
        }
    }

    /// What was billed, by item, bills below zero included.
    #[must_use]
    pub fn incomes(&self) -> BTreeMap<ItemId, Fen> {
        self.income.keys().map(|item| (item.clone(), self.income(item))).collect()
    }

    /// What was billed of an item, bills below zero included.
    #[must_use]
    pub fn income(&self, item: &ItemId) -> Fen {
        Fen(self.income.get(item).map_or(0, |fen| fen.0.saturating_neg()))
    }

    /// What stands on a fund.
    #[must_use]
    pub fn fund(&self, fund: Fund) -> Fen {
        Fen(self.funds.get(&fund).map_or(0, |fen| fen.0.saturating_neg()))
    }

    /// The households that owe most, the first `count` of them.
    #[must_use]
    pub fn arrears(&self, count: usize) -> Vec<(AccountId, Fen)> {
        let sum = |books: &Books| Fen::sum(books.receivable.values().copied()).unwrap_or_default();
        let all = self.households.iter().map(|(account, books)| (account.clone(), sum(books)));
        let mut owing: Vec<(AccountId, Fen)> = all.filter(|(_, fen)| *fen > Fen::ZERO).collect();
        owing.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        owing.truncate(count);
        owing
    }

    /// The number of the next receipt.
    #[must_use]
    pub fn next_receipt(&self) -> u64 {
        self.receipts.saturating_add(1)
    }

    /// Whether a reference of a channel was recorded before.
    #[must_use]
    pub fn knows(&self, channel: Channel, reference: &str) -> bool {
        let same = |(c, r): &(Channel, String)| *c == channel && r == reference;
        !reference.is_empty() && self.references.iter().any(same)
    }

    /// The payment that is announced under an id.
    #[must_use]
    pub fn announced(&self, payment: &CommandId) -> Option<(&AccountId, &Paid)> {
        self.pending.get(payment).map(|(account, paid)| (account, paid))
    }

    /// Refunds whose time is over: nobody paid them out, or nobody approved them.
    pub fn overdue_refunds(&self, now: Time) -> impl Iterator<Item = &Refund> {
        self.refunds.values().filter(move |refund| refund.ends().is_some_and(|at| at <= now))
    }

    /// When the next refund expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Time> {
        self.refunds.values().filter_map(Refund::ends).min()
    }

    /// The refunds that expired of late, the newest last.
    pub fn expired(&self) -> impl DoubleEndedIterator<Item = &Refund> {
        self.expired.iter()
    }

    /// The books of one household alone, with its deposits and refunds.
    #[must_use]
    pub fn only(&self, account: &AccountId) -> Self {
        let books = self.households.get_key_value(account);
        let households = books.map(|(id, books)| (id.clone(), books.clone()));
        let mine = |id: &AccountId| id == account;
        let deposits = self.deposits.iter().filter(|(_, deposit)| mine(&deposit.account));
        let refunds = self.refunds.iter().filter(|(_, refund)| mine(&refund.account));
        Self {
            households: households.into_iter().collect(),
            deposits: deposits.map(|(id, deposit)| (id.clone(), deposit.clone())).collect(),
            refunds: refunds.map(|(id, refund)| (id.clone(), refund.clone())).collect(),
            receipts: self.receipts,
            ..Self::default()
        }
    }

    /// What of a household's money came in by each channel and did not go back by it.
    #[must_use]
    pub fn came(&self, account: &AccountId) -> BTreeMap<Channel, Fen> {
        self.households.get(account).map(|books| books.came.clone()).unwrap_or_default()
    }

    /// What a refund can take.
    #[must_use]
    pub fn refundable(&self, account: &AccountId, source: &Source) -> Fen {
        match source {
            Source::Prepaid => self.standing(account).prepaid_fen,
            Source::Deposit { deposit } => {
                let deposit = self.deposits.get(deposit).filter(|d| d.account == *account);
                deposit.map_or(Fen::ZERO, Deposit::free)
            }
        }
    }

    fn place(&mut self, name: Name<'_>) -> Option<&mut Fen> {
        Some(match name {
            Name::Receivable(account, item) => {
                let books = self.books(account)?;
                if !books.receivable.contains_key(item) {
                    books.receivable.insert(item.clone(), Fen::ZERO);
                }
                books.receivable.get_mut(item)?
            }
            Name::Prepaid(account) => &mut self.books(account)?.prepaid,
            Name::Deposit(id) => &mut self.deposits.get_mut(id)?.balance,
            Name::Income(item) => {
                if !self.income.contains_key(item) {
                    self.income.insert(item.clone(), Fen::ZERO);
                }
                self.income.get_mut(item)?
            }
            Name::Fund(fund) => self.funds.entry(fund).or_default(),
            Name::Clearing(channel) => self.clearing.entry(channel).or_default(),
        })
    }

    /// The one way in which a balance changes: one account is debited, another is credited, by the
    /// same fen; a negative amount goes the other way round. Both or none.
    fn post(&mut self, debit: Name<'_>, credit: Name<'_>, fen: Fen) {
        let Some(place) = self.place(debit) else { return };
        let was = *place;
        let Some(more) = was.0.checked_add(fen.0) else { return };
        *place = Fen(more);
        let credited = self.place(credit).is_some_and(|place| {
            let less = place.0.checked_sub(fen.0);
            *place = less.map_or(*place, Fen);
            less.is_some()
        });
        if !credited && let Some(place) = self.place(debit) {
            *place = was;
        }
        if credited {
            self.recorder.write(debit, credit, fen);
        }
    }

    fn books(&mut self, account: &AccountId) -> Option<&mut Books> {
        // The hot path: no clone of an id where the household is known.
        if !self.households.contains_key(account) {
            self.households.insert(account.clone(), Books::default());
        }
        self.households.get_mut(account)
    }

    /// Posts a bill, first ones and differences alike.
    ///
    /// A late fee is income of its own, whatever fund its bill is credited to.
    pub fn bill(&mut self, bill: &Bill, fund: Option<Fund>) {
        if bill.total_fen == Fen::ZERO {
            if let Some(books) = self.households.get_mut(&bill.account) {
                books.note_late(bill);
            }
            return;
        }
        let fund = fund.filter(|_| bill.late_fee.is_none());
        let counter = fund.map_or(Name::Income(&bill.item), Name::Fund);
        self.post(Name::Receivable(&bill.account, &bill.item), counter, bill.total_fen);
        if let Some(books) = self.households.get_mut(&bill.account) {
            books.note_bill(bill);
            books.note_late(bill);
            if bill.total_fen < Fen::ZERO {
                books.trim();
            }
        }
        self.offset(&bill.account, std::slice::from_ref(&bill.item));
    }

    /// Moves what an item has below zero to prepaid, and lets prepaid money pay what is owed, these
    /// items first.
    fn offset(&mut self, account: &AccountId, first: &[ItemId]) {
        let Some(books) = self.households.get(account) else { return };
        if books.prepaid == Fen::ZERO && books.receivable.values().all(|fen| *fen >= Fen::ZERO) {
            return;
        }
        let below: Vec<(ItemId, Fen)> = books
            .receivable
            .iter()
            .filter(|(_, fen)| **fen < Fen::ZERO)
            .map(|(item, fen)| (item.clone(), *fen))
            .collect();
        for (item, fen) in below {
            let more = Fen(fen.0.saturating_neg());
            self.post(Name::Receivable(account, &item), Name::Prepaid(account), more);
        }
        let Some(books) = self.households.get(account) else { return };
        let mut left = free(books.prepaid, books.reserved).0;
        let owed = |item: &ItemId| books.receivable.get(item).map_or(0, |fen| fen.0);
        let others = books.receivable.keys().filter(|item| !first.contains(item));
        let mut pays: Vec<(ItemId, Fen)> = Vec::new();
        for item in first.iter().chain(others) {
            let part = owed(item).min(left);
            if part > 0 && !pays.iter().any(|(known, _)| known == item) {
                left = left.saturating_sub(part);
                pays.push((item.clone(), Fen(part)));
            }
        }
        for (item, part) in pays {
            self.post(Name::Prepaid(account), Name::Receivable(account, &item), part);
        }
        if let Some(books) = self.households.get_mut(account) {
            books.receivable.retain(|_, fen| *fen != Fen::ZERO);
            books.trim();
        }
    }

    /// Posts a movement of a household's money.
    pub fn apply(&mut self, account: &AccountId, movement: &Movement) {
        match movement {
            Movement::Paid(paid) => {
                self.receipts = self.receipts.max(paid.receipt);
                if !paid.reference.is_empty() {
                    self.references.push_back((paid.channel, paid.reference.clone()));
                    if self.references.len() > REFERENCES_MAX {
                        self.references.pop_front();
                    }
                }
                if paid.pending {
                    let entry = (account.clone(), paid.clone());
                    self.pending.insert(paid.payment.clone(), entry);
                } else {
                    self.paid(account, paid);
                }
            }
            Movement::Settled { payment, posted, receipt, .. } => {
                self.receipts = self.receipts.max(receipt.unwrap_or_default());
                if let Some((account, paid)) = self.pending.remove(payment)
                    && *posted
                {
                    self.paid(&account, &paid);
                }
            }
            Movement::Condition { deposit, met, on, .. } => {
                if let Some(deposit) = self.deposits.get_mut(deposit) {
                    deposit.met = *met;
                    deposit.refused = !*met;
                    deposit.met_on = on.filter(|_| *met);
                }
            }
            Movement::Deducted { deposit, item, amount_fen, .. } => {
                self.post(Name::Deposit(deposit), Name::Receivable(account, item), *amount_fen);
                if let Some(books) = self.households.get_mut(account) {
                    books.trim();
                }
                self.offset(account, &[]);
                self.close_deposit(deposit);
            }
            Movement::RefundAsked(refund) => {
                if let (Source::Deposit { deposit }, Some(n)) = (&refund.source, refund.instalment)
                    && let Some(deposit) = self.deposits.get_mut(deposit)
                {
                    deposit.asked = n;
                }
                self.refunds.insert(refund.refund.clone(), (**refund).clone());
            }
            Movement::RefundApproved { refund, expires_at, .. } => {
                let Some(open) = self.refunds.get_mut(refund) else { return };
                open.expires_at = Some(*expires_at);
                let open = open.clone();
                self.reserve(&open, open.amount_fen);
            }
            Movement::RefundPaid { refund, .. } => {
                let Some(open) = self.refunds.remove(refund) else { return };
                self.reserve(&open, Fen(open.amount_fen.0.saturating_neg()));
                let source = match &open.source {
                    Source::Prepaid => Name::Prepaid(&open.account),
                    Source::Deposit { deposit } => Name::Deposit(deposit),
                };
                self.post(source, Name::Clearing(open.channel), open.amount_fen);
                if let (Source::Prepaid, Some(books)) = (&open.source, self.books(&open.account)) {
                    let came = books.came.entry(open.channel).or_default();
                    *came = Fen(came.0.saturating_sub(open.amount_fen.0));
                }
                if let Source::Deposit { deposit } = &open.source {
                    self.close_deposit(deposit);
                }
            }
            Movement::RefundVoided { refund, expired, .. } => {
                let Some(open) = self.refunds.remove(refund) else { return };
                if open.expires_at.is_some() {
                    self.reserve(&open, Fen(open.amount_fen.0.saturating_neg()));
                    self.offset(&open.account, &[]);
                }
                if *expired {
                    self.forget_part(&open);
                    self.expired.push_back(open);
                    if self.expired.len() > EXPIRED_MAX {
                        self.expired.pop_front();
                    }
                }
            }
        }
    }

    fn paid(&mut self, account: &AccountId, paid: &Paid) {
        let clearing = Name::Clearing(paid.channel);
        if let (Toward::Bills { .. } | Toward::Prepaid, Some(books)) =
            (&paid.toward, self.books(account))
        {
            let came = books.came.entry(paid.channel).or_default();
            *came = Fen(came.0.saturating_add(paid.amount_fen.0));
        }
        match &paid.toward {
            Toward::Bills { items } => {
                self.post(clearing, Name::Prepaid(account), paid.amount_fen);
                self.offset(account, items);
            }
            Toward::Prepaid => {
                self.post(clearing, Name::Prepaid(account), paid.amount_fen);
                self.offset(account, &[]);
            }
            Toward::Deposit { deposit, kind, contract, condition, release } => {
                let new = Deposit {
                    release: release.clone(),
                    met_on: None,
                    refused: false,
                    asked: 0,
                    again: 0,
                    whole_fen: paid.amount_fen,
                    account: account.clone(),
                    kind: kind.clone(),
                    contract: contract.clone(),
                    condition: condition.clone(),
                    met: false,
                    channel: paid.channel,
                    balance: Fen::ZERO,
                    reserved: Fen::ZERO,
                };
                self.deposits.entry(deposit.clone()).or_insert(new);
                self.post(clearing, Name::Deposit(deposit), paid.amount_fen);
            }
        }
    }

    /// A part of a deposit's contract that nobody approved in time is due as before.
    fn forget_part(&mut self, refund: &Refund) {
        let (Source::Deposit { deposit }, Some(n), None) =
            (&refund.source, refund.instalment, refund.expires_at)
        else {
            return;
        };
        if let Some(deposit) = self.deposits.get_mut(deposit).filter(|d| d.asked == n) {
            deposit.asked = n.saturating_sub(1);
            deposit.again = deposit.again.saturating_add(1);
        }
    }

    fn reserve(&mut self, refund: &Refund, fen: Fen) {
        let reserved = match &refund.source {
            Source::Prepaid => self.books(&refund.account).map(|books| &mut books.reserved),
            Source::Deposit { deposit } => self.deposits.get_mut(deposit).map(|d| &mut d.reserved),
        };
        if let Some(reserved) = reserved {
            *reserved = reserved.plus(fen).unwrap_or(*reserved);
        }
    }

    /// A deposit of which nothing is left has done its part.
    fn close_deposit(&mut self, id: &CommandId) {
        let empty =
            |deposit: &Deposit| deposit.balance == Fen::ZERO && deposit.reserved == Fen::ZERO;
        if self.deposits.get(id).is_some_and(empty) {
            self.deposits.remove(id);
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in by reference")]
fn is_none_yet(count: &u32) -> bool {
    *count == 0
}

impl Refund {
    /// When its time is over: for its payout once it is approved, for its approval before.
    #[must_use]
    pub fn ends(&self) -> Option<Time> {
        self.expires_at.or(self.decide_by)
    }
}

/// What of a liability is not reserved.
fn free(balance: Fen, reserved: Fen) -> Fen {
    Fen(balance.0.saturating_neg().saturating_sub(reserved.0).max(0))
}

impl Deposit {
    /// What is left of it, reserved or not.
    #[must_use]
    pub fn held(&self) -> Fen {
        Fen(self.balance.0.saturating_neg())
    }

    /// What is left of it and not reserved for a refund.
    #[must_use]
    pub fn free(&self) -> Fen {
        free(self.balance, self.reserved)
    }
}
