//! The CSV files: read row by row, each row checked, bad ones described by file, line and reason.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    iter::Peekable,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use csv::{Reader, StringRecord, StringRecordsIntoIter};
use flotilla_proto::money::{Amount, Currency};
use time::{Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// A product of the file.
#[derive(Clone, Debug)]
pub struct Product {
    /// Name that people see.
    pub name: String,
    /// Price of one unit.
    pub price: Amount,
    /// Units to begin with.
    pub stock: i64,
}

/// Products and customers: small enough to be held.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Products by the file's key.
    pub products: BTreeMap<String, Product>,
    /// Names of customers by the file's key.
    pub customers: BTreeMap<String, String>,
    /// What was wrong, as `file:line: reason`.
    pub bad_rows: Vec<String>,
}

impl Catalogue {
    /// Reads both files.
    ///
    /// # Errors
    /// When a file can't be read or lacks a column.
    pub fn read(products: &Path, customers: &Path) -> Result<Self> {
        let mut catalogue = Self::default();
        let mut read = |path: &Path, columns: &[&str], take: fn(&mut Self, &StringRecord) -> Result<(), String>| {
            for record in open(path, columns)?.into_records() {
                let record = record.with_context(|| format!("{} can't be read", path.display()))?;
                if let Err(reason) = take(&mut catalogue, &record) {
                    catalogue.bad_rows.push(describe(path, &record, &reason));
                }
            }
            anyhow::Ok(())
        };
        read(products, &["product", "name", "unit_price", "currency", "stock"], Self::take_product)?;
        read(customers, &["customer", "name", "country"], Self::take_customer)?;
        Ok(catalogue)
    }

    fn take_product(&mut self, record: &StringRecord) -> Result<(), String> {
        let currency = Currency::parse(&record[3]).ok_or_else(|| format!("currency {:?} is not known", &record[3]))?;
        let price = parse_amount(&record[2], currency)?;
        let stock = record[4].parse().ok().filter(|stock| *stock >= 0);
        let stock = stock.ok_or_else(|| format!("stock {:?} is no number of units", &record[4]))?;
        let product = Product { name: record[1].to_owned(), price, stock };
        match self.products.insert(record[0].to_owned(), product) {
            Some(_) => Err(format!("product {:?} stands twice", &record[0])),
            None => Ok(()),
        }
    }

    fn take_customer(&mut self, record: &StringRecord) -> Result<(), String> {
        match self.customers.insert(record[0].to_owned(), record[1].to_owned()) {
            Some(_) => Err(format!("customer {:?} stands twice", &record[0])),
            None => Ok(()),
        }
    }
}

/// An order whose rows are all good.
#[derive(Clone, Debug)]
pub struct PastOrder {
    /// The file's key.
    pub id: String,
    /// When it was placed.
    pub placed_at: OffsetDateTime,
    /// The customer's key.
    pub customer: String,
    /// Products' keys and quantities, each product once.
    pub lines: BTreeMap<String, i64>,
}

/// Sums over the good orders of the file.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Orders.
    pub orders: i64,
    /// Lines.
    pub lines: i64,
    /// Units.
    pub units: i64,
    /// Money in minor units.
    pub minor: i64,
    /// What each customer's orders cost, in minor units.
    pub by_customer: HashMap<String, i64>,
}

impl Sums {
    /// Adds an order.
    ///
    /// # Errors
    /// When the sum of money is beyond 64 bits of minor units.
    pub fn add(&mut self, order: &PastOrder, catalogue: &Catalogue) -> Result<()> {
        let mut minor = 0_i64;
        for (product, quantity) in &order.lines {
            let price = catalogue.products.get(product).map_or(0, |product| product.price.minor);
            minor =
                price.checked_mul(*quantity).and_then(|line| line.checked_add(minor)).context("the money overflows")?;
            self.units += quantity;
        }
        self.orders += 1;
        self.lines += i64::try_from(order.lines.len())?;
        self.minor = self.minor.checked_add(minor).context("the money overflows")?;
        *self.by_customer.entry(order.customer.clone()).or_default() += minor;
        Ok(())
    }
}

/// The orders of a file, one after the other: a good order, or what is wrong with its rows.
pub struct OrderFile<'a> {
    path: PathBuf,
    catalogue: &'a Catalogue,
    records: Peekable<StringRecordsIntoIter<File>>,
    left: u64,
    last: Option<OffsetDateTime>,
}

impl<'a> OrderFile<'a> {
    /// Opens the file; `limit` cuts it off after so many orders.
    ///
    /// # Errors
    /// When it can't be read or lacks a column.
    pub fn open(path: &Path, catalogue: &'a Catalogue, limit: Option<u64>) -> Result<Self> {
        let records = open(path, &["order", "placed_at", "customer", "product", "quantity"])?.into_records().peekable();
        Ok(Self { path: path.to_owned(), catalogue, records, left: limit.unwrap_or(u64::MAX), last: None })
    }

    fn take_row(&mut self, record: &StringRecord, order: &mut PastOrder) -> Result<(), String> {
        let placed_at = parse_time(&record[1])?;
        if record[2] != order.customer {
            return Err(format!("order {} has two customers", order.id));
        }
        if !self.catalogue.customers.contains_key(&record[2]) {
            return Err(format!("customer {:?} is not known", &record[2]));
        }
        if !self.catalogue.products.contains_key(&record[3]) {
            return Err(format!("product {:?} is not known", &record[3]));
        }
        let quantity: Option<i64> = record[4].parse().ok().filter(|quantity| *quantity > 0);
        let quantity = quantity.ok_or_else(|| format!("quantity {:?} is no number of units above 0", &record[4]))?;
        if self.last.is_some_and(|last| placed_at < last) {
            return Err("the order is earlier than the one before: sort the file by time".to_owned());
        }
        order.placed_at = placed_at;
        *order.lines.entry(record[3].to_owned()).or_default() += quantity;
        Ok(())
    }
}

impl Iterator for OrderFile<'_> {
    type Item = Result<Result<PastOrder, Vec<String>>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut order: Option<PastOrder> = None;
        let mut bad_rows = Vec::new();
        loop {
            let same = |record: &StringRecord| order.as_ref().is_none_or(|order| order.id == record[0]);
            let Some(record) = self.records.next_if(|record| record.as_ref().map_or(true, same)) else { break };
            let record = match record.with_context(|| format!("{} can't be read", self.path.display())) {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let mut current = order.take().unwrap_or_else(|| PastOrder {
                id: record[0].to_owned(),
                placed_at: OffsetDateTime::UNIX_EPOCH,
                customer: record[2].to_owned(),
                lines: BTreeMap::new(),
            });
            if let Err(reason) = self.take_row(&record, &mut current) {
                bad_rows.push(describe(&self.path, &record, &reason));
            }
            order = Some(current);
        }
        let order = order?;
        if !bad_rows.is_empty() {
            return Some(Ok(Err(bad_rows)));
        }
        self.last = Some(order.placed_at);
        Some(Ok(Ok(order)))
    }
}

/// Opens a CSV file whose columns must be these; a row of another length is an error of the row.
fn open(path: &Path, columns: &[&str]) -> Result<Reader<File>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(false)
        .from_path(path)
        .with_context(|| format!("{} can't be opened", path.display()))?;
    let headers = reader.headers().with_context(|| format!("{} has no header", path.display()))?;
    if headers != columns {
        bail!("{}: expected the columns {}, found {}", path.display(), columns.join(","), headers.as_slice());
    }
    Ok(reader)
}

fn describe(path: &Path, record: &StringRecord, reason: &str) -> String {
    format!("{}:{}: {reason}", path.display(), record.position().map_or(0, csv::Position::line))
}

/// A date, or a time as in RFC 3339.
fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(date.midnight().assume_utc());
    }
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("{text:?} is no date or time"))
}

/// A decimal amount such as `18.00`, exact to the currency's minor unit and not negative.
pub fn parse_amount(text: &str, currency: Currency) -> Result<Amount, String> {
    let wrong = || format!("{text:?} is no amount in {}", currency.code());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = currency.minor_in_unit().ilog10() as usize;
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > digits {
        return Err(wrong());
    }
    let minor = format!("{whole}{fraction:0<digits$}").parse().map_err(|_| wrong())?;
    Ok(Amount { minor, currency })
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
