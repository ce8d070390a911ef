//! Resolves names at an interval and when connections fail. The last addresses are kept while resolution fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::endpoint::Wiring;
use super::resolver::Resolver;
use super::target::Target;

/// How long one lookup may take.
const LOOKUP: Duration = Duration::from_secs(5);
/// Minimum time between two lookups.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// The names to resolve, and the resolver.
#[derive(Clone)]
pub(crate) struct Discovery {
    pub targets: Vec<Arc<Target>>,
    pub resolver: Arc<dyn Resolver>,
}

impl Discovery {
    /// The addresses in the URLs.
    pub fn literal(&self) -> Vec<(Arc<Target>, SocketAddr)> {
        self.targets.iter().filter_map(|target| Some((Arc::clone(target), target.literal()?))).collect()
    }

    /// Passes the addresses, or why there are none, to `report`, until that returns `false`. Ends at once if there are
    /// no names.
    pub async fn run(self, wiring: Arc<Wiring>, report: impl Fn(io::Result<Vec<(Arc<Target>, SocketAddr)>>) -> bool) {
        if self.targets.iter().all(|target| target.literal().is_some()) {
            return;
        }
        let mut known: Vec<Vec<SocketAddr>> = vec![Vec::new(); self.targets.len()];
        loop {
            let mut failure = None;
            for (target, known) in self.targets.iter().zip(&mut known) {
                match self.look_up(target).await {
                    Ok(addresses) => *known = addresses,
                    Err(error) => {
                        tracing::debug!(host = target.host(), %error, "name can't be resolved");
                        failure = Some(error);
                    }
                }
            }
            let addresses: Vec<_> = self
                .targets
                .iter()
                .zip(&known)
                .flat_map(|(target, known)| known.iter().map(|address| (Arc::clone(target), *address)))
                .collect();
            let found = match failure {
                Some(error) if addresses.is_empty() => Err(error),
                _ => Ok(addresses),
            };
            if !report(found) {
                return;
            }
            pause(&wiring).await;
        }
    }

    async fn look_up(&self, target: &Target) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = target.literal() {
            return Ok(vec![address]);
        }
        let found = timeout(LOOKUP, self.resolver.resolve(target.host(), target.port())).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }
}

/// Waits for the interval, with a jitter of a quarter so that clients don't synchronize, or until a connection fails.
async fn pause(wiring: &Wiring) {
    let interval = wiring.settings.resolve_interval.0;
    sleep(SHORTEST_PAUSE.min(interval)).await;
    let rest = interval * 3 / 4 + wiring.jitter.part_of(interval / 2);
    // A failed connection ends the wait early, which is no error.
    let _ = timeout(rest, wiring.trouble.notified()).await;
}
