//! Strict TOML: the reader behind the config file, device profiles and tariffs. It finds *every*
//! fault of a file in one pass, each at its line and column, and names the nearest known key for an
//! unknown one. Serde would stop at the first.
//!
//! A [`Table`] is asked for its keys one by one; what was never asked for is unknown. Faults gather
//! in the [`Document`], and each `take_…` gives `None` where it noted one.

use crate::decimal::{Decimal, parse_decimal};
use std::cell::{Ref, RefCell};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One fault of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl std::fmt::Display for Fault {
    /// `12:5: message`; the caller puts the file's name and a colon before it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// A parsed file and the faults found in it so far.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    root: Spanned<DeTable<'t>>,
    faults: RefCell<Vec<Fault>>,
}

impl<'t> Document<'t> {
    /// Parses the text as far as it can be; faults of syntax are noted.
    #[must_use]
    pub fn parse(text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { text, root, faults: RefCell::default() };
        for error in errors {
            document.note(error.span().unwrap_or(0..0), error.message().trim().replace('\n', ", "));
        }
        document
    }

    /// The top table.
    #[must_use]
    pub fn root(&self) -> Table<'_> {
        Table { document: self, table: self.root.get_ref(), span: 0..0, asked: RefCell::default() }
    }

    /// Notes a fault at a byte range of the text.
    pub fn note(&self, span: Range<usize>, message: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        self.faults.borrow_mut().push(Fault { line, column, message: message.into() });
    }

    /// The faults so far, in the order of the file, each once.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.faults.borrow().clone();
        faults.sort();
        faults.dedup();
        faults
    }

    /// Whether no fault was noted.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.borrow().is_empty()
    }
}

/// A table that is being read. Call [`Table::done`] when every known key was asked for.
#[derive(Debug)]
pub struct Table<'d> {
    document: &'d Document<'d>,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Table<'d> {
    /// Where the table begins, for faults that concern it as a whole.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Notes a fault about the whole table.
    pub fn note(&self, message: impl Into<String>) {
        self.document.note(self.span(), message);
    }

    /// Notes a fault at a key's value, or at the table when the key is not there.
    pub fn note_at(&self, key: &str, message: impl Into<String>) {
        let span = self.table.get(key).map_or_else(|| self.span(), Spanned::span);
        self.document.note(span, message);
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// The names of all keys, in the order of their names; marks none as known.
    pub fn keys(&self) -> impl Iterator<Item = &'d str> {
        self.table.keys().map(|k| k.get_ref().as_ref())
    }

    fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        self.table.get(key)
    }

    fn wrong(&self, value: &Spanned<DeValue<'_>>, key: &str, want: &str) {
        let is = value.get_ref().type_str();
        self.document.note(value.span(), format!("{key} must be {want}, not {is}"));
    }

    /// A string, when the key is there.
    pub fn text(&self, key: &'static str) -> Option<&'d str> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(value, key, "a string in quotes");
        }
        text
    }

    /// Whether the key is there and its value is a string: for keys that take a number or a string.
    #[must_use]
    pub fn is_text(&self, key: &'static str) -> bool {
        self.get(key).is_some_and(|value| value.get_ref().as_str().is_some())
    }

    /// A string that must be there.
    pub fn need_text(&self, key: &'static str) -> Option<&'d str> {
        self.need(key);
        self.text(key)
    }

    /// Notes a missing key, once.
    pub fn need(&self, key: &'static str) {
        if self.get(key).is_none() {
            self.note(format!("{key} is missing"));
        }
    }

    /// A string parsed into a type, when the key is there.
    pub fn parsed<T>(&self, key: &'static str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.note_at(key, format!("{key}: {error}"));
                None
            }
        }
    }

    /// A string parsed into a type, that must be there.
    pub fn need_parsed<T>(&self, key: &'static str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.need(key);
        self.parsed(key)
    }

    /// An exact decimal in a string, when the key is there. A bare number is refused: it would go
    /// through a binary float.
    pub fn decimal(&self, key: &'static str) -> Option<Decimal> {
        let value = self.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(value, key, "a decimal number in quotes, like \"0.4883\"");
            return None;
        };
        parse_decimal(text).map_err(|error| self.note_at(key, format!("{key}: {error}"))).ok()
    }

    /// A whole number inside a range, when the key is there.
    pub fn integer(&self, key: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|i| i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) | None => {
                let want = format!("a whole number from {} to {}", range.start(), range.end());
                match number {
                    Some(n) => self.note_at(key, format!("{key} must be {want}, not {n}")),
                    None => self.wrong(value, key, &want),
                }
                None
            }
        }
    }

    /// `true` or `false`, when the key is there.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(value, key, "true or false");
        }
        flag
    }

    /// One of a closed list of words, when the key is there.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = nearest(text, &known).map(|n| format!("; did you mean {n:?}?"));
            let list = known.join(", ");
            self.note_at(
                key,
                format!("{key} cannot be {text:?}; there are: {list}{}", hint.unwrap_or_default()),
            );
        }
        found
    }

    /// A table under a key, when it is there.
    pub fn table(&self, key: &'static str) -> Option<Table<'d>> {
        let value = self.get(key)?;
        let table = self.as_table(value);
        if table.is_none() {
            self.wrong(value, key, "a table");
        }
        table
    }

    /// The tables of an array of tables (`[[key]]`); empty when the key is not there.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'d>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, key, "an array of tables");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for entry in array {
            match self.as_table(entry) {
                Some(table) => tables.push(table),
                None => self.wrong(entry, key, "an array of tables"),
            }
        }
        tables
    }

    /// The strings of an array; empty when the key is not there.
    pub fn texts(&self, key: &'static str) -> Vec<&'d str> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, key, "an array of strings");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for entry in array {
            match entry.get_ref().as_str() {
                Some(text) => texts.push(text),
                None => self.wrong(entry, key, "an array of strings"),
            }
        }
        texts
    }

    fn as_table(&self, value: &'d Spanned<DeValue<'d>>) -> Option<Table<'d>> {
        let table = value.get_ref().as_table()?;
        Some(Table {
            document: self.document,
            table,
            span: value.span(),
            asked: RefCell::default(),
        })
    }

    /// Notes every key that was never asked for, with the nearest known one.
    pub fn done(&self) {
        let asked: Ref<'_, Vec<&str>> = self.asked.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let hint = match nearest(name, &asked) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => format!("; known here: {}", asked.join(", ")),
            };
            self.document.note(key.span(), format!("unknown key {name:?}{hint}"));
        }
    }
}

/// The word of `known` that is nearest to `text`, when one is near enough to be meant.
#[must_use]
pub fn nearest<'k>(text: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|word| (distance(text, word), *word))
        .filter(|(far, word)| *far <= 1 + word.chars().count() / 3)
        .min()
        .map(|(_, word)| word)
}

/// Edits (insert, delete, replace) between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().copied().skip(1)) {
            let replaced = above_left + usize::from(x != *y);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
            above_left = above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_at_its_place() {
        let text = "# 中文\nname = 5\n[gate]\nporrt = 1\nprice = 0.5\nkind = \"tpc\"\nn = 70000\n";
        let document = Document::parse(text);
        let root = document.root();
        let _ = root.text("name");
        let gate = root.table("gate").unwrap();
        let _ = (gate.integer("port", 1..=65535), gate.decimal("price"));
        let _ = gate.word("kind", &[("tcp", 1), ("serial", 2)]);
        let _ = gate.integer("n", 1..=65535);
        gate.need("host");
        gate.done();
        root.done();
        let faults: Vec<String> = document.faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "2:8: name must be a string in quotes, not integer",
                "3:1: host is missing",
                "4:1: unknown key \"porrt\"; did you mean \"port\"?",
                "5:9: price must be a decimal number in quotes, like \"0.4883\", not float",
                "6:8: kind cannot be \"tpc\"; there are: tcp, serial; did you mean \"tcp\"?",
                "7:5: n must be a whole number from 1 to 65535, not 70000",
            ]
        );
    }

    #[test]
    fn faults_of_syntax_come_with_the_others() {
        let document = Document::parse("a = \nb = 1\nc = [1,\n");
        assert!(!document.is_clean());
        assert!(document.faults().iter().any(|f| f.line == 1));
    }

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(nearest("adress", &["address", "line"]), Some("address"));
        assert_eq!(nearest("zzz", &["address", "line"]), None);
    }
}
