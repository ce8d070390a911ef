//! Tells the services from which address a call comes: they see the gateway's connections alone.

use flotilla_rpc::CLIENT_ADDRESS;
use http::{Extensions, HeaderMap, HeaderValue};

use crate::server::PeerAddress;

/// Puts the client's address into the headers that go to a service, in place of whatever the client sent there.
pub fn pass_on(known: &Extensions, headers: &mut HeaderMap) {
    headers.remove(&CLIENT_ADDRESS);
    let Some(PeerAddress(address)) = known.get() else { return };
    if let Ok(address) = HeaderValue::try_from(address.ip().to_canonical().to_string()) {
        headers.insert(&CLIENT_ADDRESS, address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_of_its_address_is_replaced_by_what_is_seen() {
        let mut headers = HeaderMap::new();
        for claimed in ["192.0.2.1", "192.0.2.2"] {
            headers.append(&CLIENT_ADDRESS, HeaderValue::from_static(claimed));
        }
        let mut known = Extensions::new();
        known.insert(PeerAddress("[::ffff:198.51.100.7]:4711".parse().unwrap()));
        pass_on(&known, &mut headers);
        assert_eq!(headers.get_all(&CLIENT_ADDRESS).iter().collect::<Vec<_>>(), ["198.51.100.7"]);
        pass_on(&Extensions::new(), &mut headers);
        assert!(headers.is_empty(), "none is better than a wrong one");
    }
}
