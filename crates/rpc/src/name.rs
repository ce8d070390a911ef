//! Resource names: `users/{id}`, `users/{id}/orders/{id}`.

use std::fmt::Display;

use uuid::Uuid;

use crate::{RpcError, invalid};

/// Longest resource id in bytes.
const MAX_ID: usize = 128;

/// The name of `id` in `collection`: `orders/1`.
pub fn of(collection: &str, id: impl Display) -> String {
    format!("{collection}/{id}")
}

/// The id in `value`, which must be `collection/{id}`.
///
/// # Errors
/// `INVALID_ARGUMENT` naming `field`.
pub fn parse(field: &str, collection: &str, value: &str) -> Result<String, RpcError> {
    let [id] = parse_path(field, [collection], value)?;
    Ok(id)
}

/// The id in `value`, which must be `collection/{uuid}`.
///
/// # Errors
/// `INVALID_ARGUMENT` naming `field`.
pub fn parse_uuid(field: &str, collection: &str, value: &str) -> Result<Uuid, RpcError> {
    let id = parse(field, collection, value)?;
    Uuid::try_parse(&id).map_err(|_| invalid(field, format!("must be {collection}/{{uuid}}")))
}

/// The ids in `value`, which must be `a/{id}/b/{id}` for the collections `["a", "b"]`.
///
/// # Errors
/// `INVALID_ARGUMENT` naming `field`.
pub fn parse_path<const N: usize>(field: &str, collections: [&str; N], value: &str) -> Result<[String; N], RpcError> {
    let wrong = || {
        let pattern: Vec<_> = collections.iter().map(|collection| format!("{collection}/{{id}}")).collect();
        invalid(field, format!("must be {}", pattern.join("/")))
    };
    let mut segments = value.split('/');
    let mut ids = [const { String::new() }; N];
    for (collection, slot) in collections.iter().zip(&mut ids) {
        if segments.next() != Some(*collection) {
            return Err(wrong());
        }
        *slot = segments.next().filter(|id| is_id(id)).ok_or_else(wrong)?.to_owned();
    }
    if segments.next().is_some() {
        return Err(wrong());
    }
    Ok(ids)
}

/// Letters, digits, `-`, `_`, `.` and `~`, at most 128.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_ID
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_parsed_from_a_name() {
        let id = Uuid::from_u128(7);
        assert_eq!(parse_uuid("name", "users", &of("users", id)).unwrap(), id);
        assert_eq!(parse("name", "products", "products/tea-1").unwrap(), "tea-1");
        let [user, order] = parse_path("name", ["users", "orders"], "users/1/orders/2").unwrap();
        assert_eq!((user.as_str(), order.as_str()), ("1", "2"));
    }

    #[test]
    fn an_invalid_name_is_refused_by_field() {
        for value in ["", "users", "users/", "orders/1", "users/1/2", "users/a b", "/users/1", "users/1/"] {
            let error = parse("user", "users", value).unwrap_err();
            assert_eq!(error.violations()[0].0, "user", "{value}");
        }
        assert!(parse("user", "users", &format!("users/{}", "x".repeat(129))).is_err());
        assert!(parse_uuid("user", "users", "users/7").is_err());
    }
}
