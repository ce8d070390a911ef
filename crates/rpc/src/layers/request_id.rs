//! Request ids: taken from `x-request-id` if it is valid, otherwise generated; returned in the same header.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};
use uuid::Uuid;

use crate::RequestId;

/// The header that carries the id.
pub(crate) static REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Generates ids: a random part for the server and a counter. Cheaper than a random number per call.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub fn new() -> Self {
        // Ids only identify log lines and affect no decision, so their randomness need not be passed in.
        #[allow(clippy::disallowed_methods)]
        let random = Uuid::now_v7().as_u64_pair().1;
        Self { prefix: random, next: AtomicU64::new(0) }
    }

    /// The id that the client sent, or a new one.
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        headers.get(&REQUEST_ID_HEADER).and_then(RequestId::from_header).unwrap_or_else(|| self.make())
    }

    fn make(&self) -> RequestId {
        let id = format!("{:016x}{:08x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        RequestId::new(&id).expect("hexadecimal digits are a valid id")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_valid_id_is_kept_and_an_invalid_one_replaced() {
        let ids = RequestIds::new();
        let mut headers = HeaderMap::new();
        let made = ids.of(&headers);
        assert_eq!(made.as_str().len(), 24);
        assert_ne!(made, ids.of(&headers));
        headers.insert(&REQUEST_ID_HEADER, HeaderValue::from_static("abc-1"));
        assert_eq!(ids.of(&headers).as_str(), "abc-1");
        for rubbish in ["", "a b", &"x".repeat(129)] {
            headers.insert(&REQUEST_ID_HEADER, HeaderValue::from_str(rubbish).unwrap());
            assert_ne!(ids.of(&headers).as_str(), rubbish);
        }
    }
}
