//! Imports: the changes that rows make to the catalogue, and why a row is rejected.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use flotilla_money::Amount;

use super::product::{Details, Patch, Product, ProductId};

/// Maximum number of rejected rows in a report.
pub const REPORTED: usize = 1_000;

/// A row that is valid by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its position in the stream, from 1.
    pub line: i64,
    /// The product.
    pub product: ProductId,
    /// Its name; if absent, an existing product keeps its name.
    pub display_name: Option<String>,
    /// Its description; if absent, an existing product keeps its description.
    pub description: Option<String>,
    /// Its price.
    pub price: Amount,
}

/// The machine-readable reason for a rejected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The message contains no row.
    MissingRow,
    /// A field violates the rules of the contract.
    InvalidField,
    /// A text is blank or has characters that aren't allowed.
    InvalidText,
    /// The currency is unknown.
    UnknownCurrency,
    /// Units and nanos contradict each other.
    MalformedPrice,
    /// The price is finer than the currency's smallest unit.
    PriceTooFine,
    /// The price is too large.
    PriceTooLarge,
    /// The price is below zero.
    NegativePrice,
    /// A new product needs a name.
    MissingDisplayName,
    /// The product was deleted from the catalogue.
    ProductDeleted,
}

impl Reason {
    /// The name of the reason.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::MissingRow => "MISSING_ROW",
            Self::InvalidField => "INVALID_FIELD",
            Self::InvalidText => "INVALID_TEXT",
            Self::UnknownCurrency => "UNKNOWN_CURRENCY",
            Self::MalformedPrice => "MALFORMED_PRICE",
            Self::PriceTooFine => "PRICE_TOO_FINE",
            Self::PriceTooLarge => "PRICE_TOO_LARGE",
            Self::NegativePrice => "NEGATIVE_PRICE",
            Self::MissingDisplayName => "MISSING_DISPLAY_NAME",
            Self::ProductDeleted => "PRODUCT_DELETED",
        }
    }
}

/// A rejected row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its position in the stream, from 1.
    pub line: i64,
    /// The product id that it named.
    pub product_id: String,
    /// The field at fault.
    pub field: String,
    /// The machine-readable reason.
    pub reason: String,
    /// A description for humans.
    pub description: String,
}

impl Rejection {
    /// A rejected row.
    #[must_use]
    pub fn new(line: i64, product_id: &str, field: &str, reason: Reason, description: impl Into<String>) -> Self {
        Self {
            line,
            product_id: product_id.to_owned(),
            field: field.to_owned(),
            reason: reason.word().to_owned(),
            description: description.into(),
        }
    }
}

/// A validated row, or its rejection.
pub type Item = Result<Row, Rejection>;

/// How many rows had which result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Received rows.
    pub received: i64,
    /// Added products.
    pub created: i64,
    /// Rows that changed a product.
    pub updated: i64,
    /// Rows that changed nothing.
    pub unchanged: i64,
    /// Rows that were rejected.
    pub rejected: i64,
}

/// The catalogue's entry for an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// A product.
    Product(Product),
    /// A deleted product.
    Deleted,
}

/// The result of a chunk of rows. Each product is written once, with the values of its last row.
#[derive(Debug, Default)]
pub struct ChunkResult {
    /// Products to add, by id.
    pub made: BTreeMap<ProductId, Details>,
    /// Products to change, by id: the old and the new product.
    pub changed: BTreeMap<ProductId, (Product, Details)>,
    /// Rejected rows, in order.
    pub rejections: Vec<Rejection>,
    /// The counts.
    pub counts: ImportCounts,
}

/// Applies rows in order to the products of the catalogue.
#[must_use]
pub fn judge(items: &[Item], known: &HashMap<ProductId, Known>) -> ChunkResult {
    let mut judged = ChunkResult::default();
    for item in items {
        judged.counts.received += 1;
        let verdict = match item {
            Ok(row) => judged.apply(row, known.get(&row.product)),
            Err(rejection) => Err(rejection.clone()),
        };
        if let Err(rejection) = verdict {
            judged.counts.rejected += 1;
            judged.rejections.push(rejection);
        }
    }
    // A change that later rows reverted isn't a change.
    judged.changed.retain(|_, (before, after)| before.details != *after);
    judged
}

impl ChunkResult {
    fn apply(&mut self, row: &Row, known: Option<&Known>) -> Result<(), Rejection> {
        let Row { line, product, display_name, description, price } = row;
        let patch = Patch { display_name: display_name.clone(), description: description.clone(), price: Some(*price) };
        let reject = |field, reason, text: &str| Err(Rejection::new(*line, product.as_str(), field, reason, text));
        let earlier = self.made.get_mut(product).or(self.changed.get_mut(product).map(|(_, details)| details));
        if let Some(details) = earlier {
            let after = patch.apply(details);
            *(if after == *details { &mut self.counts.unchanged } else { &mut self.counts.updated }) += 1;
            *details = after;
            return Ok(());
        }
        match known {
            Some(Known::Deleted) => {
                reject("product_id", Reason::ProductDeleted, "the product was taken out of the catalogue")
            }
            Some(Known::Product(before)) => {
                let after = patch.apply(&before.details);
                if after == before.details {
                    self.counts.unchanged += 1;
                } else {
                    self.counts.updated += 1;
                    self.changed.insert(product.clone(), (before.clone(), after));
                }
                Ok(())
            }
            None => {
                let Some(display_name) = display_name.clone() else {
                    return reject("display_name", Reason::MissingDisplayName, "a new product needs a name");
                };
                let description = description.clone().unwrap_or_default();
                self.made.insert(product.clone(), Details { display_name, description, price: *price });
                self.counts.created += 1;
                Ok(())
            }
        }
    }
}

/// The state of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Rows are arriving.
    Running,
    /// All rows have arrived.
    Completed,
    /// The stream was interrupted.
    BrokenOff,
}

/// An import and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Last part of its name.
    pub id: String,
    /// Its state.
    pub state: State,
    /// The counts so far.
    pub counts: ImportCounts,
    /// The first rejected rows.
    pub rejections: Vec<Rejection>,
    /// When it started.
    pub created_at: SystemTime,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use flotilla_money::Currency;

    use super::*;

    fn usd(minor: i64) -> Amount {
        Amount { minor, currency: Currency::parse("USD").expect("known") }
    }

    fn id(id: &str) -> ProductId {
        ProductId::parse(id).expect("an id")
    }

    fn row(line: i64, product: &str, display_name: Option<&str>, minor: i64) -> Item {
        let display_name = display_name.map(str::to_owned);
        Ok(Row { line, product: id(product), display_name, description: None, price: usd(minor) })
    }

    fn known(product: &str, minor: i64) -> (ProductId, Known) {
        let details = Details { display_name: "Tea".into(), description: "Green".into(), price: usd(minor) };
        let (created_at, updated_at) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        (id(product), Known::Product(Product { id: id(product), details, version: 1, created_at, updated_at }))
    }

    fn counts(judged: &ChunkResult) -> (i64, i64, i64, i64, i64) {
        let ImportCounts { received, created, updated, unchanged, rejected } = judged.counts;
        (received, created, updated, unchanged, rejected)
    }

    #[test]
    fn a_row_adds_changes_or_leaves_a_product() {
        let rows = [row(1, "new", Some("New"), 1), row(2, "tea", None, 2), row(3, "cup", Some("Tea"), 100)];
        let judged = judge(&rows, &HashMap::from([known("tea", 100), known("cup", 100)]));
        assert_eq!(counts(&judged), (3, 1, 1, 1, 0));
        assert_eq!(judged.made.keys().collect::<Vec<_>>(), [&id("new")]);
        let (_, after) = &judged.changed[&id("tea")];
        assert_eq!((after.display_name.as_str(), after.description.as_str(), after.price), ("Tea", "Green", usd(2)));
    }

    #[test]
    fn later_rows_win_and_each_product_is_written_once() {
        let rows = [
            row(1, "new", Some("New"), 1),
            row(2, "new", None, 2),
            row(3, "new", Some("Newer"), 2),
            row(4, "new", None, 2),
            row(5, "tea", None, 7),
            row(6, "tea", None, 100),
        ];
        let judged = judge(&rows, &HashMap::from([known("tea", 100)]));
        assert_eq!(counts(&judged), (6, 1, 4, 1, 0));
        let made = &judged.made[&id("new")];
        assert_eq!((made.display_name.as_str(), made.price), ("Newer", usd(2)));
        assert!(judged.changed.is_empty(), "what a later row took back is no change");
    }

    #[test]
    fn a_rejected_row_is_reported_with_line_field_and_reason() {
        let rows = [
            row(1, "gone", Some("Gone"), 1),
            row(2, "new", None, 1),
            Err(Rejection::new(3, "x y", "product_id", Reason::InvalidField, "is no id")),
        ];
        let judged = judge(&rows, &HashMap::from([(id("gone"), Known::Deleted)]));
        assert_eq!(counts(&judged), (3, 0, 0, 0, 3));
        let reported: Vec<_> =
            judged.rejections.iter().map(|r| (r.line, r.field.as_str(), r.reason.as_str())).collect();
        let wanted = [
            (1, "product_id", "PRODUCT_DELETED"),
            (2, "display_name", "MISSING_DISPLAY_NAME"),
            (3, "product_id", "INVALID_FIELD"),
        ];
        assert_eq!(reported, wanted);
    }
}
