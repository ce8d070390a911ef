//! The connections to an address, by class.
//!
//! Unary calls and streams never share a connection: unread data of a stream must not block a call. A connection
//! carries a bounded number of calls, and its window is as large as the windows of all of them together, so unread
//! calls block only themselves. When all connections of a class are full another one is opened, up to a bound; beyond
//! it a call is refused at once. No call queues for a full connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::bounds::Bounds;
use super::connection::{Established, Sender};

/// The pause after a failure to open a further connection.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections of a class.
pub(crate) struct Pool {
    pub bounds: Bounds,
    /// Calls in flight over all of them.
    taken: AtomicUsize,
    lanes: Mutex<Lanes>,
}

struct Lanes {
    /// Oldest first. They are filled in this order, so that the newest become idle first.
    open: Vec<Arc<Lane>>,
    opening: Opening,
    failed: Option<(Instant, Arc<io::Error>)>,
}

/// Whether a further connection is being opened; only one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    No,
    Wanted,
    Begun,
}

/// A connection, and the calls on it.
pub(crate) struct Lane {
    sender: Sender,
    /// The maximum number of calls on it.
    most: usize,
    taken: AtomicUsize,
}

/// The result of looking for a slot.
pub(crate) enum Found {
    /// A slot on this connection.
    Place(Sender, Arc<Lane>),
    /// A further connection is being opened.
    Opening,
    /// All allowed connections are full.
    Full,
    /// The last attempt to open a further connection has just failed.
    Failed(Arc<io::Error>),
}

impl Pool {
    pub fn new(bounds: Bounds) -> Self {
        let lanes = Lanes { open: Vec::new(), opening: Opening::No, failed: None };
        Self { bounds, taken: AtomicUsize::new(0), lanes: Mutex::new(lanes) }
    }

    /// Whether there is a connection that accepts requests.
    pub fn is_open(&self) -> bool {
        self.lanes.lock().open.iter().any(|lane| !lane.sender.is_closed())
    }

    /// Calls in flight.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a slot on a connection. If there is none, a further connection is [requested](Self::begin).
    pub fn take(&self) -> Found {
        let mut lanes = self.lanes.lock();
        let mut alive = 0;
        for lane in lanes.open.iter().filter(|lane| !lane.sender.is_closed()) {
            alive += 1;
            if lane.taken.load(Ordering::Relaxed) < lane.most {
                lane.taken.fetch_add(1, Ordering::Relaxed);
                self.taken.fetch_add(1, Ordering::Relaxed);
                return Found::Place(lane.sender.clone(), Arc::clone(lane));
            }
        }
        if lanes.opening == Opening::No {
            if alive >= self.bounds.connections {
                return Found::Full;
            }
            if let Some((at, cause)) = &lanes.failed
                && at.elapsed() < PAUSE
            {
                return Found::Failed(Arc::clone(cause));
            }
            lanes.opening = Opening::Wanted;
        }
        Found::Opening
    }

    /// Returns a slot. Returns whether the connection was full, so that a call may be waiting for the slot.
    pub fn give_back(&self, lane: &Lane) -> bool {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        lane.taken.fetch_sub(1, Ordering::Relaxed) >= lane.most
    }

    /// Whether a further connection is needed. If so, it counts as begun, and must end in [`add`](Self::add) or
    /// [`fail`](Self::fail).
    pub fn begin(&self) -> bool {
        let mut lanes = self.lanes.lock();
        let wanted = lanes.opening == Opening::Wanted;
        if wanted {
            lanes.opening = Opening::Begun;
        }
        wanted
    }

    /// Adds a connection.
    pub fn add(&self, established: &Established) -> Arc<Lane> {
        let most = established.most_streams.unwrap_or(u32::MAX).min(self.bounds.calls).max(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let lane = Arc::new(Lane { sender: established.sender.clone(), most, taken: AtomicUsize::new(0) });
        let mut lanes = self.lanes.lock();
        lanes.open.push(Arc::clone(&lane));
        lanes.opening = Opening::No;
        lane
    }

    /// Records that a connection couldn't be opened.
    pub fn fail(&self, cause: io::Error) {
        let mut lanes = self.lanes.lock();
        lanes.failed = Some((Instant::now(), Arc::new(cause)));
        lanes.opening = Opening::No;
    }

    /// Why the last attempt failed, if it did so at or after `since`.
    pub fn failed_since(&self, since: Instant) -> Option<Arc<io::Error>> {
        self.lanes.lock().failed.as_ref().filter(|(at, _)| *at >= since).map(|(_, cause)| Arc::clone(cause))
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, lane: &Arc<Lane>) {
        self.lanes.lock().open.retain(|open| !Arc::ptr_eq(open, lane));
    }

    /// Removes a connection if it carries no call.
    pub fn remove_idle(&self, lane: &Arc<Lane>) -> bool {
        let mut lanes = self.lanes.lock();
        // Slots are taken under the lock, so no call can take one meanwhile.
        let idle = lane.taken.load(Ordering::Relaxed) == 0;
        if idle {
            lanes.open.retain(|open| !Arc::ptr_eq(open, lane));
        }
        idle
    }
}
