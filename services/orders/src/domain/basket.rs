//! A customer's request: lines by product, the request's key and the total that the customer was shown.
//!
//! The contract limits lines, units and characters; these limits are checked earlier.

use std::collections::BTreeMap;

use flotilla_money::Amount;
use flotilla_proto::{google::r#type::Money, orders::v1::PlaceOrderRequest};
use sha2::{Digest as _, Sha256};

/// A request that can't become an order, whatever the catalogue contains. Names the field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {description}")]
pub struct BasketError {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// One product of a basket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BasketLine {
    /// Last part of the product's name.
    pub product_id: String,
    /// Units; at least 1.
    pub quantity: i64,
    /// Index of the product's first line in the request.
    pub position: usize,
}

/// A parsed request: at least one line, one per product, sorted by product.
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
    /// Parses a request of at most `max_lines` lines.
    ///
    /// # Errors
    /// [`BasketError`] names the first invalid field.
    pub fn read(request: &PlaceOrderRequest, max_lines: usize) -> Result<Self, BasketError> {
        if request.lines.len() > max_lines {
            return Err(invalid("lines", format!("must have at most {max_lines} items")));
        }
        let mut merged: BTreeMap<&str, BasketLine> = BTreeMap::new();
        for (position, line) in request.lines.iter().enumerate() {
            let id = product_id(&line.product)
                .ok_or_else(|| invalid(format!("lines[{position}].product"), "must look like products/{product}"))?;
            let entry =
                merged.entry(id).or_insert_with(|| BasketLine { product_id: id.to_owned(), quantity: 0, position });
            entry.quantity = entry.quantity.saturating_add(line.quantity);
        }
        Ok(Self {
            request_id: request.request_id.clone(),
            lines: merged.into_values().collect(),
            expected_total: request.expected_total.as_ref().map(expected_total).transpose()?,
        })
    }

    /// Distinguishes requests with the same key: the same for the same products, units and expected total.
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

/// The last part of a product's resource name.
fn product_id(name: &str) -> Option<&str> {
    name.strip_prefix("products/").filter(|id| !id.is_empty())
}

fn expected_total(money: &Money) -> Result<Amount, BasketError> {
    Amount::try_from(money).map_err(|error| invalid("expected_total", error.to_string()))
}

fn invalid(field: impl Into<String>, description: impl Into<String>) -> BasketError {
    BasketError { field: field.into(), description: description.into() }
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
        match Basket::read(request, 500) {
            Err(BasketError { field, .. }) => field,
            other => panic!("expected a bad field, got {other:?}"),
        }
    }

    #[test]
    fn lines_of_one_product_are_added_up_and_sorted() {
        let basket = Basket::read(&request(&[("products/b", 1), ("products/a", 2), ("products/b", 3)]), 500).unwrap();
        let lines: Vec<_> =
            basket.lines.iter().map(|line| (line.product_id.as_str(), line.quantity, line.position)).collect();
        assert_eq!(lines, [("a", 2, 1), ("b", 4, 0)]);
    }

    #[test]
    fn what_is_no_product_is_named() {
        for name in ["", "a", "products/", "product/a"] {
            assert_eq!(field(&request(&[("products/a", 1), (name, 1)])), "lines[1].product", "{name}");
        }
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
    fn the_fingerprint_distinguishes_bodies_but_not_their_order() {
        let print = |lines: &[(&str, i64)]| Basket::read(&request(lines), 500).unwrap().fingerprint();
        assert_eq!(print(&[("products/a", 1), ("products/b", 2)]), print(&[("products/b", 2), ("products/a", 1)]));
        assert_ne!(print(&[("products/a", 1)]), print(&[("products/a", 2)]));
        assert_ne!(print(&[("products/a", 1)]), print(&[("products/b", 1)]));
        let money = Money { currency_code: "USD".into(), units: 1, nanos: 0 };
        let shown = PlaceOrderRequest { expected_total: Some(money), ..request(&[("products/a", 1)]) };
        assert_ne!(Basket::read(&shown, 500).unwrap().fingerprint(), print(&[("products/a", 1)]));
    }
}
