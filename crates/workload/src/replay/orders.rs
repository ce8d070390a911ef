//! The orders of a file. It may be larger than memory, so it is read once for each purpose and never held: to find bad
//! rows (8 bytes are kept per order, to detect one whose rows aren't consecutive), to sum up, and to place the orders.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    iter::Peekable,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use csv::StringRecord;
use time::OffsetDateTime;

use super::{
    catalogue::Catalogue,
    rows::{Row, Rows, check_key, parse_time},
};

const COLUMNS: [&str; 5] = ["order", "placed_at", "customer", "product", "quantity"];
/// Maximum number of lines of an order, as the fleet accepts by default.
const MOST_LINES: usize = 500;
/// Maximum quantity of a line.
const MOST_UNITS: i64 = 1_000_000;
/// Maximum balance of an account in minor units.
pub const MOST_MONEY: i64 = 1_000_000_000_000_000;

/// An order whose rows are all valid.
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
    /// Its total in minor units.
    pub minor: i64,
}

/// Sums over the valid orders of the file.
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
    /// The total of each customer's orders in minor units.
    pub by_customer: HashMap<String, i64>,
}

impl Sums {
    /// Adds an order.
    ///
    /// # Errors
    /// When the sum of money is beyond 64 bits of minor units.
    pub fn add(&mut self, order: &PastOrder) -> Result<()> {
        self.orders += 1;
        self.lines += i64::try_from(order.lines.len())?;
        self.units += order.lines.values().sum::<i64>();
        self.minor = self.minor.checked_add(order.minor).context("the total of all orders overflows")?;
        *self.by_customer.entry(order.customer.clone()).or_default() += order.minor;
        Ok(())
    }
}

/// The file, after all its rows were checked.
pub struct OrderFile<'a> {
    path: PathBuf,
    catalogue: &'a Catalogue,
    hasher: RandomState,
    bad: HashSet<u64>,
}

impl<'a> OrderFile<'a> {
    /// Checks every row; `report` gets each bad one, as `file:line: reason`.
    ///
    /// # Errors
    /// When the file can't be read or has other columns.
    pub fn inspect(path: &Path, catalogue: &'a Catalogue, mut report: impl FnMut(&str)) -> Result<Self> {
        let mut file = Self { path: path.to_owned(), catalogue, hasher: RandomState::new(), bad: HashSet::new() };
        let (mut seen, mut last) = (HashSet::new(), None);
        for group in Groups::open(path, catalogue)? {
            let Group { order, line, mut reasons } = group?;
            let hash = file.hasher.hash_one(&order.id);
            if !seen.insert(hash) {
                reasons.push((line, format!("the rows of order {:?} are not consecutive", order.id)));
            }
            if reasons.is_empty() && last.is_some_and(|last| order.placed_at < last) {
                reasons.push((line, "the order is earlier than the previous one: sort the file by time".to_owned()));
            }
            if reasons.is_empty() {
                last = Some(order.placed_at);
            } else {
                file.bad.insert(hash);
            }
            for (line, reason) in reasons {
                report(&Rows::describe(path, line, &reason));
            }
        }
        Ok(file)
    }

    /// How many orders have a bad row.
    #[must_use]
    pub fn bad_orders(&self) -> usize {
        self.bad.len()
    }

    /// The valid orders, one after the other, at most `limit`.
    ///
    /// # Errors
    /// When the file can't be opened; an item is an error when the file has changed meanwhile.
    pub fn good_orders(&self, limit: Option<u64>) -> Result<impl Iterator<Item = Result<PastOrder>>> {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let orders = Groups::open(&self.path, self.catalogue)?.filter_map(|group| match group {
            Err(error) => Some(Err(error)),
            Ok(group) if self.bad.contains(&self.hasher.hash_one(&group.order.id)) => None,
            Ok(group) if group.reasons.is_empty() => Some(Ok(group.order)),
            Ok(_) => Some(Err(anyhow!("{} changed while it was being read", self.path.display()))),
        });
        Ok(orders.take(limit))
    }
}

/// Consecutive rows with the same key.
struct Group {
    /// The order; complete if there are no errors.
    order: PastOrder,
    /// The first row's line.
    line: u64,
    /// What is wrong with its rows, by line.
    reasons: Vec<(u64, String)>,
}

impl Group {
    fn new(first: &Row) -> Self {
        let order = PastOrder {
            id: first.key.clone(),
            placed_at: OffsetDateTime::UNIX_EPOCH,
            customer: String::new(),
            lines: BTreeMap::new(),
            minor: 0,
        };
        Self { order, line: first.line, reasons: Vec::new() }
    }

    fn take(&mut self, row: Row, catalogue: &Catalogue) {
        if let Err(reason) = row.fields.and_then(|fields| take_fields(&mut self.order, &fields, catalogue)) {
            self.reasons.push((row.line, reason));
        }
    }
}

struct Groups<'a> {
    rows: Peekable<Rows>,
    catalogue: &'a Catalogue,
}

impl<'a> Groups<'a> {
    fn open(path: &Path, catalogue: &'a Catalogue) -> Result<Self> {
        Ok(Self { rows: Rows::open(path, &COLUMNS)?.peekable(), catalogue })
    }
}

impl Iterator for Groups<'_> {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let mut group = Group::new(&first);
        group.take(first, self.catalogue);
        // An error belongs to no order: it is the next item.
        while let Some(row) = self.rows.next_if(|row| row.as_ref().is_ok_and(|row| row.key == group.order.id)) {
            match row {
                Ok(row) => group.take(row, self.catalogue),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(group))
    }
}

/// Adds a row to its order.
fn take_fields(order: &mut PastOrder, fields: &StringRecord, catalogue: &Catalogue) -> Result<(), String> {
    check_key("order", &fields[0])?;
    let placed_at = parse_time(&fields[1])?;
    if !catalogue.customers.contains_key(&fields[2]) {
        return Err(format!("unknown customer {:?}", &fields[2]));
    }
    if order.customer.is_empty() {
        order.placed_at = placed_at;
        fields[2].clone_into(&mut order.customer);
    }
    if fields[2] != order.customer {
        return Err(format!("order {:?} has two customers", order.id));
    }
    if placed_at != order.placed_at {
        return Err(format!("order {:?} has two times", order.id));
    }
    let product = catalogue.products.get(&fields[3]);
    let product = product.ok_or_else(|| format!("unknown product {:?}", &fields[3]))?;
    let quantity: Option<i64> = fields[4].parse().ok().filter(|quantity| *quantity > 0);
    let quantity = quantity.ok_or_else(|| format!("invalid quantity {:?}; use a whole number above 0", &fields[4]))?;
    let before = order.lines.get(&fields[3]).copied().unwrap_or_default();
    let units = before.checked_add(quantity).filter(|units| *units <= MOST_UNITS);
    let units = units.ok_or_else(|| format!("an order has at most {MOST_UNITS} units of a product"))?;
    let minor = product.price.minor.checked_mul(quantity).and_then(|minor| minor.checked_add(order.minor));
    let minor = minor.filter(|minor| *minor <= MOST_MONEY);
    order.minor =
        minor.ok_or_else(|| format!("the total of order {:?} exceeds the maximum of an account", order.id))?;
    if before == 0 && order.lines.len() == MOST_LINES {
        return Err(format!("order {:?} has more than {MOST_LINES} products", order.id));
    }
    order.lines.insert(fields[3].to_owned(), units);
    Ok(())
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
