//! The fields of a list method: their kinds and their columns.

use super::filter::{self, Filter};
use super::order_by::{self, Sort};
use flotilla_rpc::RpcError;

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text; `:` matches a part of it.
    Text,
    /// A whole number.
    Integer,
    /// An amount in minor units, written and compared as a decimal number.
    Decimal(Scale),
    /// A point in time, written as RFC 3339.
    Timestamp,
    /// One of these words; the second of each pair is how the column spells it.
    Choice {
        /// The prefix of each word in the protos: `ORDER_STATE_`. It may be omitted.
        prefix: &'static str,
        /// Each word and its spelling in the column.
        values: &'static [(&'static str, &'static str)],
    },
    /// A resource name, `products/{id}`; the column holds the id as text.
    Name {
        /// The collection: `products`.
        collection: &'static str,
    },
    /// A resource name, `orders/{uuid}`; the column holds a UUID.
    UuidName {
        /// The collection: `orders`.
        collection: &'static str,
    },
}

/// The number of decimal places of a column's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As many as the currency in this column has.
    Currency(&'static str),
    /// A fixed number; at most 3.
    Digits(u32),
}

/// A field that clients may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) column: &'static str,
    pub(super) kind: Kind,
    pub(super) filterable: bool,
    pub(super) sortable: bool,
}

impl Field {
    const fn new(name: &'static str, column: &'static str, kind: Kind) -> Self {
        Self { name, column, kind, filterable: true, sortable: false }
    }

    /// Text in `column`, which may be any SQL expression, as for all kinds.
    #[must_use]
    pub const fn text(name: &'static str, column: &'static str) -> Self {
        Self::new(name, column, Kind::Text)
    }

    /// A whole number.
    #[must_use]
    pub const fn integer(name: &'static str, column: &'static str) -> Self {
        Self::new(name, column, Kind::Integer)
    }

    /// Minor units of the currency that another column names.
    #[must_use]
    pub const fn money(name: &'static str, column: &'static str, currency: &'static str) -> Self {
        Self::new(name, column, Kind::Decimal(Scale::Currency(currency)))
    }

    /// A number in units of the last of so many digits (at most 3).
    #[must_use]
    pub const fn decimal(name: &'static str, column: &'static str, digits: u32) -> Self {
        Self::new(name, column, Kind::Decimal(Scale::Digits(digits)))
    }

    /// A point in time.
    #[must_use]
    pub const fn timestamp(name: &'static str, column: &'static str) -> Self {
        Self::new(name, column, Kind::Timestamp)
    }

    /// One of some words, each with the spelling of the column; `prefix` is what the proto's enum puts before them.
    #[must_use]
    pub const fn choice(
        name: &'static str,
        column: &'static str,
        prefix: &'static str,
        values: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self::new(name, column, Kind::Choice { prefix, values })
    }

    /// A resource name whose id is text.
    #[must_use]
    pub const fn name(name: &'static str, column: &'static str, collection: &'static str) -> Self {
        Self::new(name, column, Kind::Name { collection })
    }

    /// A resource name whose id is a UUID.
    #[must_use]
    pub const fn uuid_name(name: &'static str, column: &'static str, collection: &'static str) -> Self {
        Self::new(name, column, Kind::UuidName { collection })
    }

    /// Allows it in `order_by` too. The column must never be null.
    #[must_use]
    pub const fn sortable(mut self) -> Self {
        self.sortable = true;
        self
    }

    /// Hides it from clients: only the schema's default order may use it.
    #[must_use]
    pub const fn internal(mut self) -> Self {
        self.filterable = false;
        self.sortable = false;
        self
    }
}

/// The fields and default order of one list method. Defined once, as a `static`.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The unique field: it ends every order, so that no row is repeated or missed.
    pub key: Field,
    /// The other fields.
    pub fields: &'static [Field],
    /// The default order, in the grammar of `order_by`; empty: by the key.
    pub order: &'static str,
}

impl Schema {
    /// Parses filter and order of a request.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `filter` or `order_by`.
    pub fn parse(&'static self, filter: &str, order_by: &str) -> Result<Listing, RpcError> {
        let sorts = order_by::parse(self, order_by)?;
        Ok(Listing { filter: self.filter(filter)?, sorts, asked: [filter.to_owned(), order_by.to_owned()] })
    }

    /// Parses only a filter.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `filter`.
    pub fn filter(&'static self, filter: &str) -> Result<Filter, RpcError> {
        filter::parse(self, filter)
    }

    /// Every field, the key first.
    pub(super) fn all(&'static self) -> impl Iterator<Item = &'static Field> {
        std::iter::once(&self.key).chain(self.fields)
    }
}

/// A parsed request: which rows, in which order.
#[derive(Debug, Clone)]
pub struct Listing {
    pub(super) filter: Filter,
    pub(super) sorts: Vec<Sort>,
    pub(super) asked: [String; 2],
}

impl Listing {
    /// The filter.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The order; the last field is the key.
    #[must_use]
    pub fn sorts(&self) -> &[Sort] {
        &self.sorts
    }
}
