//! Values: how each kind of field parses a literal, and how a value is passed to the database.

use std::cmp::Ordering;
use std::time::SystemTime;

use flotilla_money::Amount;
use prost_types::Timestamp;
use uuid::Uuid;

use super::parse_error::{closest, quoted};
use super::schema::Kind;

/// Maximum number of decimal places: no currency has more.
const DIGITS: usize = 3;
/// Maximum number of digits before the decimal point.
const WHOLE_DIGITS: usize = 15;
/// Seconds of the years 1 to 9999, the range of `google.protobuf.Timestamp`.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, the column's spelling of a word, or the id in a name.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A decimal number, in thousandths.
    Decimal(i128),
    /// Seconds since 1970 and nanoseconds.
    Timestamp(i64, i32),
    /// The UUID in a name.
    Uuid(Uuid),
}

impl Value {
    /// A decimal number in thousandths.
    #[must_use]
    pub fn thousandths(thousandths: i64) -> Self {
        Self::Decimal(i128::from(thousandths))
    }

    /// Parses a literal for this kind of field; the error says what is allowed.
    pub(super) fn read(kind: Kind, literal: &str) -> Result<Self, String> {
        let wrong = |wanted: &str| format!("{} is not {wanted}", quoted(literal));
        match kind {
            Kind::Text => Ok(Self::Text(literal.to_owned())),
            Kind::Integer => literal.parse().map(Self::Integer).map_err(|_| wrong("a whole number")),
            Kind::Decimal(_) => decimal(literal)
                .map(Self::Decimal)
                .ok_or_else(|| wrong("a number such as 20 or 19.99, with at most 3 digits after the point")),
            Kind::Timestamp => timestamp(literal).ok_or_else(|| wrong("a time such as \"2026-01-31T12:00:00Z\"")),
            Kind::Choice { prefix, values } => choice(prefix, values, literal),
            Kind::Name { collection } => id_of(collection, literal)
                .map(|id| Self::Text(id.to_owned()))
                .ok_or_else(|| wrong(&format!("a name such as {collection}/{{id}}"))),
            Kind::UuidName { collection } => id_of(collection, literal)
                .and_then(|id| Uuid::try_parse(id).ok())
                .map(Self::Uuid)
                .ok_or_else(|| wrong(&format!("a name such as {collection}/{{uuid}}"))),
        }
    }

    /// The value as the text of a parameter.
    pub(super) fn parameter(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(thousandths) => thousandths.to_string(),
            Self::Timestamp(seconds, nanos) => Timestamp { seconds: *seconds, nanos: *nanos }.to_string(),
            Self::Uuid(id) => id.to_string(),
        }
    }

    /// The order of two values; `None` if they are of different kinds.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Decimal(a), Self::Decimal(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a, an), Self::Timestamp(b, bn)) => Some((a, an).cmp(&(b, bn))),
            (Self::Uuid(a), Self::Uuid(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Uuid(id)
    }
}

impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Self {
        let Timestamp { seconds, nanos } = time.into();
        Self::Timestamp(seconds, nanos)
    }
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        Self::Decimal(i128::from(amount.minor) * i128::from(thousandths_in_minor(amount.currency.minor_in_unit())))
    }
}

/// Thousandths of a unit in its minor unit.
pub(super) fn thousandths_in_minor(minor_in_unit: i64) -> i64 {
    1_000 / minor_in_unit
}

fn decimal(literal: &str) -> Option<i128> {
    let (negative, digits) = match literal.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, literal),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || whole.len() > WHOLE_DIGITS || fraction.len() > DIGITS {
        return None;
    }
    let number: i128 = format!("{whole}{fraction:0<DIGITS$}").parse().ok()?;
    Some(if negative { -number } else { number })
}

fn timestamp(literal: &str) -> Option<Value> {
    // A date means its midnight in UTC; a time needs an offset, as in RFC 3339.
    let Timestamp { seconds, nanos } = literal.parse().ok()?;
    let complete = literal.len() == "2026-01-31".len() || literal.ends_with(['Z', 'z']) || has_offset(literal);
    (complete && SECONDS.contains(&seconds) && (0..1_000_000_000).contains(&nanos))
        .then_some(Value::Timestamp(seconds, nanos))
}

fn has_offset(literal: &str) -> bool {
    let tail = literal.len().checked_sub("+00:00".len()).and_then(|at| literal.get(at..));
    tail.is_some_and(|tail| tail.starts_with(['+', '-']) && tail.as_bytes().get(3) == Some(&b':'))
}

fn choice(prefix: &str, values: &'static [(&str, &str)], literal: &str) -> Result<Value, String> {
    let word = literal.strip_prefix(prefix).unwrap_or(literal);
    if let Some((_, stored)) = values.iter().find(|(known, _)| *known == word) {
        return Ok((*stored).into());
    }
    let words: Vec<&str> = values.iter().map(|(known, _)| *known).collect();
    Err(match closest(&word.to_uppercase(), &words) {
        Some(meant) => format!("unknown value {}; did you mean {meant}? Values: {}", quoted(literal), words.join(", ")),
        None => format!("unknown value {}; use one of {}", quoted(literal), words.join(", ")),
    })
}

fn id_of<'a>(collection: &str, name: &'a str) -> Option<&'a str> {
    let id = name.strip_prefix(collection)?.strip_prefix('/')?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::schema::Scale;
    use super::*;

    const MONEY: Kind = Kind::Decimal(Scale::Digits(2));

    #[test]
    fn decimals_are_read_to_the_thousandth() {
        for (literal, thousandths) in [("20", 20_000), ("19.99", 19_990), ("-0.5", -500), ("0.001", 1), ("007", 7_000)]
        {
            assert_eq!(Value::read(MONEY, literal), Ok(Value::Decimal(thousandths)), "{literal}");
        }
        for literal in ["", ".", "1.", ".5", "1.2345", "1e3", "+1", "--1", "1,5", "1234567890123456", "NaN"] {
            assert!(Value::read(MONEY, literal).is_err(), "{literal}");
        }
    }

    #[test]
    fn times_need_an_offset_and_a_date_is_its_midnight() {
        let read = |literal| Value::read(Kind::Timestamp, literal);
        assert_eq!(read("2026-01-01T00:00:00Z"), Ok(Value::Timestamp(1_767_225_600, 0)));
        assert_eq!(read("2026-01-01"), read("2026-01-01T00:00:00Z"));
        assert_eq!(read("2026-01-01T01:30:00+01:30"), read("2026-01-01T00:00:00.000Z"));
        for literal in ["", "yesterday", "2026-13-01", "2026-01-01T00:00:00", "20000-01-01T00:00:00Z", "1767225600"] {
            assert!(read(literal).is_err(), "{literal}");
        }
    }

    #[test]
    fn words_may_carry_the_prefix_of_their_enum() {
        let role = Kind::Choice { prefix: "ROLE_", values: &[("OPERATOR", "operator"), ("CUSTOMER", "customer")] };
        assert_eq!(Value::read(role, "OPERATOR"), Ok("operator".into()));
        assert_eq!(Value::read(role, "ROLE_OPERATOR"), Ok("operator".into()));
        let wrong = Value::read(role, "operators").expect_err("no such role");
        assert_eq!(wrong, r#"unknown value "operators"; did you mean OPERATOR? Values: OPERATOR, CUSTOMER"#);
    }

    #[test]
    fn names_are_read_to_their_ids() {
        let products = Kind::Name { collection: "products" };
        assert_eq!(Value::read(products, "products/tea"), Ok("tea".into()));
        for name in ["tea", "products", "products/", "products/a/b", "orders/tea"] {
            assert!(Value::read(products, name).is_err(), "{name}");
        }
        let orders = Kind::UuidName { collection: "orders" };
        let id = Uuid::from_u128(7);
        assert_eq!(Value::read(orders, &format!("orders/{id}")), Ok(id.into()));
        assert!(Value::read(orders, "orders/7").is_err());
    }

    #[test]
    fn money_compares_across_currencies_as_it_is_written() {
        let amount = |minor, code| {
            Value::from(Amount { minor, currency: flotilla_money::Currency::parse(code).expect("known") })
        };
        assert_eq!(amount(2_000, "USD"), amount(20, "JPY"));
        assert_eq!(amount(20_000, "KWD"), Value::thousandths(20_000));
    }
}
