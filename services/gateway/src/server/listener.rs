//! Accepts connections, one at a time.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Pause after a failed accept (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// An IPv6 customer usually has a whole /64.
const V6_NETWORK: u128 = !0 << 64;

/// The peer's address of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The next connection. Cancel-safe.
pub async fn accept(listener: &TcpListener) -> (TcpStream, PeerAddress) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, PeerAddress(address)),
            Err(error) => {
                tracing::debug!(%error, "connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The network that usually belongs to one customer.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & V6_NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_one_customer_counts_as_one_address() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(network_of("::ffff:10.0.0.1"), network_of("10.0.0.1"), "an IPv4 address written as IPv6");
        assert_ne!(network_of("10.0.0.2"), network_of("10.0.0.1"));
        assert_eq!(network_of("2001:db8::1"), network_of("2001:db8::ffff:1"));
        assert_ne!(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"));
    }
}
