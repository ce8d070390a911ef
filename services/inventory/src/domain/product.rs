//! Products: their ids, their details, and how those change.

use std::fmt;
use std::time::SystemTime;

use flotilla_money::Amount;

use super::text;

/// Maximum length of an id, in bytes.
const MAX_ID: usize = 63;

/// The id of a product: 1 to 63 of `a-z`, `0-9`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductId(String);

impl ProductId {
    /// Parses an id; `None` if it is invalid.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let fits = (1..=MAX_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
        fits.then(|| Self(id.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The details of a product that operators set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Display name.
    pub display_name: String,
    /// Description.
    pub description: String,
    /// Price of one unit.
    pub price: Amount,
}

/// A stored product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its details.
    pub details: Details,
    /// The version: counts the changes, from 1.
    pub version: i64,
    /// When it was added.
    pub created_at: SystemTime,
    /// When it was last changed.
    pub updated_at: SystemTime,
}

/// Fields to change; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// New name.
    pub display_name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New price.
    pub price: Option<Amount>,
}

impl Patch {
    /// Every invalid field, with the reason.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Some(Err(fault)) = self.display_name.as_ref().map(|name| text::required(name)) {
            faults.push(("display_name", fault.to_string()));
        }
        if let Some(Err(fault)) = self.description.as_ref().map(|text| text::lines(text)) {
            faults.push(("description", fault.to_string()));
        }
        if self.price.is_some_and(|price| price.minor < 0) {
            faults.push(("price", "must not be negative".to_owned()));
        }
        faults
    }

    /// The details with the changes applied.
    #[must_use]
    pub fn apply(&self, details: &Details) -> Details {
        Details {
            display_name: self.display_name.clone().unwrap_or_else(|| details.display_name.clone()),
            description: self.description.clone().unwrap_or_else(|| details.description.clone()),
            price: self.price.unwrap_or(details.price),
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_money::Currency;

    use super::*;

    fn usd(minor: i64) -> Amount {
        Amount { minor, currency: Currency::parse("USD").expect("known") }
    }

    #[test]
    fn ids_are_short_and_plain() {
        for id in ["a", "tea-1", "a_b", &"x".repeat(63)] {
            assert!(ProductId::parse(id).is_some(), "{id}");
        }
        for id in ["", "Tea", "tea 1", "té", "a/b", "a\0", &"x".repeat(64)] {
            assert!(ProductId::parse(id).is_none(), "{id}");
        }
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let details = Details { display_name: "Tea".into(), description: "Green".into(), price: usd(100) };
        let patch = Patch { price: Some(usd(120)), ..Patch::default() };
        assert_eq!(patch.apply(&details), Details { price: usd(120), ..details.clone() });
        assert_eq!(Patch::default().apply(&details), details);
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let patch =
            Patch { display_name: Some(" ".into()), description: Some("bell\u{7}".into()), price: Some(usd(-1)) };
        let fields: Vec<_> = patch.faults().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["display_name", "description", "price"]);
    }
}
