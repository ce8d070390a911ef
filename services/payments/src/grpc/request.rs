//! From the contract to the domain: requests are checked whole, so that a client learns of all its mistakes at once.

use flotilla_proto::{money::Amount, payments::v1::TopUpAccountRequest};
use flotilla_rpc::{RpcError, Violations, invalid, name};
use tonic::Code;
use uuid::Uuid;

use super::convert::ACCOUNTS;
use crate::domain::{MAX_BALANCE_MINOR, TopUp};

/// Longest request id, in characters.
const MAX_REQUEST_ID: usize = 128;
/// What a request id has to be.
const REQUEST_ID: &str = "must be 1 to 128 characters long, none of them control characters";

/// The account in a resource name.
///
/// # Errors
/// `INVALID_ARGUMENT` naming the field.
pub fn account(field: &str, value: &str) -> Result<Uuid, RpcError> {
    name::parse_uuid(field, ACCOUNTS, value)
}

/// A top-up, checked as far as it can be without its account.
///
/// # Errors
/// `INVALID_ARGUMENT` naming every field at fault.
pub fn top_up(request: TopUpAccountRequest) -> Result<TopUp, RpcError> {
    let mut violations = Violations::new();
    let customer = violations.take(account("name", &request.name));
    let amount = violations.take(amount(&request));
    violations.check(plausible(&request.request_id), "request_id", REQUEST_ID);
    let (Some(customer), Some(amount)) = (customer, amount) else {
        return Err(violations.finish().err().unwrap_or_else(RpcError::internal));
    };
    if request.request_id.is_empty() {
        return Err(RpcError::new(Code::InvalidArgument, "REQUEST_ID_MISSING", "request_id: must be set")
            .field("request_id", "must be set"));
    }
    violations.finish()?;
    Ok(TopUp { customer, request_id: request.request_id, amount })
}

fn amount(request: &TopUpAccountRequest) -> Result<Amount, RpcError> {
    let money = request.amount.as_ref().ok_or_else(|| invalid("amount", "must be set"))?;
    let amount = Amount::from_proto(money).map_err(|error| invalid("amount", error.to_string()))?;
    if amount.minor <= 0 {
        return Err(invalid("amount", "must be positive"));
    }
    if amount.minor > MAX_BALANCE_MINOR {
        return Err(invalid("amount", "is too large"));
    }
    Ok(amount)
}

fn plausible(request_id: &str) -> bool {
    let length = request_id.chars().take(MAX_REQUEST_ID + 1).count();
    (1..=MAX_REQUEST_ID).contains(&length) && !request_id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use flotilla_proto::google::r#type::Money;

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
    fn all_mistakes_are_told_at_once_and_a_missing_key_has_its_own_reason() {
        assert_eq!(fields(TopUpAccountRequest::default()), ["name", "amount", "request_id"]);
        assert_eq!(fields(TopUpAccountRequest { request_id: "\0".into(), ..request() }), ["request_id"]);
        assert_eq!(fields(TopUpAccountRequest { request_id: "k".repeat(129), ..request() }), ["request_id"]);
        let missing = top_up(TopUpAccountRequest { request_id: String::new(), ..request() }).expect_err("no key");
        assert_eq!(missing.reason(), "REQUEST_ID_MISSING");
    }
}
