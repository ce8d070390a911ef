//! All addresses of a channel, and the choice among them: the one with the fewest calls in flight.
//!
//! The first call connects to all addresses. A call goes to a connected address. It waits only while no address is
//! connected, or while another connection is opened for it. It fails once the next attempt at each address has failed,
//! or at once if all connections are full.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flotilla_call::Deadline;
use flotilla_telemetry::spawn;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;

use super::bounds::Class;
use super::connection::Sender;
use super::discovery::Discovery;
use super::ejection::Rules;
use super::endpoint::{Endpoint, Wiring};
use super::layers::metrics::ClientMetrics;
use super::pool::{Found, Lane};
use super::target::Target;
use super::verdict::{counts_as_failure, timed_out};

/// The addresses of a channel. Their tasks end when it is dropped.
pub(crate) struct Balancer {
    wiring: Arc<Wiring>,
    endpoints: RwLock<Vec<Arc<Endpoint>>>,
    keepers: Mutex<HashMap<SocketAddr, AbortOnDropHandle<()>>>,
    discovery: Discovery,
    discovering: OnceLock<AbortOnDropHandle<()>>,
    started: AtomicBool,
    unresolved: Mutex<Option<(Instant, Arc<io::Error>)>>,
    rules: Rules,
    ejecting: Mutex<()>,
    metrics: Option<ClientMetrics>,
}

impl Balancer {
    pub fn new(wiring: Arc<Wiring>, discovery: Discovery, metrics: Option<ClientMetrics>) -> Self {
        let rules = Rules { after: wiring.settings.eject_after, first: wiring.settings.eject_for.0 };
        Self {
            wiring,
            endpoints: RwLock::default(),
            keepers: Mutex::default(),
            discovery,
            discovering: OnceLock::new(),
            started: AtomicBool::new(false),
            unresolved: Mutex::default(),
            rules,
            ejecting: Mutex::default(),
            metrics,
        }
    }

    /// Takes a slot at the best address; addresses in `tried` are used only if there is no other.
    ///
    /// # Errors
    /// If no address is connected and the next attempt at each has failed, or if all are full.
    pub async fn acquire(
        self: &Arc<Self>,
        class: Class,
        tried: &[SocketAddr],
    ) -> Result<(Sender, Lease), NoConnection> {
        self.start();
        if let Some(found) = self.pick(class, tried)? {
            return Ok(found);
        }
        let began = Instant::now();
        let mut changes = self.wiring.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = self.pick(class, tried)? {
                return Ok(found);
            }
            if let Some(cause) = self.hopeless_since(class, began) {
                return Err(NoConnection::Unreachable(cause));
            }
            self.wake();
            if changes.changed().await.is_err() {
                return Err(NoConnection::Unreachable(Arc::new(io::ErrorKind::NotConnected.into())));
            }
        }
    }

    /// The connected address with the fewest calls of this class in flight; ties are broken at random. An address that
    /// was tried for this call or is ejected is used only if there is nothing better. `None` if the call has to wait
    /// for a connection.
    fn pick(self: &Arc<Self>, class: Class, tried: &[SocketAddr]) -> Result<Option<(Sender, Lease)>, NoConnection> {
        let now = Instant::now();
        let endpoints = self.endpoints.read();
        let mut best: Option<((u8, usize), &Arc<Endpoint>)> = None;
        let mut ties = 1;
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_ready()) {
            let ejected = u8::from(endpoint.ejection.lock().is_active(now));
            let rank = (2 * ejected + u8::from(tried.contains(&endpoint.address)), endpoint.pool(class).taken());
            ties = if best.is_some_and(|(least, _)| least == rank) { ties + 1 } else { 1 };
            let better = best.is_none_or(|(least, _)| rank < least);
            // Ties are broken with equal probability.
            if better || (ties > 1 && self.wiring.jitter.one_in(ties)) {
                best = Some((rank, endpoint));
            }
        }
        let Some((_, best)) = best else { return Ok(None) };
        let others = endpoints.iter().filter(|endpoint| endpoint.is_ready() && !Arc::ptr_eq(endpoint, best));
        let mut none = NoConnection::Full;
        // The others are tried only if the best one is full.
        for endpoint in std::iter::once(best).chain(others) {
            match endpoint.take(class) {
                Found::Place(sender, lane) => {
                    let at = At { endpoint: Arc::clone(endpoint), class, lane };
                    return Ok(Some((sender, Lease::new(Arc::clone(self), at, now))));
                }
                Found::Opening => return Ok(None),
                Found::Full => {}
                Found::Failed(cause) => none = NoConnection::Unreachable(cause),
            }
        }
        Err(none)
    }

    /// Why no call can be made, once every attempt since `began` has failed.
    fn hopeless_since(&self, class: Class, began: Instant) -> Option<Arc<io::Error>> {
        let endpoints = self.endpoints.read();
        if endpoints.is_empty() {
            let unresolved = self.unresolved.lock();
            return unresolved.as_ref().filter(|(at, _)| *at >= began).map(|(_, cause)| Arc::clone(cause));
        }
        endpoints.iter().map(|endpoint| endpoint.failed_since(class, began)).collect::<Option<Vec<_>>>()?.pop()
    }

    /// Calls are waiting: connects, and looks the names up again if there is no address to connect to.
    fn wake(&self) {
        let endpoints = self.endpoints.read();
        endpoints.iter().for_each(|endpoint| endpoint.demand());
        if endpoints.is_empty() {
            self.wiring.trouble.notify_one();
        }
    }

    /// Starts with the addresses that need no resolution, and resolves the others. Called at the first call.
    fn start(self: &Arc<Self>) {
        if self.started.load(Ordering::Acquire) {
            return;
        }
        self.discovering.get_or_init(|| {
            self.update(&self.discovery.literal());
            let discovery = self.discovery.clone();
            let balancer = Arc::downgrade(self);
            let report = move |found: io::Result<Vec<_>>| {
                let Some(balancer) = balancer.upgrade() else { return false };
                match found {
                    Ok(addresses) => balancer.update(&addresses),
                    Err(cause) => balancer.unresolved(cause),
                }
                true
            };
            AbortOnDropHandle::new(spawn(discovery.run(Arc::clone(&self.wiring), report)))
        });
        self.started.store(true, Ordering::Release);
    }

    /// Replaces the addresses. Calls to a removed address continue to their end.
    fn update(&self, addresses: &[(Arc<Target>, SocketAddr)]) {
        let mut endpoints = self.endpoints.write();
        let mut keepers = self.keepers.lock();
        endpoints.retain(|endpoint| addresses.iter().any(|(_, address)| *address == endpoint.address));
        keepers.retain(|kept, _| addresses.iter().any(|(_, address)| address == kept));
        for (target, address) in addresses {
            if !keepers.contains_key(address) {
                tracing::debug!(%address, host = target.host(), "address added");
                let endpoint = Arc::new(Endpoint::new(Arc::clone(target), *address, &self.wiring.settings));
                endpoints.push(Arc::clone(&endpoint));
                let keeping = spawn(endpoint.keep_connected(Arc::clone(&self.wiring)));
                keepers.insert(*address, AbortOnDropHandle::new(keeping));
            }
        }
        drop((endpoints, keepers));
        self.wiring.changes.send_replace(());
    }

    /// A lookup has failed, and there is no previous address.
    fn unresolved(&self, cause: io::Error) {
        *self.unresolved.lock() = Some((Instant::now(), Arc::new(cause)));
        self.wiring.changes.send_replace(());
    }

    fn failed(&self, endpoint: &Endpoint) {
        let now = Instant::now();
        let _one_at_a_time = self.ejecting.lock();
        let (all, ejected) = {
            let endpoints = self.endpoints.read();
            let ejected = endpoints.iter().filter(|endpoint| endpoint.ejection.lock().is_active(now)).count();
            (endpoints.len(), ejected)
        };
        // At most half of the addresses: the others would be overloaded.
        let room = (ejected + 1) * 2 <= all;
        if endpoint.ejection.lock().failed(now, self.rules, room) {
            tracing::warn!(address = %endpoint.address, "address ejected after repeated failures");
            if let Some(metrics) = &self.metrics {
                metrics.ejections.inc();
            }
        }
    }
}

/// Why a call gets no slot.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// No address can be connected to.
    Unreachable(Arc<io::Error>),
    /// All connections are full.
    Full,
}

/// The address and connection of a call.
struct At {
    endpoint: Arc<Endpoint>,
    class: Class,
    lane: Arc<Lane>,
}

/// A call's slot at an address, until its end.
pub(crate) struct Lease {
    balancer: Arc<Balancer>,
    at: At,
    began: Instant,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
    judged: bool,
}

impl Lease {
    fn new(balancer: Arc<Balancer>, at: At, now: Instant) -> Self {
        Self { balancer, at, began: now, deadline: None, judged: false }
    }

    /// The address of the call.
    pub fn endpoint(&self) -> &Endpoint {
        &self.at.endpoint
    }

    /// Records how the call ended. A code that isn't a failure of the server counts as success.
    pub fn ended(&mut self, code: Code) {
        self.judge(counts_as_failure(code, self.began.elapsed()));
    }

    /// The call was never sent: no server failed.
    pub fn unused(&mut self) {
        self.judged = true;
    }

    fn judge(&mut self, failed: bool) {
        self.judged = true;
        if failed {
            self.balancer.failed(self.endpoint());
        } else {
            self.at.endpoint.ejection.lock().succeeded(Instant::now());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let At { endpoint, class, lane } = &self.at;
        if endpoint.pool(*class).give_back(lane) {
            self.balancer.wiring.changes.send_replace(());
        }
        if !self.judged && timed_out(self.deadline, self.began.elapsed()) {
            self.judge(true);
        }
    }
}
