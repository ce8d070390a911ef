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
    /// A bit for each fault that is on, or was until its time ran out and nobody has asked since.
    on: AtomicU8,
    /// A bit for each fault that something here asks about.
    here: AtomicU8,
    /// What comes by, counted in shares of a hundred.
    passed: [AtomicU32; Fault::ALL.len()],
    switches: Mutex<[Switch; Fault::ALL.len()]>,
    /// Changes whenever a switch does.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Switch {
    on: Option<(Injection, Instant)>,
    kept: Vec<Box<dyn Any + Send>>,
}

/// Where a fault stands.
#[derive(Clone, Debug)]
pub struct Report {
    /// The fault.
    pub fault: Fault,
    /// Its strength and what is left of its time, while it is on.
    pub on: Option<(Injection, Duration)>,
}

impl Faults {
    /// Switches that stay off: nothing turns them on. For production, and for all who were told of no faults.
    #[must_use]
    pub fn impossible() -> Self {
        Self::new(false)
    }

    /// Switches that an operator may turn on; all off.
    #[must_use]
    pub fn allowed() -> Self {
        Self::new(true)
    }

    fn new(allowed: bool) -> Self {
        let inner = Inner {
            allowed,
            on: AtomicU8::new(0),
            here: AtomicU8::new(0),
            passed: Default::default(),
            switches: Mutex::default(),
            changed: watch::Sender::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Shows in the registry which faults are on.
    ///
    /// # Errors
    /// The registry has this metric already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(ActiveFaults::new(self.clone())?))
    }

    /// Whether any of them may be turned on.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        self.inner.allowed
    }

    /// Says that something here is struck by these faults; what nobody declares can't be turned on.
    pub fn declare(&self, faults: &[Fault]) {
        let bits = faults.iter().fold(0, |bits, fault| bits | fault.bit());
        self.inner.here.fetch_or(bits, Ordering::Relaxed);
    }

    /// Whether something here is struck by it.
    #[must_use]
    pub fn strikes_here(&self, fault: Fault) -> bool {
        self.inner.here.load(Ordering::Relaxed) & fault.bit() != 0
    }

    /// The fault's strength, if it is on. While none is on this is one relaxed load.
    #[inline]
    #[must_use]
    pub fn active(&self, fault: Fault) -> Option<Injection> {
        if self.inner.on.load(Ordering::Relaxed) & fault.bit() == 0 {
            return None;
        }
        self.unless_over(fault).map(|(injection, _)| injection)
    }

    /// The fault's strength, if it is on and strikes what comes by now. Its share is kept exactly over each hundred.
    #[inline]
    #[must_use]
    pub fn strikes(&self, fault: Fault) -> Option<Injection> {
        let injection = self.active(fault)?;
        let share = u32::from(injection.share);
        // Whenever the sum of shares goes over a hundred, one is due.
        let before = self.inner.passed[fault.index()].fetch_add(share, Ordering::Relaxed) % 100;
        (before + share >= 100).then_some(injection)
    }

    /// Waits while the fault is on; returns at once where it isn't.
    pub async fn until_off(&self, fault: Fault) {
        let mut changed = self.inner.changed.subscribe();
        while self.inner.on.load(Ordering::Relaxed) & fault.bit() != 0
            && let Some((_, end)) = self.unless_over(fault)
        {
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    /// Keeps something for as long as the fault is on, then drops it; at once where it isn't on.
    pub fn keep(&self, fault: Fault, thing: Box<dyn Any + Send>) {
        let mut switches = self.inner.switches.lock();
        let switch = &mut switches[fault.index()];
        if switch.on.is_some() {
            switch.kept.push(thing);
        }
    }

    /// How many things are kept for it.
    #[must_use]
    pub fn kept(&self, fault: Fault) -> usize {
        self.inner.switches.lock()[fault.index()].kept.len()
    }

    /// Turns a fault on, or on anew with another strength and length.
    ///
    /// # Errors
    /// Faults aren't allowed, nothing here is struck by it, or a value is out of bounds.
    pub fn turn_on(&self, fault: Fault, injection: Injection) -> Result<(), Refused> {
        if !self.inner.allowed {
            return Err(Refused::NotAllowed);
        }
        if !self.strikes_here(fault) {
            return Err(Refused::StrikesNothing(fault));
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

    /// Turns a fault off; says whether it was on.
    pub fn turn_off(&self, fault: Fault) -> bool {
        let was = self.end(fault, |_| true);
        self.inner.changed.send_replace(());
        was
    }

    /// All that can strike here, in their order, and where each stands.
    #[must_use]
    pub fn report(&self) -> Vec<Report> {
        let here = Fault::ALL.into_iter().filter(|fault| self.strikes_here(*fault));
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        here.map(|fault| Report { fault, on: self.unless_over(fault).map(|(injection, end)| (injection, left(end))) })
            .collect()
    }

    /// The injection and its end; a fault whose time has run out is turned off by whoever asks first.
    #[cold]
    fn unless_over(&self, fault: Fault) -> Option<(Injection, Instant)> {
        self.end(fault, |end| end <= Instant::now());
        self.inner.switches.lock()[fault.index()].on
    }

    /// Ends a fault whose end pleases `over`; says whether it did.
    fn end(&self, fault: Fault, over: impl Fn(Instant) -> bool) -> bool {
        let mut switches = self.inner.switches.lock();
        let switch = &mut switches[fault.index()];
        if !switch.on.is_some_and(|(_, end)| over(end)) {
            return false;
        }
        switch.on = None;
        let kept = std::mem::take(&mut switch.kept);
        self.inner.on.fetch_and(!fault.bit(), Ordering::Relaxed);
        drop(switches);
        // What is kept may ask for the switches as it goes.
        drop(kept);
        true
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::impossible()
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
