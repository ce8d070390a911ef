//! What a customer asks for, checked: lines by product, the key of the request and the total that was shown.

use std::collections::BTreeMap;

use flotilla_proto::{google::r#type::Money, money::Amount, orders::v1::PlaceOrderRequest};
use sha2::{Digest as _, Sha256};

/// Most lines of a request.
pub const MAX_LINES: usize = 100;
/// Most units of a line.
pub const MAX_QUANTITY: i64 = 1_000_000;
/// Most characters of a request id.
pub const MAX_REQUEST_ID: usize = 128;
/// Most characters of a product's id.
const MAX_PRODUCT_ID: usize = 63;

/// A request that can't be an order, whatever the catalogue says. Names the field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BasketError {
    /// A field is missing or wrong.
    #[error("{field}: {description}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        description: String,
    },
    /// No key was given, so that a repeat couldn't be told from a second order.
    #[error("request_id: must be given, so that a repeat is told from a second order")]
    RequestIdMissing,
}

/// One product of a basket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BasketLine {
    /// Last part of the product's name.
    pub product_id: String,
    /// Units; at least 1.
    pub quantity: i64,
    /// Where the product stands first in the request.
    pub position: usize,
}

/// A checked request: at least one line, one a product, sorted by product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basket {
    /// The customer's key for this request.
    pub request_id: String,
    /// The lines.
    pub lines: Vec<BasketLine>,
    /// The total that the customer was shown.
    pub expected_total: Option<Amount>,
}

impl Basket {
    /// Checks a request.
    ///
    /// # Errors
    /// [`BasketError`] names the first field that is wrong.
    pub fn read(request: &PlaceOrderRequest) -> Result<Self, BasketError> {
        check_request_id(&request.request_id)?;
        if request.lines.is_empty() {
            return Err(invalid("lines", "must have at least one line"));
        }
        if request.lines.len() > MAX_LINES {
            return Err(invalid(
                "lines",
                format!("has {} lines; at most {MAX_LINES} are allowed", request.lines.len()),
            ));
        }
        let mut merged: BTreeMap<&str, BasketLine> = BTreeMap::new();
        for (position, line) in request.lines.iter().enumerate() {
            let id = product_id(&line.product)
                .ok_or_else(|| invalid(format!("lines[{position}].product"), "must look like products/{product}"))?;
            if !(1..=MAX_QUANTITY).contains(&line.quantity) {
                let description = format!("must be 1 to {MAX_QUANTITY}, but is {}", line.quantity);
                return Err(invalid(format!("lines[{position}].quantity"), description));
            }
            let entry =
                merged.entry(id).or_insert_with(|| BasketLine { product_id: id.to_owned(), quantity: 0, position });
            entry.quantity += line.quantity;
        }
        Ok(Self {
            request_id: request.request_id.clone(),
            lines: merged.into_values().collect(),
            expected_total: request.expected_total.as_ref().map(expected_total).transpose()?,
        })
    }

    /// Tells requests apart that come under one key: the same for the same products, units and expected total.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for line in &self.lines {
            hash.update(line.product_id.as_bytes());
            hash.update([0]);
            hash.update(line.quantity.to_be_bytes());
        }
        if let Some(total) = self.expected_total {
            hash.update([1]);
            hash.update(total.currency.code().as_bytes());
            hash.update(total.minor.to_be_bytes());
        }
        hash.finalize().into()
    }
}

fn check_request_id(request_id: &str) -> Result<(), BasketError> {
    if request_id.is_empty() {
        return Err(BasketError::RequestIdMissing);
    }
    if request_id.chars().count() > MAX_REQUEST_ID {
        return Err(invalid("request_id", format!("must have at most {MAX_REQUEST_ID} characters")));
    }
    if request_id.chars().any(char::is_control) {
        return Err(invalid("request_id", "must not have control characters"));
    }
    Ok(())
}

/// The last part of a product's resource name.
fn product_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("products/")?;
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    ((1..=MAX_PRODUCT_ID).contains(&id.len()) && id.bytes().all(legal)).then_some(id)
}

fn expected_total(money: &Money) -> Result<Amount, BasketError> {
    Amount::from_proto(money).map_err(|error| invalid("expected_total", error.to_string()))
}

fn invalid(field: impl Into<String>, description: impl Into<String>) -> BasketError {
    BasketError::Invalid { field: field.into(), description: description.into() }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::orders::v1::PlaceOrderLine;

    use super::*;

    fn request(lines: &[(&str, i64)]) -> PlaceOrderRequest {
        PlaceOrderRequest {
            lines: lines
                .iter()
                .map(|(product, quantity)| PlaceOrderLine { product: (*product).to_owned(), quantity: *quantity })
                .collect(),
            expected_total: None,
            request_id: "key".into(),
        }
    }

    fn field(request: &PlaceOrderRequest) -> String {
        match Basket::read(request) {
            Err(BasketError::Invalid { field, .. }) => field,
            other => panic!("expected a bad field, got {other:?}"),
        }
    }

    #[test]
    fn lines_of_one_product_are_added_up_and_sorted() {
        let basket = Basket::read(&request(&[("products/b", 1), ("products/a", 2), ("products/b", 3)])).unwrap();
        let lines: Vec<_> =
            basket.lines.iter().map(|line| (line.product_id.as_str(), line.quantity, line.position)).collect();
        assert_eq!(lines, [("a", 2, 1), ("b", 4, 0)]);
    }

    #[test]
    fn a_wrong_field_is_named() {
        assert_eq!(field(&request(&[])), "lines");
        assert_eq!(field(&request(&vec![("products/a", 1); 10_000])), "lines");
        assert_eq!(field(&request(&[("products/a", 1), ("products/a", 0)])), "lines[1].quantity");
        assert_eq!(field(&request(&[("products/a", -1)])), "lines[0].quantity");
        assert_eq!(field(&request(&[("products/a", i64::MAX)])), "lines[0].quantity");
        for name in ["", "a", "products/", "products/A", "products/a/b", "product/a", "products/\u{e9}"] {
            assert_eq!(field(&request(&[(name, 1)])), "lines[0].product", "{name}");
        }
        let long = format!("products/{}", "a".repeat(64));
        assert_eq!(field(&request(&[(&long, 1)])), "lines[0].product");
    }

    #[test]
    fn a_request_needs_a_printable_key_of_at_most_128_characters() {
        let with_key = |key: &str| PlaceOrderRequest { request_id: key.into(), ..request(&[("products/a", 1)]) };
        assert_eq!(Basket::read(&with_key("")), Err(BasketError::RequestIdMissing));
        assert_eq!(field(&with_key(&"k".repeat(129))), "request_id");
        assert_eq!(field(&with_key("a\0b")), "request_id");
        assert!(Basket::read(&with_key(&"\u{fc}".repeat(128))).is_ok());
    }

    #[test]
    fn a_bad_expected_total_is_named() {
        let money = Money { currency_code: "???".into(), units: 1, nanos: 0 };
        assert_eq!(
            field(&PlaceOrderRequest { expected_total: Some(money), ..request(&[("products/a", 1)]) }),
            "expected_total"
        );
    }

    #[test]
    fn the_fingerprint_tells_bodies_apart_but_not_their_order() {
        let print = |lines: &[(&str, i64)]| Basket::read(&request(lines)).unwrap().fingerprint();
        assert_eq!(print(&[("products/a", 1), ("products/b", 2)]), print(&[("products/b", 2), ("products/a", 1)]));
        assert_ne!(print(&[("products/a", 1)]), print(&[("products/a", 2)]));
        assert_ne!(print(&[("products/a", 1)]), print(&[("products/b", 1)]));
        let money = Money { currency_code: "USD".into(), units: 1, nanos: 0 };
        let shown = PlaceOrderRequest { expected_total: Some(money), ..request(&[("products/a", 1)]) };
        assert_ne!(Basket::read(&shown).unwrap().fingerprint(), print(&[("products/a", 1)]));
    }
}
