//! Products and customers of the files, which are held in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;
use csv::StringRecord;
use flotilla_money::{Amount, Currency};

use super::rows::{Rows, check_key, check_name, parse_amount};

/// Maximum stock of a product.
const MOST_STOCK: i64 = 1_000_000_000_000;

/// A product of the file.
#[derive(Clone, Debug)]
pub struct Product {
    /// Display name.
    pub name: String,
    /// Price of one unit.
    pub price: Amount,
    /// Initial stock.
    pub stock: i64,
}

/// The content of the files of products and customers.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Products by the file's key.
    pub products: BTreeMap<String, Product>,
    /// Names of customers by the file's key.
    pub customers: BTreeMap<String, String>,
    /// The bad rows, as `file:line: reason`.
    pub bad_rows: Vec<String>,
    slugs_of_products: BTreeSet<String>,
    slugs_of_customers: BTreeSet<String>,
}

impl Catalogue {
    /// Reads both files.
    ///
    /// # Errors
    /// When a file can't be read or has other columns.
    pub fn read(products: &Path, customers: &Path) -> Result<Self> {
        let mut catalogue = Self::default();
        let columns = ["product", "name", "unit_price", "currency", "stock"];
        catalogue.read_file(products, &columns, Self::take_product)?;
        catalogue.read_file(customers, &["customer", "name", "country"], Self::take_customer)?;
        Ok(catalogue)
    }

    /// The currency of all prices; USD if there are no products.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.products.values().next().map(|product| product.price.currency).or_else(|| Currency::parse("USD"))
    }

    fn read_file(
        &mut self,
        path: &Path,
        columns: &[&str],
        take: fn(&mut Self, &StringRecord) -> Result<(), String>,
    ) -> Result<()> {
        for row in Rows::open(path, columns)? {
            let row = row?;
            if let Err(reason) = row.fields.and_then(|fields| take(self, &fields)) {
                self.bad_rows.push(Rows::describe(path, row.line, &reason));
            }
        }
        Ok(())
    }

    fn take_product(&mut self, fields: &StringRecord) -> Result<(), String> {
        let key = &fields[0];
        check_key("product", key)?;
        check_name(&fields[1])?;
        let currency = Currency::parse(&fields[3]).ok_or_else(|| format!("unknown currency {:?}", &fields[3]))?;
        if let Some(first) = self.products.values().next().map(|product| product.price.currency)
            && first != currency
        {
            return Err(format!("{} differs from {}: a replay has one currency", currency.code(), first.code()));
        }
        let price = parse_amount(&fields[2], currency)?;
        let stock = fields[4].parse().ok().filter(|stock| (0..=MOST_STOCK).contains(stock));
        let stock = stock.ok_or_else(|| format!("invalid stock {:?}; use a whole number of at least 0", &fields[4]))?;
        if self.products.contains_key(key) {
            return Err(format!("duplicate product {key:?}"));
        }
        if !self.slugs_of_products.insert(slug(key)) {
            return Err(format!("product {key:?} would get the same id as another one: {}", slug(key)));
        }
        self.products.insert(key.to_owned(), Product { name: fields[1].to_owned(), price, stock });
        Ok(())
    }

    fn take_customer(&mut self, fields: &StringRecord) -> Result<(), String> {
        let key = &fields[0];
        check_key("customer", key)?;
        check_name(&fields[1])?;
        if self.customers.contains_key(key) {
            return Err(format!("duplicate customer {key:?}"));
        }
        if !self.slugs_of_customers.insert(slug(key)) {
            return Err(format!("customer {key:?} would get the same address as another one: {}", slug(key)));
        }
        self.customers.insert(key.to_owned(), fields[1].to_owned());
        Ok(())
    }
}

/// A key in the characters that ids allow. If two keys have the same slug, the second is a bad row.
#[must_use]
pub fn slug(key: &str) -> String {
    let allowed = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    key.chars().map(allowed).collect()
}
