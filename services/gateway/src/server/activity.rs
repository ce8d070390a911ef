//! Tracks a connection's calls, to distinguish good clients from abusive ones.
//!
//! A call is in flight from its headers until its response has been written. Meanwhile either the gateway works on it
//! (the response isn't ready, or a stream has nothing to send) or it waits for the client to read a piece of it. A
//! client that doesn't read a response for too long is stalled; one that cancels call after call (HTTP/2 rapid reset)
//! is abusive; a connection without a call for too long is idle. Cancelled calls also count for their address, which
//! may spread them over many connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_rpc::RateLimiter;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The period over which cancelled calls are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// A connection whose responses haven't been read for this long may be evicted when room is needed.
const SLOW: Duration = Duration::from_secs(1);

/// Time limits, and how many cancelled calls are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long a connection may be without a call.
    pub idle: Duration,
    /// How long a response may stay unread.
    pub untaken: Duration,
    /// How many calls may be cancelled within ten seconds.
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
    /// Whether headers or a piece of the response are waiting for the client's flow control.
    offered: bool,
    /// Pieces that were passed on and haven't been written to the connection yet.
    unwritten: u32,
    /// When the client last read something.
    since: Instant,
}

impl Slot {
    /// Since when the client has left something unread.
    fn untaken_since(&self) -> Option<Instant> {
        (self.open && (self.offered || self.unwritten > 0)).then_some(self.since)
    }
}

/// The calls of one connection.
#[derive(Debug)]
pub struct Activity {
    timeouts: Timeouts,
    /// How many calls each address may cancel.
    resets: Arc<RateLimiter<IpAddr>>,
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
    /// The activity of a connection without calls. Cancelled calls count in `resets`.
    pub fn new(timeouts: Timeouts, resets: Arc<RateLimiter<IpAddr>>) -> Arc<Self> {
        let now = Instant::now();
        let calls = Calls { slots: Vec::new(), free: Vec::new(), quiet_since: now, broken: 0, window: now };
        let (abused, aborted) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { timeouts, resets, abused, aborted, calls: Mutex::new(calls) })
    }

    /// Registers a call from `address`.
    pub fn begin(self: &Arc<Self>, address: IpAddr) -> OpenCall {
        let slot = Slot { open: true, offered: false, unwritten: 0, since: Instant::now() };
        let mut calls = self.calls.lock();
        let index = calls.free.pop().unwrap_or(calls.slots.len());
        if index == calls.slots.len() {
            calls.slots.push(slot);
        } else {
            calls.slots[index] = slot;
        }
        drop(calls);
        OpenCall { activity: Arc::clone(self), address, index, ended: AtomicBool::new(false) }
    }

    /// Whether the client cancels too many calls. Checked on every poll of the connection, so it must be cheap.
    pub fn is_abused(&self) -> bool {
        self.abused.load(Ordering::Relaxed)
    }

    /// Requests that the connection ends at once.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Whether that was requested.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Since when the connection has been unused: it has no call, or all of its responses are unread.
    pub fn unused_since(&self, now: Instant) -> Option<Instant> {
        let calls = self.calls.lock();
        if calls.free.len() == calls.slots.len() {
            return Some(calls.quiet_since);
        }
        let open = calls.slots.iter().filter(|slot| slot.open);
        let since = open.map(Slot::untaken_since).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        (now.duration_since(since) >= SLOW).then_some(since)
    }

    /// The present fault, if any.
    pub fn fault(&self, now: Instant) -> Option<Fault> {
        let calls = self.calls.lock();
        if calls.free.len() == calls.slots.len() {
            return (now.duration_since(calls.quiet_since) >= self.timeouts.idle).then_some(Fault::Idle);
        }
        let untaken = |since: Instant| now.duration_since(since) >= self.timeouts.untaken;
        calls.slots.iter().filter_map(Slot::untaken_since).any(untaken).then_some(Fault::Stalled)
    }

    /// How often to check for faults: none is detected later than a quarter of its time limit.
    pub fn round(&self) -> Duration {
        (self.timeouts.idle.min(self.timeouts.untaken) / 4).clamp(Duration::from_millis(5), WINDOW)
    }
}

/// A call in flight. Dropping it before its end means that the client cancelled it.
#[derive(Debug)]
pub struct OpenCall {
    activity: Arc<Activity>,
    address: IpAddr,
    index: usize,
    ended: AtomicBool,
}

impl OpenCall {
    /// A piece of the response was passed on to be written.
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

    /// Records whether the response is complete, as far as the gateway is concerned.
    pub fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.activity.calls.lock().slots.get_mut(self.index) {
            change(slot);
        }
    }

    /// Something waits for the client's flow control.
    pub fn offer(&self) {
        self.change(|slot| {
            (slot.offered, slot.since) = (true, Instant::now());
        });
    }

    /// Nothing waits: the response isn't ready, or a stream has nothing to send.
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
        self.activity.resets.charge(self.address, 1);
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
