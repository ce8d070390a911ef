//! What becomes of a connection's calls, as far as it tells good clients from others.
//!
//! Each call is in flight from its headers to when its answer has been written. While it is, the gateway works on it (the
//! answer is in the making, or a stream has nothing to say) or waits for the client to take a piece of it. A client that
//! leaves an answer untaken too long has stalled; one that breaks off call after call (HTTP/2 rapid reset) is abusive;
//! a connection without a call for long is idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Over which time broken calls are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// An answer that isn't taken for so long makes room for others where that is short.
const SLOW: Duration = Duration::from_secs(1);

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// A connection may be without a call.
    pub idle: Duration,
    /// An answer may wait to be taken.
    pub untaken: Duration,
    /// Calls may be broken off within ten seconds.
    pub broken: u32,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Idle,
    Stalled,
}

/// A call in flight.
#[derive(Debug, Clone, Copy)]
struct Slot {
    open: bool,
    /// Whether headers or a piece of the answer wait for the client's leave to be sent.
    offered: bool,
    /// Pieces that were handed on and aren't written to the connection yet.
    unwritten: u32,
    /// When the client last took something.
    since: Instant,
}

impl Slot {
    /// Since when the client has left something untaken.
    fn untaken_since(&self) -> Option<Instant> {
        (self.open && (self.offered || self.unwritten > 0)).then_some(self.since)
    }
}

/// The calls of one connection.
#[derive(Debug)]
pub struct Activity {
    timeouts: Timeouts,
    abused: AtomicBool,
    aborted: AtomicBool,
    calls: Mutex<Calls>,
}

#[derive(Debug)]
struct Calls {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// When the last call ended.
    quiet_since: Instant,
    broken: u32,
    window: Instant,
}

impl Activity {
    /// A connection without calls.
    pub fn new(timeouts: Timeouts) -> Arc<Self> {
        let now = Instant::now();
        let calls = Calls { slots: Vec::new(), free: Vec::new(), quiet_since: now, broken: 0, window: now };
        let (abused, aborted) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { timeouts, abused, aborted, calls: Mutex::new(calls) })
    }

    /// A call has come.
    pub fn begin(self: &Arc<Self>) -> OpenCall {
        let slot = Slot { open: true, offered: false, unwritten: 0, since: Instant::now() };
        let mut calls = self.calls.lock();
        let index = calls.free.pop().unwrap_or(calls.slots.len());
        if index == calls.slots.len() {
            calls.slots.push(slot);
        } else {
            calls.slots[index] = slot;
        }
        drop(calls);
        OpenCall { activity: Arc::clone(self), index, ended: AtomicBool::new(false) }
    }

    /// Whether the client breaks off too many calls. Asked at every turn of the connection, so it costs next to nothing.
    pub fn is_abused(&self) -> bool {
        self.abused.load(Ordering::Relaxed)
    }

    /// The connection is to end without further ado.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Whether it is.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Since when the connection has been of no use: it has no call, or leaves each of its answers untaken.
    pub fn unused_since(&self, now: Instant) -> Option<Instant> {
        let calls = self.calls.lock();
        if calls.free.len() == calls.slots.len() {
            return Some(calls.quiet_since);
        }
        let open = calls.slots.iter().filter(|slot| slot.open);
        let since = open.map(Slot::untaken_since).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        (now.duration_since(since) >= SLOW).then_some(since)
    }

    /// What is wrong by now.
    pub fn fault(&self, now: Instant) -> Option<Fault> {
        let calls = self.calls.lock();
        if calls.free.len() == calls.slots.len() {
            return (now.duration_since(calls.quiet_since) >= self.timeouts.idle).then_some(Fault::Idle);
        }
        let untaken = |since: Instant| now.duration_since(since) >= self.timeouts.untaken;
        calls.slots.iter().filter_map(Slot::untaken_since).any(untaken).then_some(Fault::Stalled)
    }

    /// How often to ask for faults: none is found later than a quarter of its time too late.
    pub fn round(&self) -> Duration {
        (self.timeouts.idle.min(self.timeouts.untaken) / 4).clamp(Duration::from_millis(5), WINDOW)
    }
}

/// A call in flight. Dropped before its end, the client has broken it off.
#[derive(Debug)]
pub struct OpenCall {
    activity: Arc<Activity>,
    index: usize,
    ended: AtomicBool,
}

impl OpenCall {
    /// A piece of the answer was handed on to be written.
    pub fn handed_on(&self) {
        self.change(|slot| slot.unwritten += 1);
    }

    /// A piece has been written, or the connection has dropped it.
    pub fn written(&self) {
        self.change(|slot| {
            slot.unwritten = slot.unwritten.saturating_sub(1);
            slot.since = Instant::now();
        });
    }

    /// Whether the answer has come to its end, as far as the gateway is concerned.
    pub fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.activity.calls.lock().slots.get_mut(self.index) {
            change(slot);
        }
    }

    /// Something waits for the client's leave to be sent.
    pub fn offer(&self) {
        self.change(|slot| {
            (slot.offered, slot.since) = (true, Instant::now());
        });
    }

    /// Nothing does: the answer is in the making, or a stream has nothing to say.
    pub fn nothing_to_offer(&self) {
        self.change(|slot| slot.offered = false);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut calls = self.activity.calls.lock();
        if let Some(slot) = calls.slots.get_mut(self.index) {
            slot.open = false;
        }
        calls.free.push(self.index);
        calls.quiet_since = now;
        if *self.ended.get_mut() {
            return;
        }
        if now.duration_since(calls.window) > WINDOW {
            calls.window = now;
            calls.broken = 0;
        }
        calls.broken += 1;
        if calls.broken > self.activity.timeouts.broken {
            self.activity.abused.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
