//! The id that a request keeps across all hops: the client's own if it is valid, otherwise a generated one.

use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_rpc::RequestId;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, in requests and responses.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Generates ids from a random prefix and a counter.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Generates ids that begin with `prefix`, which should be random.
    pub fn new(prefix: u64) -> Self {
        Self { prefix, next: AtomicU64::new(0) }
    }

    /// Returns the id of a request and sets it in its headers.
    pub fn settle(&self, headers: &mut HeaderMap) -> HeaderValue {
        if let Some(given) = headers.get(HEADER)
            && given.to_str().ok().and_then(RequestId::new).is_some()
        {
            let given = given.clone();
            // `insert` replaces the client's headers; of two, both would reach the services.
            headers.insert(HEADER, given.clone());
            return given;
        }
        let id = format!("{:016x}{:08x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        let id = HeaderValue::try_from(id).expect("hexadecimal digits may stand in a header");
        headers.insert(HEADER, id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_id_is_kept_and_others_are_replaced() {
        let ids = RequestIds::new(7);
        let mut headers = HeaderMap::new();
        let made = ids.settle(&mut headers);
        assert_eq!(headers[HEADER], made);
        headers.insert(HEADER, HeaderValue::from_static("mine-1"));
        assert_eq!(ids.settle(&mut headers), "mine-1");
        headers.append(HEADER, HeaderValue::from_static("mine-2"));
        assert_eq!(ids.settle(&mut headers), "mine-1");
        assert_eq!(headers.get_all(HEADER).iter().count(), 1, "one id is forwarded");
        headers.insert(HEADER, HeaderValue::from_static("not sound"));
        assert_ne!(ids.settle(&mut headers), "not sound");
    }
}
