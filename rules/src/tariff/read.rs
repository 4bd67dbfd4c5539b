//! A TOML tree with places: reads tables key by key, and collects every fault with its line and
//! column instead of stopping at the first.

use super::parse::RuleError;
use crate::calendar::{Day, parse_day};
use crate::event::Text;
use blockgate_types::strict::nearest;
use blockgate_types::{Decimal, parse_decimal};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The faults found so far.
pub(crate) struct Faults<'t> {
    file: &'t str,
    text: &'t str,
    pub(crate) list: Vec<RuleError>,
}

impl<'t> Faults<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, list: Vec::new() }
    }

    /// Notes a fault at a byte of the text. Columns count characters, from 1.
    pub(crate) fn at(&mut self, place: &Range<usize>, message: impl Into<String>) {
        let (line, column) = self.place(place);
        let file = self.file.to_owned();
        self.list.push(RuleError { file, line, column, message: message.into() });
    }

    /// Line and column of a byte of the text, both from 1.
    pub(crate) fn place(&self, place: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..place.start.min(self.text.len())).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
    }

    /// The file's name.
    pub(crate) fn file(&self) -> &'t str {
        self.file
    }

    /// The faults by place.
    pub(crate) fn sorted(mut self) -> Vec<RuleError> {
        self.list.sort_by_key(|fault| (fault.line, fault.column));
        self.list
    }
}

/// A table with its place.
#[derive(Clone)]
pub(crate) struct Table<'a, 'i> {
    map: &'a DeTable<'i>,
    pub(crate) place: Range<usize>,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(crate) fn new(map: &'a DeTable<'i>, place: Range<usize>) -> Self {
        Self { map, place }
    }

    /// Notes every key that is not among `known`, and the nearest one that is.
    pub(crate) fn only(&self, known: &[&str], faults: &mut Faults<'_>) {
        for key in self.map.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let near = nearest(name, known).map(|near| format!("; did you mean \"{near}\"?"));
            faults.at(
                &key.span(),
                format!(
                    "unknown key \"{name}\"{}",
                    near.unwrap_or_else(|| format!("; known are {}", known.join(", ")))
                ),
            );
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> {
        self.map.keys().map(|key| (key.get_ref().as_ref(), key.span()))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some()
    }

    /// Whether a key's value is just this text, where another form is a table.
    pub(crate) fn is_text(&self, key: &str, text: &str) -> bool {
        self.get(key).and_then(|value| value.get_ref().as_str()) == Some(text)
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.map.get(key)
    }

    /// The place of a key's value, or of the table.
    pub(crate) fn place_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.place.clone(), Spanned::span)
    }

    fn missing(&self, key: &str, like: &str, faults: &mut Faults<'_>) {
        faults.at(&self.place, format!("\"{key}\" is missing: write it like {key} = {like}"));
    }

    /// A text; noted where it is missing or something else.
    pub(crate) fn text(&self, key: &str, like: &str, faults: &mut Faults<'_>) -> Option<&'a str> {
        let Some(value) = self.get(key) else {
            self.missing(key, like, faults);
            return None;
        };
        let found = text_of(value, like, faults)?;
        if found.trim().is_empty() {
            faults.at(&value.span(), format!("\"{key}\" is empty: write it like {like}"));
            return None;
        }
        Some(found)
    }

    /// A decimal number in a string.
    pub(crate) fn decimal(&self, key: &str, faults: &mut Faults<'_>) -> Option<Decimal> {
        match self.get(key) {
            Some(value) => decimal_of(value, faults),
            None => {
                self.missing(key, "\"0.4883\"", faults);
                None
            }
        }
    }

    /// A decimal number in a string, where there is one.
    pub(crate) fn optional_decimal(&self, key: &str, faults: &mut Faults<'_>) -> Option<Decimal> {
        self.get(key).and_then(|value| decimal_of(value, faults))
    }

    /// A day.
    pub(crate) fn day(&self, key: &str, faults: &mut Faults<'_>) -> Option<Day> {
        let text = self.text(key, "\"2026-01-01\"", faults)?;
        let day = parse_day(text);
        if day.is_none() {
            let place = self.place_of(key);
            faults.at(&place, format!("{text:?} is not a day: write it like \"2026-01-01\""));
        }
        day
    }

    /// Month and day of every year.
    pub(crate) fn day_of_year(&self, key: &str, faults: &mut Faults<'_>) -> Option<(i8, i8)> {
        let text = self.text(key, "\"01-01\"", faults)?;
        // Any year without 29 February: the day must come every year.
        let day = parse_day(&format!("2025-{text}"));
        if day.is_none() {
            let message = format!("{text:?} is not a day of every year: write it like \"01-01\"");
            faults.at(&self.place_of(key), message);
        }
        day.map(|day| (day.month(), day.day()))
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &str, faults: &mut Faults<'_>) -> Option<bool> {
        let Some(value) = self.get(key) else {
            self.missing(key, "true", faults);
            return None;
        };
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            faults.at(&value.span(), format!("\"{key}\" is true or false"));
        }
        flag
    }

    /// One of a closed list of words.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        faults: &mut Faults<'_>,
    ) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let like = known.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let text = self.text(key, &like, faults)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let place = self.place_of(key);
            faults.at(&place, format!("\"{key}\" cannot be {text:?}: write {like}"));
        }
        found
    }

    /// A text in both languages.
    pub(crate) fn label(&self, key: &str, faults: &mut Faults<'_>) -> Option<Text> {
        const LIKE: &str = "{ zh = \"电费\", en = \"Electricity\" }";
        let table = self.table(key, LIKE, faults)?;
        table.only(&["zh", "en"], faults);
        let zh = table.text("zh", "\"电费\"", faults);
        let en = table.text("en", "\"Electricity\"", faults);
        Some(Text { zh: zh?.to_owned(), en: en?.to_owned() })
    }

    /// A table.
    pub(crate) fn table(&self, key: &str, like: &str, faults: &mut Faults<'_>) -> Option<Self> {
        let Some(value) = self.get(key) else {
            self.missing(key, like, faults);
            return None;
        };
        let map = value.get_ref().as_table();
        if map.is_none() {
            let found = value.get_ref().type_str();
            faults.at(&value.span(), format!("\"{key}\" is a {found}: write it like {like}"));
        }
        map.map(|map| Self::new(map, value.span()))
    }

    /// A list of tables.
    pub(crate) fn tables(&self, key: &str, like: &str, faults: &mut Faults<'_>) -> Vec<Self> {
        let mut tables = Vec::new();
        for value in self.list(key, like, faults) {
            match value.get_ref().as_table() {
                Some(map) => tables.push(Self::new(map, value.span())),
                None => {
                    let found = value.get_ref().type_str();
                    faults.at(&value.span(), format!("an entry is a {found}: write {like}"));
                }
            }
        }
        tables
    }

    /// A list of texts with their places.
    pub(crate) fn texts(
        &self,
        key: &str,
        like: &str,
        faults: &mut Faults<'_>,
    ) -> Vec<(&'a str, Range<usize>)> {
        let values = self.list(key, like, faults);
        values.iter().filter_map(|v| Some((text_of(v, like, faults)?, v.span()))).collect()
    }

    /// A list of decimal numbers in strings.
    pub(crate) fn decimals(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Decimal> {
        let values = self.list(key, "[\"150\", \"150\"]", faults);
        values.iter().filter_map(|value| decimal_of(value, faults)).collect()
    }

    fn list(
        &self,
        key: &str,
        like: &str,
        faults: &mut Faults<'_>,
    ) -> Vec<&'a Spanned<DeValue<'i>>> {
        let Some(value) = self.get(key) else {
            self.missing(key, like, faults);
            return Vec::new();
        };
        match value.get_ref().as_array() {
            Some(list) => list.iter().collect(),
            None => {
                let found = value.get_ref().type_str();
                faults.at(&value.span(), format!("\"{key}\" is a {found}: write it like {like}"));
                Vec::new()
            }
        }
    }

    /// A whole number that may be negative.
    pub(crate) fn integer(&self, key: &str, faults: &mut Faults<'_>) -> Option<i32> {
        let Some(value) = self.get(key) else {
            self.missing(key, "-1", faults);
            return None;
        };
        let integer = value.get_ref().as_integer().filter(|integer| integer.radix() == 10);
        let number = integer.and_then(|integer| integer.as_str().parse().ok());
        if number.is_none() {
            faults.at(&value.span(), format!("\"{key}\" is not a whole number like 5 or -1"));
        }
        number
    }

    /// A whole number.
    pub(crate) fn number(&self, key: &str, faults: &mut Faults<'_>) -> Option<u32> {
        let Some(value) = self.get(key) else {
            self.missing(key, "5", faults);
            return None;
        };
        let integer = value.get_ref().as_integer().filter(|integer| integer.radix() == 10);
        let number = integer.and_then(|integer| integer.as_str().parse().ok());
        if number.is_none() {
            faults.at(&value.span(), format!("\"{key}\" is not a whole number like 5"));
        }
        number
    }
}

fn text_of<'a>(
    value: &'a Spanned<DeValue<'_>>,
    like: &str,
    faults: &mut Faults<'_>,
) -> Option<&'a str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        let found = value.get_ref().type_str();
        faults.at(&value.span(), format!("this is a {found}: write it in quotes, like {like}"));
    }
    text
}

fn decimal_of(value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Decimal> {
    let text = text_of(value, "\"0.4883\"", faults)?;
    match parse_decimal(text) {
        Ok(number) => Some(number),
        Err(error) => {
            faults.at(&value.span(), error.to_string());
            None
        }
    }
}
