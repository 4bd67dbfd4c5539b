//! A channel's statement against the books: line by line, each difference by its name. Nothing is
//! booked by it; what is missing is recorded by a command of its own, with this as its evidence.
//!
//! The statement is CSV as channels export it: a head with a column for the reference and one for the
//! amount in yuan, in Chinese or English; lines before the head are passed over; refunds are below
//! zero, or have a word for refund in a type column. A faulty statement is refused as a whole.

use crate::money::Fen;
use blockgate_types::{Time, parse_decimal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest statement, in bytes.
pub const STATEMENT_MAX: usize = 48 * 1024;

/// A line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatementLine {
    /// In which line of the file, from 1.
    pub line: usize,
    /// The channel's reference.
    pub reference: String,
    /// What came in; below zero for a refund.
    pub amount_fen: Fen,
}

/// A payment or a refund as the books have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Booked {
    /// Its journal record.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The channel's reference; empty where there is none.
    pub reference: String,
    /// What came in; below zero for a refund.
    pub amount_fen: Fen,
    /// Whether it lies in the time that is looked at; what lies beside it can only explain a line.
    pub inside: bool,
    /// Announced and not in yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

/// A difference between statement and books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Difference {
    /// The statement has it, the books do not: money came in that nobody recorded.
    NotInBooks {
        /// The line.
        line: StatementLine,
    },
    /// The books have it, the statement does not: recorded money did not come in.
    NotOnStatement {
        /// The record.
        booked: Booked,
    },
    /// Both have it, with other amounts.
    AmountDiffers {
        /// The line.
        line: StatementLine,
        /// The record.
        booked: Booked,
    },
    /// Both have it, the books on another day.
    OtherDay {
        /// The line.
        line: StatementLine,
        /// The record.
        booked: Booked,
    },
    /// The statement has it, the books wait for it: settle the announced payment.
    StillPending {
        /// The line.
        line: StatementLine,
        /// The record.
        booked: Booked,
    },
    /// The books have it without a reference: nothing can be matched with it.
    NoReference {
        /// The record.
        booked: Booked,
    },
    /// The books have the same reference twice.
    TwiceInBooks {
        /// The later record.
        booked: Booked,
    },
}

/// How a statement and the books compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reconciliation {
    /// Lines of the statement.
    pub lines: u64,
    /// Their sum.
    pub statement_fen: Fen,
    /// Payments and refunds of the books in that time.
    pub booked: u64,
    /// Their sum.
    pub books_fen: Fen,
    /// How many agree to the fen.
    pub matched: u64,
    /// What does not; empty where all is well.
    pub differences: Vec<Difference>,
}

const REFERENCE: [&str; 9] = [
    "reference",
    "流水号",
    "交易单号",
    "商户订单号",
    "订单号",
    "参考号",
    "交易流水号",
    "支付单号",
    "transaction_id",
];
const AMOUNT: [&str; 7] =
    ["amount", "金额", "交易金额", "订单金额", "收入金额", "金额(元)", "金额(元)"];
const KIND: [&str; 5] = ["type", "类型", "交易类型", "业务类型", "收/支"];
const REFUND: [&str; 5] = ["refund", "退款", "支出", "out", "退"];

/// Reads a statement.
///
/// # Errors
/// Every fault, each with its line: no head, a line without a reference or an amount, a reference that
/// stands twice.
pub fn statement(text: &str) -> Result<Vec<StatementLine>, Vec<String>> {
    if text.len() > STATEMENT_MAX {
        return Err(vec![format!("the statement is longer than {STATEMENT_MAX} bytes: split it")]);
    }
    let text = text.trim_start_matches('\u{feff}');
    let rows = rows(text).map_err(|why| vec![why])?;
    let column = |head: &[String], names: &[&str]| {
        head.iter().position(|cell| names.contains(&cell.trim().to_lowercase().as_str()))
    };
    let head = rows.iter().position(|(_, cells)| {
        column(cells, &REFERENCE).is_some() && column(cells, &AMOUNT).is_some()
    });
    let Some((place, (_, head))) = head.and_then(|place| Some((place, rows.get(place)?))) else {
        let (a, b) = (REFERENCE.join(", "), AMOUNT.join(", "));
        return Err(vec![format!("no line names the columns: one of {a}; and one of {b}")]);
    };
    let (reference, amount) = (column(head, &REFERENCE), column(head, &AMOUNT));
    let kind = column(head, &KIND);
    let cell = |cells: &[String], place: Option<usize>| {
        place.and_then(|place| cells.get(place)).map_or("", |text| text.trim()).to_owned()
    };
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (line, cells) in rows.iter().skip(place.saturating_add(1)) {
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let line = *line;
        // Channels guard long numbers from spreadsheets by a tab, a backtick or an apostrophe.
        let text = cell(cells, reference);
        let guards = |c: char| matches!(c, '`' | '\'' | '\t' | '=' | '"');
        let reference = text.trim_matches(guards).trim().to_owned();
        let written = cell(cells, amount);
        let number = written.trim_start_matches(['¥', '¥', '+']).replace(',', "");
        let yuan = parse_decimal(number.trim()).ok();
        let fen = yuan.filter(|yuan| yuan.normalize().scale() <= 2).and_then(Fen::round);
        let Some(fen) = fen else {
            faults.push(format!("line {line}: {written:?} is not an amount in yuan"));
            continue;
        };
        if reference.is_empty() {
            faults.push(format!("line {line}: no reference"));
            continue;
        }
        let word = cell(cells, kind).to_lowercase();
        let back = REFUND.iter().any(|refund| word.contains(refund)) && fen > Fen::ZERO;
        let amount_fen = if back { Fen(fen.0.saturating_neg()) } else { fen };
        // A payment and its refund may share a reference; the same twice is a faulty file.
        let key = format!("{reference}|{}", amount_fen.0.signum());
        if let Some(first) = seen.insert(key, line) {
            faults.push(format!("line {line} repeats line {first}: reference {reference}"));
        }
        lines.push(StatementLine { line, reference, amount_fen });
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
}

/// The cells of CSV text (RFC 4180), each row with its line.
fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let (mut rows, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begun, mut quoted) = (1_usize, 1_usize, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\n' => {
                line = line.saturating_add(1);
                if quoted {
                    cell.push('\n');
                    continue;
                }
                cells.push(std::mem::take(&mut cell));
                rows.push((begun, std::mem::take(&mut cells)));
                begun = line;
            }
            '\r' if !quoted => {}
            other => cell.push(other),
        }
    }
    if quoted {
        return Err(format!("line {begun}: a quotation mark is not closed"));
    }
    if !cell.is_empty() || !cells.is_empty() {
        cells.push(cell);
        rows.push((begun, cells));
    }
    Ok(rows)
}

/// Compares a statement with the books.
#[must_use]
pub fn reconcile(lines: &[StatementLine], books: &[Booked]) -> Reconciliation {
    let key = |reference: &str, fen: Fen| (reference.to_owned(), fen.0.signum());
    let mut of: BTreeMap<(String, i64), &Booked> = BTreeMap::new();
    let mut differences = Vec::new();
    for booked in books.iter().filter(|booked| !booked.reference.is_empty()) {
        match of.get(&key(&booked.reference, booked.amount_fen)) {
            // An announced payment and its settlement are one.
            Some(first) if first.pending || booked.pending => {}
            Some(_) if booked.inside => {
                differences.push(Difference::TwiceInBooks { booked: booked.clone() });
                continue;
            }
            Some(_) => continue,
            None => {}
        }
        of.insert(key(&booked.reference, booked.amount_fen), booked);
    }
    let (mut matched, mut found) = (0_u64, BTreeSet::new());
    for line in lines {
        let at = key(&line.reference, line.amount_fen);
        let Some(booked) = of.get(&at) else {
            differences.push(Difference::NotInBooks { line: line.clone() });
            continue;
        };
        found.insert(booked.seq);
        let (line, booked) = (line.clone(), (*booked).clone());
        if booked.pending {
            differences.push(Difference::StillPending { line, booked });
        } else if line.amount_fen != booked.amount_fen {
            differences.push(Difference::AmountDiffers { line, booked });
        } else if !booked.inside {
            differences.push(Difference::OtherDay { line, booked });
        } else {
            matched = matched.saturating_add(1);
        }
    }
    let inside = || books.iter().filter(|booked| booked.inside && !booked.pending);
    let twice: BTreeSet<u64> = differences
        .iter()
        .filter_map(|difference| match difference {
            Difference::TwiceInBooks { booked } => Some(booked.seq),
            Difference::NotInBooks { .. }
            | Difference::NotOnStatement { .. }
            | Difference::AmountDiffers { .. }
            | Difference::OtherDay { .. }
            | Difference::StillPending { .. }
            | Difference::NoReference { .. } => None,
        })
        .collect();
    for booked in inside().filter(|b| !found.contains(&b.seq) && !twice.contains(&b.seq)) {
        let booked = booked.clone();
        differences.push(if booked.reference.is_empty() {
            Difference::NoReference { booked }
        } else {
            Difference::NotOnStatement { booked }
        });
    }
    let sum = |fens: &mut dyn Iterator<Item = Fen>| {
        Fen(fens.fold(0_i64, |sum, fen| sum.saturating_add(fen.0)))
    };
    Reconciliation {
        lines: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        statement_fen: sum(&mut lines.iter().map(|line| line.amount_fen)),
        booked: u64::try_from(inside().count()).unwrap_or(u64::MAX),
        books_fen: sum(&mut inside().map(|booked| booked.amount_fen)),
        matched,
        differences,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booked(seq: u64, reference: &str, fen: i64) -> Booked {
        let (at, reference) = (Time::EPOCH, reference.to_owned());
        Booked { seq, at, reference, amount_fen: Fen(fen), inside: true, pending: false }
    }

    #[test]
    fn each_difference_has_its_name() {
        let text = "微信支付账单\n流水号,金额,类型\n`w1,12.50,收款\nw2,¥7.00,收款\nw3,3,收款\nw4,4.00,收款\n\
                    w5,1.00,退款\nw6,6.00,收款\n";
        let lines = statement(text).unwrap();
        assert_eq!((lines[0].line, lines[0].amount_fen), (3, Fen(1250)));
        assert_eq!(lines[4].amount_fen, Fen(-100), "a refund goes out");
        let books = [
            booked(1, "w1", 1250),
            booked(2, "w2", 701),
            Booked { inside: false, ..booked(3, "w3", 300) },
            Booked { pending: true, ..booked(4, "w4", 400) },
            booked(5, "w5", -100),
            booked(7, "w7", 900),
            booked(8, "", 50),
            booked(9, "w1", 1250),
        ];
        let made = reconcile(&lines, &books);
        let json = serde_json::to_value(&made.differences).unwrap();
        let names: Vec<&str> =
            json.as_array().unwrap().iter().map(|d| d["is"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "twice-in-books",
                "amount-differs",
                "other-day",
                "still-pending",
                "not-in-books",
                "not-on-statement",
                "no-reference",
            ]
        );
        assert_eq!((made.matched, made.lines, made.statement_fen), (2, 6, Fen(3150)));
        let good = reconcile(&lines[..1], &books[..1]);
        assert_eq!((good.matched, good.differences.len()), (1, 0));
    }

    #[test]
    fn a_faulty_statement_is_refused_with_each_fault_at_its_line() {
        let text = "reference,amount\na,1.00\na,1.00\n,2.00\nb,two\nc,1.005\n";
        assert_eq!(
            statement(text).unwrap_err(),
            [
                "line 3 repeats line 2: reference a",
                "line 4: no reference",
                "line 5: \"two\" is not an amount in yuan",
                "line 6: \"1.005\" is not an amount in yuan",
            ]
        );
        assert!(statement("a,b\n1,2\n").unwrap_err()[0].starts_with("no line names the columns"));
        assert!(statement("reference,amount\n\"a,1\n").unwrap_err()[0].contains("not closed"));
    }
}
