//! Conversions from the contract to the domain, with the checks that the contract's rules can't express.

use flotilla_money::Amount;
use flotilla_proto::payments::v1::TopUpAccountRequest;
use flotilla_rpc::{RpcError, Violations, invalid, name};
use uuid::Uuid;

use super::convert::ACCOUNTS;
use crate::domain::{MAX_BALANCE_MINOR, TopUp};

/// Parses the account in a resource name.
///
/// # Errors
/// `INVALID_ARGUMENT` with the field.
pub fn account(field: &str, value: &str) -> Result<Uuid, RpcError> {
    name::parse_uuid(field, ACCOUNTS, value)
}

/// Parses a top-up and checks what can be checked without its account.
///
/// # Errors
/// `INVALID_ARGUMENT` with all invalid fields.
pub fn top_up(request: TopUpAccountRequest) -> Result<TopUp, RpcError> {
    let mut violations = Violations::new();
    let customer = violations.take(account("name", &request.name));
    let amount = violations.take(amount(&request));
    let (Some(customer), Some(amount)) = (customer, amount) else {
        return Err(violations.finish().err().unwrap_or_else(RpcError::internal));
    };
    Ok(TopUp { customer, request_id: request.request_id, amount })
}

fn amount(request: &TopUpAccountRequest) -> Result<Amount, RpcError> {
    let money = request.amount.as_ref().ok_or_else(|| invalid("amount", "must be set"))?;
    let amount = Amount::try_from(money).map_err(|error| invalid("amount", error.to_string()))?;
    if amount.minor <= 0 {
        return Err(invalid("amount", "must be positive"));
    }
    if amount.minor > MAX_BALANCE_MINOR {
        return Err(invalid("amount", "is too large"));
    }
    Ok(amount)
}

#[cfg(test)]
mod tests {
    use flotilla_proto::google::r#type::Money;
    use tonic::Code;

    use super::*;

    fn request() -> TopUpAccountRequest {
        TopUpAccountRequest {
            name: format!("accounts/{}", Uuid::from_u128(7)),
            amount: Some(money("USD", 12, 340_000_000)),
            request_id: "k".into(),
        }
    }

    fn money(code: &str, units: i64, nanos: i32) -> Money {
        Money { currency_code: code.into(), units, nanos }
    }

    fn fields(request: TopUpAccountRequest) -> Vec<String> {
        let error = top_up(request).expect_err("a bad request");
        assert_eq!(error.code(), Code::InvalidArgument);
        error.violations().iter().map(|(field, _)| field.clone()).collect()
    }

    #[test]
    fn a_sound_request_is_read_to_the_cent() {
        let top_up = top_up(request()).expect("sound");
        assert_eq!((top_up.customer, top_up.amount.minor), (Uuid::from_u128(7), 1_234));
    }

    #[test]
    fn every_kind_of_bad_money_is_refused_by_field() {
        let bad = [
            None,
            Some(money("USD", 0, 0)),
            Some(money("USD", -1, 0)),
            Some(money("USD", 1, -1)),
            Some(money("USD", 0, 1)),
            Some(money("usd", 1, 0)),
            Some(money("", 1, 0)),
            Some(money("USD", i64::MAX, 0)),
            Some(money("USD", i64::MIN, 0)),
            Some(money("USD", MAX_BALANCE_MINOR / 100 + 1, 0)),
            Some(money("USD", 0, i32::MAX)),
        ];
        for amount in bad {
            assert_eq!(fields(TopUpAccountRequest { amount: amount.clone(), ..request() }), ["amount"], "{amount:?}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let bad = TopUpAccountRequest { name: "accounts/x".into(), amount: None, ..request() };
        assert_eq!(fields(bad), ["name", "amount"]);
    }
}
