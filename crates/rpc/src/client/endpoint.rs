//! One address: its connection, kept up by a task of its own, its calls in flight and its record.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::chance::Chance;
use super::connection::{Sender, establish};
use super::connector::Connector;
use super::ejection::Ejection;
use super::target::Target;
use crate::ClientSettings;

/// Shortest pause between two attempts to connect, however many calls wait.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// Longest first pause when no call waits; doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A connection that lived for so long was a good one.
const STABLE: Duration = Duration::from_secs(1);

/// What the tasks of a channel share.
pub(crate) struct Wiring {
    pub connector: Arc<dyn Connector>,
    pub settings: ClientSettings,
    /// Told when a call that waits should look again.
    pub changes: watch::Sender<()>,
    /// Told when a connection failed: names may have new addresses.
    pub trouble: Notify,
    pub chance: Chance,
}

/// An address of the channel's servers.
pub(crate) struct Endpoint {
    pub target: Arc<Target>,
    pub address: SocketAddr,
    link: Mutex<Link>,
    pending: AtomicUsize,
    pub ejection: Mutex<Ejection>,
    demand: Notify,
}

/// The state of the connection.
enum Link {
    Untried,
    Ready(Sender),
    Failed { at: Instant, cause: Arc<io::Error> },
}

impl Endpoint {
    pub fn new(target: Arc<Target>, address: SocketAddr) -> Self {
        Self {
            target,
            address,
            link: Mutex::new(Link::Untried),
            pending: AtomicUsize::new(0),
            ejection: Mutex::default(),
            demand: Notify::new(),
        }
    }

    /// Whether there is a connection that takes requests.
    pub fn is_ready(&self) -> bool {
        matches!(&*self.link.lock(), Link::Ready(sender) if !sender.is_closed())
    }

    /// What sends over the connection, if there is one that takes requests.
    pub fn sender(&self) -> Option<Sender> {
        match &*self.link.lock() {
            Link::Ready(sender) if !sender.is_closed() => Some(sender.clone()),
            _ => None,
        }
    }

    /// Why the last attempt failed, if it did so at or after `since`.
    pub fn failed_since(&self, since: Instant) -> Option<Arc<io::Error>> {
        match &*self.link.lock() {
            Link::Failed { at, cause } if *at >= since => Some(Arc::clone(cause)),
            _ => None,
        }
    }

    /// A call waits for a connection: the next attempt should be soon.
    pub fn demand(&self) {
        self.demand.notify_one();
    }

    /// Calls in flight.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    pub fn begin(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connects, and again whenever the connection is gone, until this future is dropped. Calls in flight outlive it.
    pub async fn keep_connected(self: Arc<Self>, wiring: Arc<Wiring>) {
        let mut failures = 0_u32;
        loop {
            let connector = wiring.connector.as_ref();
            let cause = match establish(connector, &self.target, self.address, &wiring.settings).await {
                Ok(established) => {
                    tracing::debug!(address = %self.address, "connected");
                    *self.link.lock() = Link::Ready(established.sender);
                    wiring.changes.send_replace(());
                    let since = Instant::now();
                    let ended = established.connection.await;
                    if since.elapsed() >= STABLE {
                        failures = 0;
                    }
                    ended.map_or_else(io::Error::other, |()| io::ErrorKind::ConnectionAborted.into())
                }
                Err(error) => error,
            };
            tracing::debug!(address = %self.address, %cause, "not connected");
            *self.link.lock() = Link::Failed { at: Instant::now(), cause: Arc::new(cause) };
            wiring.changes.send_replace(());
            wiring.trouble.notify_one();
            self.pause(failures, &wiring).await;
            failures = failures.saturating_add(1);
        }
    }

    /// The pause before the next attempt: a short one when calls wait for it.
    async fn pause(&self, failures: u32, wiring: &Wiring) {
        sleep(SHORTEST_PAUSE).await;
        let longest = wiring.settings.reconnect_pause.0;
        // Cut short by a call that waits, which is no error.
        let _ = timeout(wiring.chance.backoff(FIRST_PAUSE, failures, longest), self.demand.notified()).await;
    }
}
