//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// Below the kernels' ephemeral port ranges (from 32768 on Linux, 49152 on macOS). A server's port inside such a range can
/// be taken while the server is down, even by a client that connects to itself.
const FIRST: u32 = 18_000;
const COUNT: u32 = 14_000;

/// Where this process continues its search. Process-wide, because two instances must not get the same port before either
/// has bound it.
static CURSOR: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 that is free now. Within the process no port is returned twice (until the search wraps around after
/// thousands). Another process may still take it first, so callers must be ready to ask again.
///
/// # Errors
/// No port of the range can be bound.
pub fn free_port() -> Result<u16> {
    // Processes start far apart, so that parallel test binaries rarely collide.
    let offset = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    for _ in 0..COUNT {
        let step = CURSOR.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + offset.wrapping_add(step) % COUNT;
        let Ok(port) = u16::try_from(port) else { continue };
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

/// Whether the port can be bound on loopback.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_port_is_given_twice() {
        let ports: BTreeSet<u16> = (0..100).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 100);
    }

    #[test]
    fn a_port_that_is_listened_on_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
