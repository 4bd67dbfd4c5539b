//! Receipts: what is printed for a payment, line by line, and the amount in Chinese capitals as a
//! receipt must have it.

use blockgate_rules::Fen;
use blockgate_rules::event::Payment;
use blockgate_rules::ledger::{Movement, Paid, Posting, Toward};
use serde::Serialize;
use std::collections::BTreeMap;

/// Columns of a receipt printer with 58 mm paper; a Chinese character takes two.
pub const COLUMNS: usize = 32;

/// What is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Its number: without gaps, from 1.
    pub receipt: u64,
    /// The payment.
    pub payment: String,
    /// The household.
    pub account: String,
    /// Who paid, where that is not the household.
    pub payer: Option<String>,
    /// By which channel.
    pub channel: &'static str,
    /// The channel's reference.
    pub reference: String,
    /// How much.
    pub amount_fen: Fen,
    /// ISO 4217.
    pub currency: &'static str,
    /// The amount in capitals: 壹佰贰拾叁元肆角伍分.
    pub amount_capital: String,
    /// Cash that was given back.
    pub change_fen: Option<Fen>,
    /// What it was for: fen by item, `prepaid` or `deposit/…`.
    pub toward: BTreeMap<String, Fen>,
    /// When it was booked, RFC 3339.
    pub at: String,
    /// Who took it.
    pub actor: String,
    /// The same as lines of [`COLUMNS`] columns, ready for a printer.
    pub lines: Vec<String>,
}

/// The receipt of a payment that was booked by `payment` under number `number`, with the postings that
/// it made; `paid` is the payment itself, announced earlier or the same.
#[must_use]
pub fn receipt(number: u64, payment: &Payment, paid: &Paid, postings: &[Posting]) -> Receipt {
    let mut toward: BTreeMap<String, Fen> = BTreeMap::new();
    let mut add = |name: &str, fen: i64| {
        let sum = toward.entry(name.to_owned()).or_default();
        *sum = Fen(sum.0.saturating_add(fen));
    };
    for Posting { debit, credit, amount_fen } in postings {
        if let Some(item) = credit.strip_prefix("receivable/") {
            add(item, amount_fen.0);
            if debit == "prepaid" {
                add("prepaid", amount_fen.0.saturating_neg());
            }
        } else if debit.starts_with("clearing/") {
            add(credit, amount_fen.0);
        }
    }
    // What prepaid money of before paid on the way is no part of this payment.
    toward.retain(|_, fen| *fen > Fen::ZERO);
    let mut receipt = Receipt {
        receipt: number,
        payment: paid.payment.to_string(),
        account: payment.account.to_string(),
        payer: paid.payer.clone(),
        channel: paid.channel.word(),
        reference: paid.reference.clone(),
        amount_fen: paid.amount_fen,
        currency: "CNY",
        amount_capital: capital(paid.amount_fen),
        change_fen: paid.change_fen,
        toward,
        at: payment.at.to_string(),
        actor: payment.actor.clone(),
        lines: Vec::new(),
    };
    receipt.lines = lines(&receipt, &paid.toward);
    receipt
}

/// The payment that a record books: itself, or the announced one that it settles.
#[must_use]
pub fn booked(movement: &Movement) -> Option<(u64, Option<&Paid>)> {
    match movement {
        Movement::Paid(paid) if !paid.pending => Some((paid.receipt, Some(paid))),
        Movement::Settled { posted: true, receipt: Some(receipt), .. } => Some((*receipt, None)),
        _ => None,
    }
}

fn lines(receipt: &Receipt, toward: &Toward) -> Vec<String> {
    let both = |left: &str, right: &str| {
        let room = COLUMNS.saturating_sub(width(left) + width(right)).max(1);
        format!("{left}{}{right}", " ".repeat(room))
    };
    let title = "收 据 RECEIPT";
    let centred = " ".repeat(COLUMNS.saturating_sub(width(title)) / 2) + title;
    let mut lines = vec![
        centred,
        both("编号 No.", &format!("{:08}", receipt.receipt)),
        both("户号 Account", &receipt.account),
    ];
    if let Some(payer) = &receipt.payer {
        lines.push(both("代缴人 Payer", payer));
    }
    lines.push(receipt.at.clone());
    lines.push("-".repeat(COLUMNS));
    for (name, fen) in &receipt.toward {
        lines.push(both(name, &fen.to_string()));
    }
    if let Toward::Deposit { kind, contract, .. } = toward {
        lines.push(both("押金 Deposit", kind));
        lines.push(both("合同 Contract", contract));
    }
    lines.push("-".repeat(COLUMNS));
    lines.push(both("合计 Total CNY", &receipt.amount_fen.to_string()));
    lines.push(receipt.amount_capital.clone());
    lines.push(both("方式 Channel", receipt.channel));
    if !receipt.reference.is_empty() {
        lines.push(both("流水号 Ref.", &receipt.reference));
    }
    if let Some(change) = receipt.change_fen {
        let given = Fen(receipt.amount_fen.0.saturating_add(change.0));
        lines.push(both("实收 Tendered", &given.to_string()));
        lines.push(both("找零 Change", &change.to_string()));
    }
    lines.push(both("收款人 Cashier", &receipt.actor));
    lines
}

/// Columns that a text takes: two for what is wide.
fn width(text: &str) -> usize {
    text.chars().map(|c| if u32::from(c) < 0x1100 { 1 } else { 2 }).sum()
}

/// An amount in Chinese capitals, as receipts and bills write it (支付结算办法, annex 1):
/// 壹仟肆佰零玖元伍角整.
#[must_use]
pub fn capital(amount: Fen) -> String {
    const DIGITS: [&str; 10] = ["零", "壹", "贰", "叁", "肆", "伍", "陆", "柒", "捌", "玖"];
    const PLACES: [&str; 4] = ["", "拾", "佰", "仟"];
    const GROUPS: [&str; 6] = ["", "万", "亿", "万亿", "亿亿", "万亿亿"];
    let digit = |n: u64| DIGITS.get(usize::try_from(n).unwrap_or(0)).copied().unwrap_or_default();
    let all = amount.0.unsigned_abs();
    let (yuan, jiao, fen) = (all / 100, all / 10 % 10, all % 10);
    let mut text = String::new();
    if amount.0 < 0 {
        text.push('负');
    }
    let mut groups = Vec::new();
    let mut rest = yuan;
    while rest > 0 {
        groups.push(rest % 10_000);
        rest /= 10_000;
    }
    let mut zero = false;
    for (place, group) in groups.iter().enumerate().rev() {
        // A gap between groups is said by one 零.
        let begun = text.chars().any(|c| c != '负');
        zero |= begun && *group < 1000;
        if *group == 0 {
            continue;
        }
        for (position, name) in PLACES.iter().enumerate().rev() {
            let unit = 10_u64.pow(u32::try_from(position).unwrap_or(0));
            let n = group / unit % 10;
            if n == 0 {
                zero |= text.chars().any(|c| c != '负') && group % unit > 0;
                continue;
            }
            if zero {
                text.push('零');
                zero = false;
            }
            text.push_str(digit(n));
            text.push_str(name);
        }
        zero = false;
        text.push_str(GROUPS.get(place).copied().unwrap_or_default());
    }
    if yuan > 0 {
        text.push('元');
    }
    match (jiao, fen) {
        (0, 0) if yuan == 0 => text.push_str("零元整"),
        (0, 0) => text.push('整'),
        (jiao, 0) => text.push_str(&format!("{}角整", digit(jiao))),
        (0, fen) if yuan > 0 => text.push_str(&format!("零{}分", digit(fen))),
        (0, fen) => text.push_str(&format!("{}分", digit(fen))),
        (jiao, fen) => text.push_str(&format!("{}角{}分", digit(jiao), digit(fen))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_in_capitals_as_the_banks_want_it() {
        for (fen, text) in [
            (140_950, "壹仟肆佰零玖元伍角整"),
            (600_714, "陆仟零柒元壹角肆分"),
            (32_504, "叁佰贰拾伍元零肆分"),
            (10_700_053, "壹拾万柒仟元伍角叁分"),
            (1_680_032, "壹万陆仟捌佰元叁角贰分"),
            (100_000_001, "壹佰万元零壹分"),
            (100_010_000, "壹佰万零壹佰元整"),
            (10_000_000_100, "壹亿零壹元整"),
            (5, "伍分"),
            (50, "伍角整"),
            (0, "零元整"),
            (-1_000, "负壹拾元整"),
        ] {
            assert_eq!(capital(Fen(fen)), text, "{fen}");
        }
    }
}
