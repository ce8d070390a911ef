//! Determines the client's address of a call and passes it on to the services, which see only the gateway's
//! connections.
//!
//! It is the connection's address, unless that is a trusted proxy's: a proxy appends the address that it saw to
//! `x-forwarded-for`. Entries before that may come from the client and are ignored.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use flotilla_rpc::CLIENT_ADDRESS;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

/// An IPv6 customer usually has a whole /64.
const V6_NETWORK: u128 = !0 << 64;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address behind trusted proxies; an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The trusted proxies before the gateway, as networks.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<(u128, u32)>);

impl TrustedProxies {
    /// Parses addresses and networks such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// The first invalid one.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a String>) -> Result<Self, String> {
        let read = |text: &'a String| {
            let (address, bits) = text.split_once('/').unwrap_or((text, ""));
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let bits = if bits.is_empty() { longest } else { bits.parse().ok().filter(|bits| *bits <= longest)? };
            Some((bits_of(address), bits + 128 - longest))
        };
        networks.into_iter().map(|text| read(text).ok_or_else(|| text.clone())).collect::<Result<_, _>>().map(Self)
    }

    /// The client of a request that came over a connection from `peer`.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.ip().to_canonical();
        let forwarded: Vec<&str> =
            headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        for hop in forwarded.iter().rev().flat_map(|value| value.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
        }
        ClientAddress(client)
    }

    /// Whether an address belongs to a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = bits_of(address.to_canonical());
        self.0.iter().any(|(network, bits)| *bits == 0 || (network ^ address) >> (128 - bits) == 0)
    }
}

/// An address of either family as IPv6 bits.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The network that usually belongs to one customer.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & V6_NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The network that a request came from, which the limits count by.
pub fn network_of(known: &Extensions) -> Option<IpAddr> {
    known.get::<ClientAddress>().map(|ClientAddress(address)| network(*address))
}

/// Sets the header with the client's address on a request to a service, replacing whatever the client sent.
pub fn pass_on(known: &Extensions, headers: &mut HeaderMap) {
    headers.remove(&CLIENT_ADDRESS);
    let Some(ClientAddress(address)) = known.get() else { return };
    if let Ok(address) = HeaderValue::try_from(address.to_string()) {
        headers.insert(&CLIENT_ADDRESS, address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(forwarded: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_client_cannot_set_its_own_address() {
        let mut headers = HeaderMap::new();
        for claimed in ["192.0.2.1", "192.0.2.2"] {
            headers.append(&CLIENT_ADDRESS, HeaderValue::from_static(claimed));
        }
        let mut known = Extensions::new();
        known.insert(ClientAddress("198.51.100.7".parse().unwrap()));
        pass_on(&known, &mut headers);
        assert_eq!(headers.get_all(&CLIENT_ADDRESS).iter().collect::<Vec<_>>(), ["198.51.100.7"]);
        pass_on(&Extensions::new(), &mut headers);
        assert!(headers.is_empty(), "none is better than a wrong one");
    }

    #[test]
    fn only_entries_added_by_trusted_proxies_count() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8".to_owned(), "2001:db8::5".to_owned()]).unwrap();
        let client = |peer: &str, forwarded: &[&'static str]| {
            proxies.client(SocketAddr::new(peer.parse().unwrap(), 1), &headers(forwarded)).0.to_string()
        };
        assert_eq!(client("192.0.2.9", &["203.0.113.1"]), "192.0.2.9", "anybody can send the header");
        assert_eq!(
            client("10.1.2.3", &["203.0.113.1, 198.51.100.7"]),
            "198.51.100.7",
            "the last was added by the proxy"
        );
        assert_eq!(client("10.1.2.3", &["203.0.113.1", "198.51.100.7, 10.9.9.9"]), "198.51.100.7", "over two proxies");
        assert_eq!(client("::ffff:10.1.2.3", &["2001:db8:1::1"]), "2001:db8:1::1");
        assert_eq!(client("2001:db8::5", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.1.2.3", &["rubbish"]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
        for bad in ["10.0.0.0/33", "ten", "10.0.0.0/x"] {
            assert_eq!(TrustedProxies::parse(&[bad.to_owned()]).unwrap_err(), bad);
        }
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one_address() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(network_of("::ffff:10.0.0.1"), network_of("10.0.0.1"), "an IPv4 address written as IPv6");
        assert_ne!(network_of("10.0.0.2"), network_of("10.0.0.1"));
        assert_eq!(network_of("2001:db8::1"), network_of("2001:db8::ffff:1"));
        assert_ne!(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"));
    }
}
