//! The price of a basket: prices come from the catalogue and are frozen when the order is placed.

use flotilla_money::{Amount, Currency};

use super::basket::{Basket, BasketLine};

/// A line with its frozen price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PricedLine {
    /// Last part of the product's name.
    pub product_id: String,
    /// Units.
    pub quantity: i64,
    /// Price of one unit in minor units of the order's currency.
    pub unit_price_minor: i64,
}

/// A basket with its prices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Priced {
    /// The lines, by product.
    pub lines: Vec<PricedLine>,
    /// Their sum.
    pub total: Amount,
}

/// Why a basket can't be priced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PricingError {
    /// The catalogue doesn't know these products.
    #[error("{} of the products are not in the catalogue", .0.len())]
    UnknownProducts(Vec<BasketLine>),
    /// The products are priced in several currencies.
    #[error("the products are priced in {} and {}", .0.code(), .1.code())]
    MixedCurrencies(Currency, Currency),
    /// The sum exceeds 64 bits of minor units.
    #[error("the total is too large")]
    TotalTooLarge,
    /// The total isn't the one that the customer was shown.
    #[error("the total is {0}, not what was expected")]
    TotalChanged(Amount),
}

/// Prices a basket; `price_of` is the catalogue.
///
/// # Errors
/// [`PricingError`]; unknown products are reported first, and all at once, so that they can be looked up.
pub fn price(basket: &Basket, price_of: impl Fn(&str) -> Option<Amount>) -> Result<Priced, PricingError> {
    let prices: Vec<Option<Amount>> = basket.lines.iter().map(|line| price_of(&line.product_id)).collect();
    let unknown: Vec<BasketLine> =
        basket.lines.iter().zip(&prices).filter(|(_, price)| price.is_none()).map(|(line, _)| line.clone()).collect();
    let mut lines = Vec::with_capacity(basket.lines.len());
    let mut total: Option<Amount> = None;
    for (line, unit) in basket.lines.iter().zip(prices.into_iter().flatten()) {
        if !unknown.is_empty() {
            break;
        }
        total = Some(add(total, line.quantity, unit)?);
        lines.push(PricedLine {
            product_id: line.product_id.clone(),
            quantity: line.quantity,
            unit_price_minor: unit.minor,
        });
    }
    let Some(total) = total else { return Err(PricingError::UnknownProducts(unknown)) };
    match basket.expected_total {
        Some(expected) if expected != total => Err(PricingError::TotalChanged(total)),
        _ => Ok(Priced { lines, total }),
    }
}

fn add(sum: Option<Amount>, quantity: i64, unit: Amount) -> Result<Amount, PricingError> {
    let line = unit.minor.checked_mul(quantity).ok_or(PricingError::TotalTooLarge)?;
    let Some(sum) = sum else { return Ok(Amount { minor: line, currency: unit.currency }) };
    if sum.currency != unit.currency {
        return Err(PricingError::MixedCurrencies(sum.currency, unit.currency));
    }
    let minor = sum.minor.checked_add(line).ok_or(PricingError::TotalTooLarge)?;
    Ok(Amount { minor, currency: sum.currency })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(code: &str, minor: i64) -> Amount {
        Amount { minor, currency: Currency::parse(code).unwrap() }
    }

    fn basket(lines: &[(&str, i64)], expected_total: Option<Amount>) -> Basket {
        let lines = lines
            .iter()
            .enumerate()
            .map(|(position, (id, quantity))| BasketLine { product_id: (*id).into(), quantity: *quantity, position })
            .collect();
        Basket { request_id: "key".into(), lines, expected_total }
    }

    fn catalogue(id: &str) -> Option<Amount> {
        Some(match id {
            "apple" => amount("USD", 25),
            "free" => amount("USD", 0),
            "gold" => amount("USD", i64::MAX),
            "tea" => amount("GBP", 300),
            _ => return None,
        })
    }

    #[test]
    fn the_total_is_the_sum_of_the_lines() {
        let priced = price(&basket(&[("apple", 4), ("free", 9)], None), catalogue).unwrap();
        assert_eq!(priced.total, amount("USD", 100));
        assert_eq!(priced.lines[0].unit_price_minor, 25);
    }

    #[test]
    fn all_unknown_products_are_named_at_once_before_anything_else() {
        let lines = [("gold", 2), ("ghost", 1), ("tea", 1), ("wraith", 1)];
        let Err(PricingError::UnknownProducts(unknown)) = price(&basket(&lines, None), catalogue) else { panic!() };
        assert_eq!(unknown.iter().map(|line| line.position).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn an_overflow_is_refused_within_a_line_and_between_lines() {
        assert_eq!(price(&basket(&[("gold", 2)], None), catalogue), Err(PricingError::TotalTooLarge));
        assert_eq!(price(&basket(&[("gold", 1), ("apple", 1)], None), catalogue), Err(PricingError::TotalTooLarge));
        assert!(price(&basket(&[("gold", 1)], None), catalogue).is_ok());
    }

    #[test]
    fn currencies_do_not_mix() {
        let mixed = price(&basket(&[("apple", 1), ("tea", 1)], None), catalogue);
        assert!(matches!(mixed, Err(PricingError::MixedCurrencies(..))));
    }

    #[test]
    fn an_expected_total_must_be_met_in_amount_and_currency() {
        let shown = |expected| price(&basket(&[("apple", 2)], Some(expected)), catalogue);
        assert!(shown(amount("USD", 50)).is_ok());
        assert_eq!(shown(amount("USD", 49)), Err(PricingError::TotalChanged(amount("USD", 50))));
        assert_eq!(shown(amount("EUR", 50)), Err(PricingError::TotalChanged(amount("USD", 50))));
    }
}
