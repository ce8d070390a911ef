//! `google.type.Money` and the fleet's own [`Amount`].

use flotilla_money::{Amount, MoneyError};

use crate::google::r#type::Money;

impl TryFrom<&Money> for Amount {
    type Error = MoneyError;

    fn try_from(money: &Money) -> Result<Self, MoneyError> {
        Self::from_units(&money.currency_code, money.units, money.nanos)
    }
}

impl From<Amount> for Money {
    fn from(amount: Amount) -> Self {
        let (units, nanos) = amount.units();
        Self { currency_code: amount.currency.code().to_owned(), units, nanos }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_money::Currency;

    use super::*;

    #[test]
    fn an_amount_survives_the_wire() {
        for (code, minor) in [("USD", 1234), ("USD", -5), ("JPY", 7), ("KWD", 1001)] {
            let amount = Amount { minor, currency: Currency::parse(code).expect("known") };
            assert_eq!(Amount::try_from(&Money::from(amount)), Ok(amount));
        }
    }
}
