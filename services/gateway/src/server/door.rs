//! Who may come in: so many connections in all, and so many from one address.
//!
//! When all places are taken, further connections wait to be accepted. One from an address that has its share already
//! is closed at once. The fuller the house, the less time a connection has to show that it means to speak.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounterVec;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Pause after a failed accept (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// In a full house patience is divided by this.
const HASTE: u32 = 4;
/// An IPv6 customer has a whole /64.
const V6_NETWORK: u128 = !0 << 64;

/// Where a request came from: an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// Accepts connections.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    size: usize,
    shares: Arc<Shares>,
    refused: IntCounterVec,
}

/// An accepted connection. Dropped, it gives its place back.
#[derive(Debug)]
pub struct Guest {
    pub stream: TcpStream,
    pub address: PeerAddress,
    /// Whether others wait, or soon will.
    pub crowded: bool,
    pub ticket: Ticket,
}

/// A place in the house and one of its address's share.
#[derive(Debug)]
pub struct Ticket {
    _place: OwnedSemaphorePermit,
    _share: Share,
}

impl Door {
    /// At most `most` connections, and `most_of_one` from one address.
    pub fn new(listener: TcpListener, most: usize, most_of_one: usize, refused: IntCounterVec) -> Self {
        let size = most.clamp(1, Semaphore::MAX_PERMITS);
        let shares = Arc::new(Shares { most: most_of_one, taken: Mutex::default() });
        Self { listener, places: Arc::new(Semaphore::new(size)), size, shares, refused }
    }

    /// The next connection, once there is a place for it.
    pub async fn next(&self) -> Guest {
        loop {
            // The semaphore is never closed; if it were, nobody would come in.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let (stream, address) = self.accept().await;
            let Some(share) = Shares::take(&self.shares, address.ip()) else {
                self.refused.with_label_values(&["address"]).inc();
                continue;
            };
            let crowded = self.places.available_permits() < self.size / 4;
            let ticket = Ticket { _place: place, _share: share };
            return Guest { stream, address: PeerAddress(address), crowded, ticket };
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::debug!(%error, "connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Guest {
    /// How long this connection may take to begin, of what one has in a quiet house.
    pub fn patience(&self, quiet: Duration) -> Duration {
        if self.crowded { quiet / HASTE } else { quiet }
    }
}

/// Connections by address.
#[derive(Debug)]
struct Shares {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Shares {
    fn take(shares: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let network = network(address);
        let mut taken = shares.taken.lock();
        let count = taken.entry(network).or_default();
        if *count >= shares.most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Share { shares: Arc::clone(shares), network })
    }
}

/// One of an address's connections.
#[derive(Debug)]
struct Share {
    shares: Arc<Shares>,
    network: IpAddr,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// What one customer is likely to hold as a whole.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & V6_NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_leaves_others_theirs() {
        let shares = Arc::new(Shares { most: 2, taken: Mutex::default() });
        let first = Shares::take(&shares, ip("10.0.0.1")).unwrap();
        let _second = Shares::take(&shares, ip("10.0.0.1")).unwrap();
        assert!(Shares::take(&shares, ip("10.0.0.1")).is_none());
        assert!(Shares::take(&shares, ip("::ffff:10.0.0.1")).is_none(), "the same address in other clothes");
        assert!(Shares::take(&shares, ip("10.0.0.2")).is_some());
        drop(first);
        assert!(Shares::take(&shares, ip("10.0.0.1")).is_some());
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one_address_and_is_forgotten_with_its_last_connection() {
        let shares = Arc::new(Shares { most: 1, taken: Mutex::default() });
        let share = Shares::take(&shares, ip("2001:db8::1")).unwrap();
        assert!(Shares::take(&shares, ip("2001:db8::ffff:1")).is_none());
        assert!(Shares::take(&shares, ip("2001:db8:0:1::1")).is_some());
        drop(share);
        assert!(shares.taken.lock().is_empty());
    }
}
