//! Database faults injected for exercises: slow transactions and leaked connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::Timeouts;
use flotilla_fault::{Fault, Faults, Injection};

use crate::error::Error;
use crate::sessions::{PooledSession, SessionPool};
use crate::tx::Tx;

/// The faults of one pool. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct PoolFaults {
    faults: Faults,
    leaked: Arc<AtomicUsize>,
}

/// A leaked connection; it returns to the pool when the fault ends.
struct Leaked {
    _session: PooledSession,
    count: Arc<AtomicUsize>,
}

impl Drop for Leaked {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PoolFaults {
    pub(crate) fn new(faults: &Faults) -> Self {
        faults.declare(&[Fault::SlowDatabase, Fault::LeakingPool]);
        Self { faults: faults.clone(), leaked: Arc::default() }
    }

    /// Delays a transaction that has just begun, in the server, if the fault applies.
    #[inline]
    pub(crate) async fn delay_commit(&self, tx: &Tx) -> Result<(), Error> {
        match self.faults.inject(Fault::SlowDatabase) {
            None => Ok(()),
            Some(Injection { delay, .. }) => {
                tx.batch_execute(&format!("SELECT FROM pg_sleep({})", delay.as_secs_f64())).await
            }
        }
    }

    /// Called before a connection is acquired: leaks one, like code that never returns its connection, until the
    /// configured share is leaked.
    #[inline]
    pub(crate) async fn leak_of(&self, pool: &SessionPool) {
        if let Some(injection) = self.faults.active(Fault::LeakingPool) {
            self.leak(pool, injection).await;
        }
    }

    #[cold]
    async fn leak(&self, pool: &SessionPool, injection: Injection) {
        let share = (pool.status().max_size * usize::from(injection.share)).div_ceil(100);
        if self.leaked.load(Ordering::Relaxed) >= share {
            return;
        }
        // Takes a connection only if one is free at once: only the caller itself waits for the remaining ones.
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..pool.timeouts() };
        if let Ok(session) = pool.timeout_get(&at_once).await {
            self.leaked.fetch_add(1, Ordering::Relaxed);
            self.faults
                .keep(Fault::LeakingPool, Box::new(Leaked { _session: session, count: Arc::clone(&self.leaked) }));
        }
    }
}
