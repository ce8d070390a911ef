//! The switches of one process.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::gauge::ActiveFaults;
use crate::injection::{Injection, Refused};

/// The faults of a process: whether one is on, and the switches. Cheap to clone; clones share the switches.
#[derive(Clone)]
pub struct Faults {
    inner: Arc<Inner>,
}

struct Inner {
    allowed: bool,
    /// A bit for each fault that is on, or that has ended but hasn't been checked since.
    on: AtomicU8,
    /// A bit for each fault that this service supports.
    supported: AtomicU8,
    /// The sum of the shares of all operations checked, per fault.
    share_sums: [AtomicU32; Fault::ALL.len()],
    switches: Mutex<[Switch; Fault::ALL.len()]>,
    /// Changes whenever a switch does.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Switch {
    on: Option<(Injection, Instant)>,
    kept: Vec<Box<dyn Any + Send>>,
}

/// The state of a fault.
#[derive(Clone, Debug)]
pub struct Report {
    /// The fault.
    pub fault: Fault,
    /// Its strength and remaining time, while it is on.
    pub on: Option<(Injection, Duration)>,
}

impl Faults {
    /// Switches that can't be turned on. For production, and the default of components.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(false)
    }

    /// Switches that an operator can turn on; all are off.
    #[must_use]
    pub fn allowed() -> Self {
        Self::new(true)
    }

    fn new(allowed: bool) -> Self {
        let inner = Inner {
            allowed,
            on: AtomicU8::new(0),
            supported: AtomicU8::new(0),
            share_sums: Default::default(),
            switches: Mutex::default(),
            changed: watch::Sender::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Registers the metric of active faults.
    ///
    /// # Errors
    /// The metric is already registered.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(ActiveFaults::new(self.clone())?))
    }

    /// Whether faults can be turned on.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        self.inner.allowed
    }

    /// Declares that this service supports these faults; others can't be turned on.
    pub fn declare(&self, faults: &[Fault]) {
        let bits = faults.iter().fold(0, |bits, fault| bits | fault.bit());
        self.inner.supported.fetch_or(bits, Ordering::Relaxed);
    }

    /// Whether this service supports the fault.
    #[must_use]
    pub fn is_supported(&self, fault: Fault) -> bool {
        self.inner.supported.load(Ordering::Relaxed) & fault.bit() != 0
    }

    /// The fault's strength, if it is on. While none is on this is one relaxed load.
    #[inline]
    #[must_use]
    pub fn active(&self, fault: Fault) -> Option<Injection> {
        if self.inner.on.load(Ordering::Relaxed) & fault.bit() == 0 {
            return None;
        }
        self.unless_expired(fault).map(|(injection, _)| injection)
    }

    /// The fault's strength, if it is on and affects the current operation. Of each hundred operations, exactly its share
    /// is affected.
    #[inline]
    #[must_use]
    pub fn inject(&self, fault: Fault) -> Option<Injection> {
        let injection = self.active(fault)?;
        let share = u32::from(injection.share);
        // An operation is affected whenever the sum of shares passes a multiple of a hundred.
        let before = self.inner.share_sums[fault.index()].fetch_add(share, Ordering::Relaxed) % 100;
        (before + share >= 100).then_some(injection)
    }

    /// Waits while the fault is on; returns at once if it isn't.
    pub async fn until_off(&self, fault: Fault) {
        let mut changed = self.inner.changed.subscribe();
        while self.inner.on.load(Ordering::Relaxed) & fault.bit() != 0
            && let Some((_, end)) = self.unless_expired(fault)
        {
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    /// Keeps a value for as long as the fault is on, then drops it; drops it at once if the fault isn't on.
    pub fn keep(&self, fault: Fault, thing: Box<dyn Any + Send>) {
        let mut switches = self.inner.switches.lock();
        let switch = &mut switches[fault.index()];
        if switch.on.is_some() {
            switch.kept.push(thing);
        }
    }

    /// Number of values kept for the fault.
    #[must_use]
    pub fn kept(&self, fault: Fault) -> usize {
        self.inner.switches.lock()[fault.index()].kept.len()
    }

    /// Turns a fault on, or changes its strength and duration.
    ///
    /// # Errors
    /// Faults aren't allowed, this service doesn't support it, or a value is out of bounds.
    pub fn turn_on(&self, fault: Fault, injection: Injection) -> Result<(), Refused> {
        if !self.inner.allowed {
            return Err(Refused::NotAllowed);
        }
        if !self.is_supported(fault) {
            return Err(Refused::Unsupported(fault));
        }
        let injection = injection.checked()?;
        {
            let mut switches = self.inner.switches.lock();
            switches[fault.index()].on = Some((injection, Instant::now() + injection.lasts));
            self.inner.on.fetch_or(fault.bit(), Ordering::Relaxed);
        }
        self.inner.changed.send_replace(());
        Ok(())
    }

    /// Turns a fault off; returns whether it was on.
    pub fn turn_off(&self, fault: Fault) -> bool {
        let was = self.end(fault, |_| true);
        self.inner.changed.send_replace(());
        was
    }

    /// The state of all supported faults, in display order.
    #[must_use]
    pub fn report(&self) -> Vec<Report> {
        let supported = Fault::ALL.into_iter().filter(|fault| self.is_supported(*fault));
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        supported
            .map(|fault| Report {
                fault,
                on: self.unless_expired(fault).map(|(injection, end)| (injection, left(end))),
            })
            .collect()
    }

    /// The injection and its end. A fault that has expired is turned off by the first check.
    #[cold]
    fn unless_expired(&self, fault: Fault) -> Option<(Injection, Instant)> {
        self.end(fault, |end| end <= Instant::now());
        self.inner.switches.lock()[fault.index()].on
    }

    /// Turns a fault off if it is on and `condition` holds for its end; returns whether it did.
    fn end(&self, fault: Fault, condition: impl Fn(Instant) -> bool) -> bool {
        let mut switches = self.inner.switches.lock();
        let switch = &mut switches[fault.index()];
        if !switch.on.is_some_and(|(_, end)| condition(end)) {
            return false;
        }
        switch.on = None;
        let kept = std::mem::take(&mut switch.kept);
        self.inner.on.fetch_and(!fault.bit(), Ordering::Relaxed);
        drop(switches);
        // Outside the lock: dropping a kept value may use the switches.
        drop(kept);
        true
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::forbidden()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<_> = self.report().into_iter().filter(|report| report.on.is_some()).map(|it| it.fault).collect();
        f.debug_struct("Faults").field("allowed", &self.inner.allowed).field("on", &on).finish()
    }
}

#[cfg(test)]
mod tests;
