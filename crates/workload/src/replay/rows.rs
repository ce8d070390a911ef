//! CSV files, row by row: a row that can't be read is returned as such, so that its order is skipped.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use csv::{ByteRecord, ByteRecordsIntoIter, StringRecord};
use flotilla_money::{Amount, Currency};
use time::{Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// One row of a file.
#[derive(Debug)]
pub struct Row {
    /// Line of the file on which it begins.
    pub line: u64,
    /// The first field, as far as it can be read.
    pub key: String,
    /// All fields, one per column; or why they can't be read.
    pub fields: Result<StringRecord, String>,
}

/// The rows of a file, read one at a time.
pub struct Rows {
    path: PathBuf,
    columns: usize,
    records: ByteRecordsIntoIter<File>,
}

impl Rows {
    /// Opens a file whose columns must be these.
    ///
    /// # Errors
    /// When it can't be read, isn't a regular file or has other columns.
    pub fn open(path: &Path, columns: &[&str]) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("can't open {}", path.display()))?;
        if !file.metadata()?.is_file() {
            bail!("{} is not a regular file, which is needed because it is read more than once", path.display());
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(file);
        let headers = reader.headers().with_context(|| format!("{} has no header", path.display()))?;
        if headers != columns {
            let found: Vec<_> = headers.iter().collect();
            bail!("{}: expected the columns {}, found {}", path.display(), columns.join(","), found.join(","));
        }
        Ok(Self { path: path.to_owned(), columns: columns.len(), records: reader.into_byte_records() })
    }

    /// A bad row for display: file, line and reason.
    #[must_use]
    pub fn describe(path: &Path, line: u64, reason: &str) -> String {
        format!("{}:{line}: {reason}", path.display())
    }

    fn row(&self, record: ByteRecord) -> Row {
        let line = record.position().map_or(0, csv::Position::line);
        let key = String::from_utf8_lossy(record.get(0).unwrap_or_default()).into_owned();
        let fields = match StringRecord::from_byte_record(record) {
            Err(_) => Err("the row is not UTF-8".to_owned()),
            Ok(fields) if fields.len() != self.columns => {
                Err(format!("the row has {} fields, not {}", fields.len(), self.columns))
            }
            Ok(fields) => Ok(fields),
        };
        Row { line, key, fields }
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?.with_context(|| format!("can't read {}", self.path.display()));
        Some(record.map(|record| self.row(record)))
    }
}

/// Validates a key for use in the fleet's ids and requests.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(what: &str, key: &str) -> Result<(), String> {
    /// With the prefix of the run it must fit into a product's id and an address's local part.
    const LONGEST: usize = 40;
    if key.is_empty() {
        return Err(format!("the {what} has no key"));
    }
    if key.chars().count() > LONGEST || key.contains(char::is_control) {
        return Err(format!("{what}: invalid key {key:?}; use at most {LONGEST} characters and no control characters"));
    }
    Ok(())
}

/// Validates a display name.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 200;
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if name.chars().count() > LONGEST || name.contains(char::is_control) {
        return Err(format!("invalid name {name:?}; use at most {LONGEST} characters and no control characters"));
    }
    Ok(())
}

/// Parses a date, or a time in the form of RFC 3339.
///
/// # Errors
/// When it is neither.
pub fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(date.midnight().assume_utc());
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("invalid date or time {text:?}; use the form 2026-01-31 or 2026-01-31T12:00:00Z"))
}

/// Parses a decimal amount such as `18.00`, exact to the currency's minor unit and not negative.
///
/// # Errors
/// When it isn't one.
pub fn parse_amount(text: &str, currency: Currency) -> Result<Amount, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = currency.minor_in_unit().ilog10() as usize;
    let example = if digits == 0 { "18".to_owned() } else { format!("18.{:0digits$}", 0) };
    let wrong = || format!("invalid amount {text:?} in {}; use the form {example}", currency.code());
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > digits {
        return Err(wrong());
    }
    let minor = format!("{whole}{fraction:0<digits$}").parse().map_err(|_| wrong())?;
    Ok(Amount { minor, currency })
}
