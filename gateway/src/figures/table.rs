//! Tables for people: CSV with a byte order mark, so that spreadsheets read Chinese, and XLSX. Amounts
//! are yuan with two decimals. A text that a spreadsheet would take for a formula is guarded by an
//! apostrophe in CSV and written as text in XLSX.

use rust_xlsxwriter::{Workbook, XlsxError};

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// An amount in fen.
    Fen(i64),
    /// A whole number.
    Whole(i64),
}

/// A table with its head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Its name, for the sheet.
    pub name: String,
    /// The columns' heads.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

fn yuan(fen: i64) -> String {
    blockgate_rules::Fen(fen).to_string()
}

/// Whether a spreadsheet would take a text for a formula.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

impl Table {
    /// As CSV: RFC 4180 with a byte order mark.
    #[must_use]
    pub fn csv(&self) -> Vec<u8> {
        let mut out = vec![0xEF, 0xBB, 0xBF];
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            for (n, cell) in cells.enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                if cell.contains(['"', ',', '\n', '\r']) {
                    out.push(b'"');
                    out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
                    out.push(b'"');
                } else {
                    out.extend_from_slice(cell.as_bytes());
                }
            }
            out.extend_from_slice(b"\r\n");
        };
        line(&mut self.head.iter().cloned());
        for row in &self.rows {
            line(&mut row.iter().map(|cell| match cell {
                Cell::Text(text) if is_formula(text) => format!("'{text}"),
                Cell::Text(text) => text.clone(),
                Cell::Fen(fen) => yuan(*fen),
                Cell::Whole(n) => n.to_string(),
            }));
        }
        out
    }

    /// As XLSX. Amounts beyond 2⁵³ fen are written as text: a spreadsheet's number does not hold them.
    ///
    /// # Errors
    /// More rows or columns than a sheet has.
    pub fn xlsx(&self) -> Result<Vec<u8>, XlsxError> {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.set_name(&self.name)?;
        let bold = rust_xlsxwriter::Format::new().set_bold();
        let money = rust_xlsxwriter::Format::new().set_num_format("#,##0.00");
        for (column, head) in (0..).zip(&self.head) {
            sheet.write_string_with_format(0, column, head, &bold)?;
        }
        for (row, cells) in (1..).zip(&self.rows) {
            for (column, cell) in (0..).zip(cells) {
                match cell {
                    Cell::Text(text) => sheet.write_string(row, column, text)?,
                    Cell::Whole(n) if n.unsigned_abs() < 1 << 53 => {
                        sheet.write_number(row, column, *n as f64)?
                    }
                    Cell::Whole(n) => sheet.write_string(row, column, n.to_string())?,
                    // The sheet's own numbers are floats; the cell shows two decimals of them.
                    Cell::Fen(fen) if fen.unsigned_abs() < 1 << 53 => {
                        sheet.write_number_with_format(row, column, *fen as f64 / 100.0, &money)?
                    }
                    Cell::Fen(fen) => sheet.write_string(row, column, yuan(*fen))?,
                };
            }
        }
        sheet.autofit();
        book.save_to_buffer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_a_text() {
        let table = Table {
            name: "x".to_owned(),
            head: vec!["户号".to_owned(), "金额".to_owned()],
            rows: vec![
                vec![Cell::Text("=cmd|' /C calc'!A0".to_owned()), Cell::Fen(-5)],
                vec![Cell::Text("a,\"b\"\n".to_owned()), Cell::Whole(7)],
            ],
        };
        let csv = String::from_utf8(table.csv()).unwrap();
        assert_eq!(
            csv,
            "\u{feff}户号,金额\r\n'=cmd|' /C calc'!A0,-0.05\r\n\"a,\"\"b\"\"\n\",7\r\n"
        );
        let xlsx = table.xlsx().unwrap();
        assert_eq!(&xlsx[..4], b"PK\x03\x04", "an XLSX is a zip file");
    }
}
