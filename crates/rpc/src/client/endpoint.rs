//! One address: its connections, its calls in flight and its health record. One connection for calls is always kept up
//! by a task; further ones, and those for streams, are opened on demand and closed when idle.

use flotilla_clock::Jitter;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_telemetry::in_current_service;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::bounds::{Bounds, Class};
use super::connection::{Established, establish};
use super::connector::Connector;
use super::ejection::Ejection;
use super::pool::{Found, Pool};
use super::target::Target;
use crate::ClientSettings;

/// Minimum pause between two connection attempts, however many calls wait.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// Maximum first pause if no call waits; doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A connection that lasted for this long counts as successful.
const STABLE: Duration = Duration::from_secs(1);
/// How often a further connection is checked, and closed if it carries no call.
const IDLE: Duration = Duration::from_secs(30);

/// The shared state of a channel's tasks.
pub(crate) struct Wiring {
    pub connector: Arc<dyn Connector>,
    pub settings: ClientSettings,
    /// Notified when waiting calls should check again.
    pub changes: watch::Sender<()>,
    /// Notified when a connection has failed: names may have new addresses.
    pub trouble: Notify,
    pub jitter: Jitter,
}

/// An address of the channel's servers.
pub(crate) struct Endpoint {
    pub target: Arc<Target>,
    pub address: SocketAddr,
    calls: Pool,
    streams: Pool,
    /// When and why the connection that is always kept up last failed.
    failed: Mutex<Option<(Instant, Arc<io::Error>)>>,
    pub ejection: Mutex<Ejection>,
    demand: Notify,
    /// Signals that a further connection is needed.
    wanted: Notify,
}

impl Endpoint {
    pub fn new(target: Arc<Target>, address: SocketAddr, settings: &ClientSettings) -> Self {
        Self {
            target,
            address,
            calls: Pool::new(Bounds::of(Class::Calls, settings)),
            streams: Pool::new(Bounds::of(Class::Streams, settings)),
            failed: Mutex::default(),
            ejection: Mutex::default(),
            demand: Notify::new(),
            wanted: Notify::new(),
        }
    }

    /// The connections of a class.
    pub fn pool(&self, class: Class) -> &Pool {
        match class {
            Class::Calls => &self.calls,
            Class::Streams => &self.streams,
        }
    }

    /// Whether there is a connection that accepts requests. The connection for calls, which is kept up, decides for the
    /// address.
    pub fn is_ready(&self) -> bool {
        self.calls.is_open()
    }

    /// Takes a slot for a call if one is free; otherwise requests a further connection if one is allowed.
    pub fn take(&self, class: Class) -> Found {
        let found = self.pool(class).take();
        if matches!(found, Found::Opening) {
            self.wanted.notify_one();
        }
        found
    }

    /// Why no call of this class can be made, if the last attempt to connect failed at or after `since`.
    pub fn failed_since(&self, class: Class, since: Instant) -> Option<Arc<io::Error>> {
        if self.is_ready() {
            return self.pool(class).failed_since(since);
        }
        self.failed.lock().as_ref().filter(|(at, _)| *at >= since).map(|(_, cause)| Arc::clone(cause))
    }

    /// A call waits for a connection: the next attempt should be soon.
    pub fn demand(&self) {
        self.demand.notify_one();
    }

    /// Connects, and again whenever the connection is gone, until this future is dropped. Calls in flight outlive it.
    pub async fn keep_connected(self: Arc<Self>, wiring: Arc<Wiring>) {
        let mut further = JoinSet::new();
        further.spawn(in_current_service(Arc::clone(&self).open_further(Arc::clone(&wiring))));
        let mut failures = 0_u32;
        loop {
            let cause = match self.connect(&self.calls, &wiring).await {
                Ok(established) => {
                    tracing::debug!(address = %self.address, "connected");
                    let lane = self.calls.add(&established);
                    wiring.changes.send_replace(());
                    let since = Instant::now();
                    let ended = established.connection.await;
                    self.calls.remove(&lane);
                    if since.elapsed() >= STABLE {
                        failures = 0;
                    }
                    ended.map_or_else(io::Error::other, |()| io::ErrorKind::ConnectionAborted.into())
                }
                Err(error) => error,
            };
            tracing::debug!(address = %self.address, %cause, "not connected");
            *self.failed.lock() = Some((Instant::now(), Arc::new(cause)));
            wiring.changes.send_replace(());
            wiring.trouble.notify_one();
            self.pause(failures, &wiring).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Opens further connections on demand, until this future is dropped.
    async fn open_further(self: Arc<Self>, wiring: Arc<Wiring>) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = self.wanted.notified() => {
                    for class in [Class::Calls, Class::Streams] {
                        if self.pool(class).begin() {
                            open.spawn(in_current_service(Arc::clone(&self).open(class, Arc::clone(&wiring))));
                        }
                    }
                }
                Some(_) = open.join_next(), if !open.is_empty() => {}
            }
        }
    }

    /// Runs one further connection until it ends or has been idle.
    async fn open(self: Arc<Self>, class: Class, wiring: Arc<Wiring>) {
        let pool = self.pool(class);
        let established = match self.connect(pool, &wiring).await {
            Ok(established) => established,
            Err(cause) => {
                tracing::debug!(address = %self.address, ?class, %cause, "further connection failed");
                pool.fail(cause);
                wiring.changes.send_replace(());
                return;
            }
        };
        tracing::debug!(address = %self.address, ?class, "further connection");
        let lane = pool.add(&established);
        wiring.changes.send_replace(());
        let idle = async {
            loop {
                sleep(IDLE).await;
                if pool.remove_idle(&lane) {
                    return;
                }
            }
        };
        tokio::select! {
            ended = established.connection => {
                pool.remove(&lane);
                tracing::debug!(address = %self.address, ?class, ?ended, "further connection ended");
                wiring.changes.send_replace(());
            }
            () = idle => tracing::debug!(address = %self.address, ?class, "further connection was idle"),
        }
    }

    async fn connect(&self, pool: &Pool, wiring: &Wiring) -> io::Result<Established> {
        establish(wiring.connector.as_ref(), &self.target, self.address, &wiring.settings, pool.bounds).await
    }

    /// The pause before the next attempt: a short one when calls wait for it.
    async fn pause(&self, failures: u32, wiring: &Wiring) {
        sleep(SHORTEST_PAUSE).await;
        let longest = wiring.settings.reconnect_pause.0;
        // A waiting call ends the pause early, which is no error.
        let _ = timeout(wiring.jitter.backoff(FIRST_PAUSE, failures, longest), self.demand.notified()).await;
    }
}
