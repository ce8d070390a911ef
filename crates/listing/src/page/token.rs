//! Page tokens: opaque, signed, and bound to the query that they continue.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use flotilla_rpc::{RpcError, invalid};

/// Bytes of the signature that a token carries.
const MAC: usize = 16;
/// Maximum length of a token that is decoded.
const MAX_TOKEN: usize = 2048;

/// Signs and checks page tokens with one key. All replicas of a service share the key.
#[derive(Clone)]
pub struct PageTokens {
    mac: Hmac<Sha256>,
}

impl PageTokens {
    /// Tokens signed with `key`, which may have any length (32 random bytes are good).
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self { mac: Hmac::new_from_slice(key.as_ref()).expect("HMAC takes keys of any length") }
    }

    /// A token that continues after `cursor` in the query that `query` identifies (method, filter, order and owner;
    /// see [`fingerprint`]).
    pub fn sign<T: Serialize>(&self, cursor: &T, query: &str) -> String {
        let payload = serde_json::to_vec(cursor).expect("a cursor is plain data");
        let mut token = self.mac(&payload, query).to_vec();
        token.extend_from_slice(&payload);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The cursor in `token`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `page_token` if the token isn't ours, was changed or belongs to another query.
    pub fn verify<T: DeserializeOwned>(&self, token: &str, query: &str) -> Result<T, RpcError> {
        let wrong = || invalid("page_token", "invalid page token: use a next_page_token as it was returned");
        let other = || invalid("page_token", "invalid page token: it belongs to another query");
        if token.len() > MAX_TOKEN {
            return Err(wrong());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
        let (mac, payload) = bytes.split_at_checked(MAC).ok_or_else(wrong)?;
        self.start(payload, query).verify_truncated_left(mac).map_err(|_| other())?;
        serde_json::from_slice(payload).map_err(|_| wrong())
    }

    /// As [`verify`](Self::verify), with `None` for the empty token of a first page.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn resume<T: DeserializeOwned>(&self, token: &str, query: &str) -> Result<Option<T>, RpcError> {
        if token.is_empty() { Ok(None) } else { self.verify(token, query).map(Some) }
    }

    /// Cuts `rows`, of which one more than `size` was asked for, to a page. Returns the token of the next page, made of
    /// the `cursor` of the last row; the empty token after the last page.
    pub fn cut<R, C: Serialize>(
        &self,
        rows: &mut Vec<R>,
        size: u32,
        query: &str,
        cursor: impl FnOnce(&R) -> C,
    ) -> String {
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        match rows.last() {
            Some(last) if more => self.sign(&cursor(last), query),
            _ => String::new(),
        }
    }

    fn start(&self, payload: &[u8], query: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        // The length distinguishes (query, payload) pairs that are the same when joined.
        mac.update(&(query.len() as u64).to_be_bytes());
        mac.update(query.as_bytes());
        mac.update(payload);
        mac
    }

    fn mac(&self, payload: &[u8], query: &str) -> [u8; MAC] {
        let full = self.start(payload, query).finalize().into_bytes();
        let mut mac = [0; MAC];
        mac.copy_from_slice(&full[..MAC]);
        mac
    }
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageTokens")
    }
}

/// Joins the parts of a query to one string; different lists of parts give different strings.
pub fn fingerprint(parts: &[&str]) -> String {
    let mut joined = String::new();
    for part in parts {
        joined.push_str(&part.len().to_string());
        joined.push(':');
        joined.push_str(part);
    }
    joined
}

/// The page size to use: `default` for 0, at most `max`.
///
/// # Errors
/// `INVALID_ARGUMENT` naming `page_size` if it is negative.
pub fn size(requested: i32, default: u32, max: u32) -> Result<u32, RpcError> {
    match u32::try_from(requested) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(max)),
        Err(_) => Err(invalid("page_size", "must not be negative")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_contains_its_cursor() {
        let tokens = PageTokens::new(b"key");
        let query = fingerprint(&["ListOrders", "user 1"]);
        let token = tokens.sign(&(7_u64, "x"), &query);
        assert_eq!(tokens.verify::<(u64, String)>(&token, &query).unwrap(), (7, "x".to_owned()));
        assert_eq!(tokens.resume::<(u64, String)>("", &query).unwrap(), None);
    }

    #[test]
    fn a_token_of_another_query_or_key_is_refused() {
        let tokens = PageTokens::new(b"key");
        let token = tokens.sign(&7_u64, "a");
        assert!(tokens.verify::<u64>(&token, "b").is_err());
        assert!(PageTokens::new(b"other").verify::<u64>(&token, "a").is_err());
    }

    #[test]
    fn a_changed_token_is_refused_by_field() {
        let tokens = PageTokens::new(b"key");
        let token = tokens.sign(&7_u64, "a");
        for position in 0..token.len() - 1 {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(tokens.verify::<u64>(&changed, "a").is_err(), "{changed}");
        }
        for rubbish in ["x", "!!", "", &"A".repeat(3000)] {
            assert_eq!(tokens.verify::<u64>(rubbish, "a").unwrap_err().violations()[0].0, "page_token");
        }
    }

    #[test]
    fn a_page_has_a_token_only_if_more_follows() {
        let tokens = PageTokens::new(b"key");
        let mut rows = vec![1, 2, 3];
        let token = tokens.cut(&mut rows, 2, "a", |row| *row);
        assert_eq!((rows, tokens.verify::<i32>(&token, "a").unwrap()), (vec![1, 2], 2));
        let mut last = vec![3];
        assert_eq!(tokens.cut(&mut last, 2, "a", |row| *row), "");
        assert_eq!(last, [3]);
    }

    #[test]
    fn fingerprints_distinguish_parts() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }

    #[test]
    fn page_sizes_have_a_default_and_a_maximum() {
        assert_eq!(size(0, 50, 100).unwrap(), 50);
        assert_eq!(size(1000, 50, 100).unwrap(), 100);
        assert!(size(-1, 50, 100).is_err());
    }
}
