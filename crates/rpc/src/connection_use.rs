//! Tracks which connections of a server have calls, so that an idle one can be evicted for a new one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The calls of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionUse {
    state: Mutex<State>,
    close: CancellationToken,
}

#[derive(Debug)]
struct State {
    calls: usize,
    quiet_since: Instant,
}

impl ConnectionUse {
    fn new(close: CancellationToken) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { calls: 0, quiet_since: Instant::now() }), close })
    }

    /// Registers a call.
    pub fn begin(self: &Arc<Self>) -> CallInUse {
        self.state.lock().calls += 1;
        CallInUse(Arc::clone(self))
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (state.calls == 0).then_some(state.quiet_since)
    }
}

/// A call on a connection. The call ends when this is dropped.
#[derive(Debug)]
pub(crate) struct CallInUse(Arc<ConnectionUse>);

impl Drop for CallInUse {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.calls -= 1;
        state.quiet_since = Instant::now();
    }
}

/// The open connections of a server.
#[derive(Debug, Default)]
pub(crate) struct OpenConnections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_id: HashMap<u64, Arc<ConnectionUse>>,
}

impl OpenConnections {
    /// Registers a connection; cancelling `close` closes it.
    pub fn add(self: &Arc<Self>, close: CancellationToken) -> Registered {
        let used = ConnectionUse::new(close);
        let mut open = self.0.lock();
        let id = open.next;
        open.next += 1;
        open.by_id.insert(id, Arc::clone(&used));
        drop(open);
        Registered { connections: Arc::clone(self), id, used }
    }

    /// Closes the connection that has been idle longest, if there is one.
    pub fn close_idle(&self) {
        let mut open = self.0.lock();
        let idle = open.by_id.iter().filter_map(|(id, used)| Some((used.idle_since()?, *id)));
        let Some((_, id)) = idle.min() else { return };
        if let Some(used) = open.by_id.remove(&id) {
            used.close.cancel();
        }
    }
}

/// A registered connection, removed on drop.
#[derive(Debug)]
pub(crate) struct Registered {
    connections: Arc<OpenConnections>,
    id: u64,
    pub used: Arc<ConnectionUse>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.0.lock().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_longest_is_closed_and_one_in_use_is_not() {
        let open = Arc::new(OpenConnections::default());
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(open.add(CancellationToken::new()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let is_closed = |connection: &Registered| connection.used.close.is_cancelled();
        let call = held[0].used.begin();
        open.close_idle();
        assert_eq!(held.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false]);
        drop(call);
        open.close_idle();
        open.close_idle();
        open.close_idle();
        assert!(held.iter().all(is_closed));
        held.clear();
        assert!(open.0.lock().by_id.is_empty());
    }
}
