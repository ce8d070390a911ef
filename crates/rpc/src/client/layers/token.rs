//! Adds the channel's token to calls that have none.

use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};

/// `token` as a header. It isn't shown in logs.
///
/// # Errors
/// The token isn't a valid header value.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends the token, unless the call has its own.
pub(crate) fn send_on(authorization: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if let Some(authorization) = authorization
        && !headers.contains_key(AUTHORIZATION)
    {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_sent_unless_the_call_has_its_own() {
        let (one, other) = (bearer("one").unwrap(), bearer("other").unwrap());
        assert!(!format!("{one:?}").contains("one"));
        let mut headers = HeaderMap::new();
        send_on(None, &mut headers);
        assert!(headers.is_empty());
        send_on(Some(&one), &mut headers);
        send_on(Some(&other), &mut headers);
        assert_eq!(headers["authorization"], "Bearer one");
    }
}
