//! Money: a currency and a whole number of its minor units.
//!
//! Owns no state and knows no wire format. [`Amount::from_units`] and [`Amount::units`] speak the shape that
//! `google.type.Money` has: whole units and billionths of a unit.

use std::fmt;

/// Billionths in a whole unit.
const NANOS: i64 = 1_000_000_000;

/// Currencies that the fleet knows, with their number of minor digits (ISO 4217).
const CURRENCIES: &[(&str, u32)] = &[
    ("AUD", 2),
    ("BHD", 3),
    ("BRL", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CNY", 2),
    ("CZK", 2),
    ("DKK", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HKD", 2),
    ("HUF", 2),
    ("INR", 2),
    ("ISK", 0),
    ("JPY", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("MXN", 2),
    ("NOK", 2),
    ("NZD", 2),
    ("PLN", 2),
    ("SEK", 2),
    ("SGD", 2),
    ("TRY", 2),
    ("USD", 2),
    ("ZAR", 2),
];

/// A currency that the fleet knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(u8);

impl Currency {
    /// Finds a currency by its ISO 4217 code of three capitals.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let index = CURRENCIES.iter().position(|(known, _)| *known == code)?;
        u8::try_from(index).ok().map(Self)
    }

    /// Every currency that the fleet knows.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(CURRENCIES.len()).map(Self)
    }

    /// The ISO 4217 code.
    #[must_use]
    pub fn code(self) -> &'static str {
        CURRENCIES[usize::from(self.0)].0
    }

    /// Minor units in a whole unit: 100 for most, 1 for yen, 1000 for some dinars.
    #[must_use]
    pub fn minor_in_unit(self) -> i64 {
        10_i64.pow(CURRENCIES[usize::from(self.0)].1)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units of a currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Amount {
    /// Minor units, such as cents.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why units and billionths aren't an amount.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MoneyError {
    /// The currency isn't one of the known.
    #[error("currency code {0:?} is not known")]
    UnknownCurrency(String),
    /// Units and nanos have different signs, or nanos exceed a whole unit.
    #[error("units and nanos must have one sign, and nanos stay below a whole unit")]
    Malformed,
    /// A fraction of a minor unit.
    #[error("the amount is finer than the currency's smallest unit")]
    TooFine,
    /// More than 64 bits of minor units.
    #[error("the amount is too large")]
    TooLarge,
}

impl Amount {
    /// Reads whole units and billionths (`nanos`) of a unit.
    ///
    /// # Errors
    /// [`MoneyError`] says what is wrong with them.
    pub fn from_units(currency_code: &str, units: i64, nanos: i32) -> Result<Self, MoneyError> {
        let currency = Currency::parse(currency_code)
            .ok_or_else(|| MoneyError::UnknownCurrency(currency_code.chars().take(8).collect()))?;
        let nanos = i64::from(nanos);
        let mixed = (units > 0 && nanos < 0) || (units < 0 && nanos > 0);
        if mixed || nanos.abs() >= NANOS {
            return Err(MoneyError::Malformed);
        }
        let nanos_in_minor = NANOS / currency.minor_in_unit();
        if nanos % nanos_in_minor != 0 {
            return Err(MoneyError::TooFine);
        }
        let minor = units
            .checked_mul(currency.minor_in_unit())
            .and_then(|units| units.checked_add(nanos / nanos_in_minor))
            .ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, currency })
    }

    /// Whole units, and billionths of a unit with the same sign.
    #[must_use]
    pub fn units(self) -> (i64, i32) {
        let in_unit = self.currency.minor_in_unit();
        let nanos = (self.minor % in_unit) * (NANOS / in_unit);
        (self.minor / in_unit, i32::try_from(nanos).unwrap_or_default())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_unit = self.currency.minor_in_unit().unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        if in_unit == 1 {
            return write!(f, "{sign}{minor} {}", self.currency.code());
        }
        let digits = in_unit.ilog10() as usize;
        write!(f, "{sign}{}.{:0digits$} {}", minor / in_unit, minor % in_unit, self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_survives_the_way_there_and_back() {
        for (code, minor) in [("USD", 1234), ("USD", -5), ("JPY", 7), ("KWD", 1001), ("EUR", i64::MAX)] {
            let amount = Amount { minor, currency: Currency::parse(code).expect("known") };
            let (units, nanos) = amount.units();
            assert_eq!(Amount::from_units(code, units, nanos), Ok(amount));
        }
    }

    #[test]
    fn bad_money_is_refused_with_its_reason() {
        assert_eq!(Amount::from_units("XXX", 1, 0), Err(MoneyError::UnknownCurrency("XXX".into())));
        assert_eq!(Amount::from_units("USD", 1, -1), Err(MoneyError::Malformed));
        assert_eq!(Amount::from_units("USD", 0, 1), Err(MoneyError::TooFine));
        assert_eq!(Amount::from_units("USD", i64::MAX, 0), Err(MoneyError::TooLarge));
    }

    #[test]
    fn money_prints_with_its_minor_digits() {
        let print = |code, minor| Amount { minor, currency: Currency::parse(code).expect("known") }.to_string();
        assert_eq!(print("USD", -105), "-1.05 USD");
        assert_eq!(print("JPY", 105), "105 JPY");
    }
}
