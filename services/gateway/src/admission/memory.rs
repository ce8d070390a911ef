//! The memory budget for connections, requests and responses.
//!
//! Usage is estimated where it can't be measured (connections, the state of a call) and counted where it can (headers,
//! bodies, responses that wait to be sent). An address may hold as much as stays free. A request that doesn't fit is
//! refused before it is accepted. What exists already, such as a response, is counted even beyond the budget, and later
//! requests are refused instead.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flotilla_cgroup::Limits;
use flotilla_rpc::{Capacity, Permit, RpcError, Shortage};
use parking_lot::Mutex;
use prometheus::Registry;

use super::gauges;
use super::refusals::{Limit, Refusals};
use crate::config::EdgeSettings;

/// The part of limited memory that the budget may be: a third. The rest is for the process itself, the connections to
/// the services and what the allocator keeps.
const PART: u64 = 3;

const KIB: u64 = 1024;
/// A connection without calls: buffers, header compression tables, its task.
const CONNECTION: u64 = 16 * KIB;
/// The same with TLS: its buffers and keys.
const TLS_CONNECTION: u64 = 48 * KIB;
/// A call in flight, without headers and bodies: its tasks in the gateway, and its stream to the service.
const CALL: u64 = 20 * KIB;
/// The overhead of a header beyond the bytes of its name and value.
const HEADER: usize = 64;

/// The memory budget.
#[derive(Debug)]
pub struct Memory {
    budget: Arc<Capacity<IpAddr>>,
    per_address: bool,
    refusals: Refusals,
}

/// Sizes of HTTP/2's buffers that fit the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Receive window of a stream.
    pub stream: u32,
    /// Receive window of a connection.
    pub connection: u32,
    /// Send buffer of a stream.
    pub send: usize,
    /// Streams on one connection.
    pub streams: u32,
}

impl Memory {
    /// A budget of `settings.memory`, or a third of limited memory if that is less.
    pub fn new(settings: &EdgeSettings, refusals: Refusals) -> Self {
        let bytes = Limits::of_process().pieces(settings.memory.bytes(), 1, PART) as u64;
        Self { budget: Capacity::new(bytes, u64::MAX), per_address: settings.address_shares, refusals }
    }

    /// The size of the budget, and how much of it is used.
    #[cfg(test)]
    fn bytes(&self) -> (u64, u64) {
        (self.budget.total(), self.budget.used())
    }

    /// Exposes the budget and its use as metrics.
    ///
    /// # Errors
    /// If the registry has the gauges already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let (budget, held) = (Arc::clone(&self.budget), Arc::clone(&self.budget));
        let name = "flotilla_gateway_memory_budget_bytes";
        gauges::register(registry, name, "Memory budget of connections, requests and responses", move || {
            budget.total()
        })?;
        let name = "flotilla_gateway_memory_held_bytes";
        gauges::register(registry, name, "Memory used by connections, requests and responses", move || held.used())
    }

    /// Reserves memory for a connection.
    ///
    /// # Errors
    /// If the budget or the address's share is used up.
    pub fn connection(&self, address: Option<IpAddr>, tls: bool) -> Result<Permit<IpAddr>, Shortage> {
        self.budget.take(self.key(address), if tls { TLS_CONNECTION } else { CONNECTION })
    }

    /// Reserves memory for a request with these headers and no body yet.
    ///
    /// # Errors
    /// If the budget or the address's share is used up.
    pub fn request(&self, address: Option<IpAddr>, headers: &http::HeaderMap) -> Result<RequestMemory, RpcError> {
        let letters: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER).sum();
        let permit = self.budget.take(self.key(address), CALL + letters as u64);
        let permit = permit.map_err(|shortage| self.refusals.refuse(Limit::Memory, shortage))?;
        Ok(RequestMemory(Arc::new(Held {
            permit: Mutex::new(permit),
            expected: AtomicU64::new(0),
            refusals: self.refusals.clone(),
        })))
    }

    /// The sizes of HTTP/2's buffers for connections with at most `streams` streams.
    pub fn windows(&self, streams: u32) -> Windows {
        let part = |of: u64, least: u64, most: u64| (self.budget.total() / of).clamp(least, most);
        let stream = part(256, 64 * KIB, 256 * KIB);
        Windows {
            stream: u32::try_from(stream).unwrap_or(u32::MAX),
            connection: u32::try_from(4 * stream).unwrap_or(u32::MAX),
            send: usize::try_from(part(512, 16 * KIB, 256 * KIB)).unwrap_or(usize::MAX),
            streams: u32::try_from(part(8 * CALL, 100, u64::from(streams.max(100)))).unwrap_or(streams).min(streams),
        }
    }

    /// The address whose share is charged; `None` if shares by address are off.
    pub fn key(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        address.filter(|_| self.per_address)
    }
}

/// The memory of a request and its response. Released when both are gone.
#[derive(Debug, Clone)]
pub struct RequestMemory(Arc<Held>);

#[derive(Debug)]
struct Held {
    permit: Mutex<Permit<IpAddr>>,
    /// The part reserved for a response that hasn't arrived yet.
    expected: AtomicU64,
    refusals: Refusals,
}

impl RequestMemory {
    /// Reserves more bytes.
    ///
    /// # Errors
    /// If the budget or the address's share is used up.
    pub fn grow(&self, bytes: usize) -> Result<(), RpcError> {
        let grown = self.0.permit.lock().grow(bytes as u64);
        grown.map_err(|shortage| self.0.refusals.refuse(Limit::Memory, shortage))
    }

    /// Reserves memory for a response of about this size.
    ///
    /// # Errors
    /// As for [`grow`](Self::grow).
    pub fn expect(&self, bytes: usize) -> Result<(), RpcError> {
        self.grow(bytes)?;
        self.0.expected.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Charges the part of a response that exceeds what was expected.
    pub fn charge(&self, bytes: u64) {
        let expected = self.0.expected.swap(0, Ordering::Relaxed);
        self.0.permit.lock().charge(bytes.saturating_sub(expected));
    }

    /// Counts a piece of a response until it is dropped, which happens when it has been written to the connection;
    /// `with` lives as long.
    pub fn hold<T: Send + Sync + 'static>(&self, piece: Bytes, counted: bool, with: T) -> Bytes {
        let bytes = if counted { 0 } else { piece.len() as u64 };
        let permit = self.0.permit.lock().charge_apart(bytes);
        Bytes::from_owner(Piece { piece, _permit: permit, _memory: self.clone(), _with: with })
    }
}

/// A piece of a response, and what is kept alive with it.
struct Piece<T> {
    piece: Bytes,
    _permit: Permit<IpAddr>,
    _memory: RequestMemory,
    _with: T,
}

impl<T> AsRef<[u8]> for Piece<T> {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

#[cfg(test)]
impl RequestMemory {
    /// A budget without a limit.
    pub fn unlimited() -> Self {
        let memory = Memory {
            budget: Capacity::new(u64::MAX / 2, u64::MAX),
            per_address: false,
            refusals: Refusals::for_tests(),
        };
        memory.request(None, &http::HeaderMap::new()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use flotilla_config::ByteSize;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn memory(bytes: u64) -> Memory {
        Memory { budget: Capacity::new(bytes, u64::MAX), per_address: true, refusals: Refusals::for_tests() }
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn an_address_holds_at_most_as_much_as_is_free() {
        let memory = memory(100 * CALL);
        let headers = HeaderMap::new();
        let held: Vec<_> = std::iter::from_fn(|| memory.request(ip(1), &headers).ok()).collect();
        assert_eq!(held.len(), 50);
        assert_eq!(memory.request(ip(1), &headers).unwrap_err().reason(), "CALLER_LIMIT");
        let other = memory.request(ip(2), &headers).unwrap();
        other.grow(usize::try_from(CALL).unwrap()).unwrap();
        drop((held, other));
        assert_eq!(memory.bytes().1, 0);
    }

    #[test]
    fn headers_and_responses_count_until_the_last_piece_is_written() {
        let memory = memory(1 << 20);
        let headers = HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_str(&"x".repeat(9000)).unwrap())]);
        let request = memory.request(ip(1), &headers).unwrap();
        let before = memory.bytes().1;
        assert!(before > CALL + 9000);
        let piece = request.hold(Bytes::from(vec![1; 5000]), false, ());
        let rest = piece.slice(4000..);
        drop((request, piece));
        assert_eq!(memory.bytes().1, before + 5000);
        drop(rest);
        assert_eq!(memory.bytes().1, 0);
    }

    #[test]
    fn a_response_of_the_expected_size_takes_no_more() {
        let memory = memory(1 << 20);
        let request = memory.request(ip(1), &HeaderMap::new()).unwrap();
        request.expect(10_000).unwrap();
        let before = memory.bytes().1;
        request.charge(9000);
        assert_eq!(memory.bytes().1, before);
        request.charge(500);
        assert_eq!(memory.bytes().1, before + 500);
        assert_eq!(request.expect(600_000).unwrap_err().reason(), "CALLER_LIMIT");
    }

    #[test]
    fn buffers_follow_the_budget() {
        let small = memory(21 << 20).windows(1024);
        assert_eq!((small.stream, small.connection, small.send, small.streams), (86016, 344_064, 43008, 134));
        let large = memory(256 << 20).windows(1024);
        assert_eq!((large.stream, large.connection, large.send, large.streams), (262_144, 1 << 20, 262_144, 1024));
        assert_eq!(memory(1 << 30).windows(10).streams, 10);
        assert_eq!(memory(1).windows(1024).streams, 100);
    }

    #[test]
    fn a_setting_is_an_upper_bound() {
        let settings = EdgeSettings { memory: ByteSize::kib(64), ..EdgeSettings::default() };
        assert!(Memory::new(&settings, Refusals::for_tests()).bytes().0 <= 64 * KIB);
    }
}
