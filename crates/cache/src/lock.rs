//! A lock that several processes share: Redlock over independent servers, with fencing numbers.
//!
//! **What it guarantees.** While servers keep their data and clocks run at about the same rate, at most one process holds
//! a lock at a time, and a lock whose holder died is free again after its time to live. Each acquisition has a higher
//! fencing number than every one before it, as long as a majority of the servers keeps its data.
//!
//! **What it doesn't.** A holder that pauses (a slow disk, a suspended virtual machine) can go on after its lock has
//! expired and another one has it; so can one whose server's clock jumped or whose server restarted without its data.
//! Nothing that the holder checks before it writes helps: the pause may come after the check. Only the resource can refuse
//! a late write, by comparing fencing numbers, and even they start over on servers that lose their data. So use it where
//! two holders cost double work and not a wrong result; where the result depends on it, let PostgreSQL decide.
//!
//! The algorithm is Redlock (<https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/>); the need for
//! fencing is Kleppmann's, "How to do distributed locking", 2016.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_clock::{Backoff, Random};
use futures::future::join_all;
use tokio::time::Instant;

use crate::guarded::Guarded;
use crate::random::number;
use crate::record;
use crate::remote::{Script, SharedRemote};
use crate::scripts::{ACQUIRE, EXTEND, RAISE, RELEASE};

/// How much the clocks' rates may differ: a hundredth of the time to live, and a little for short ones.
const DRIFT_SHARE: f64 = 0.01;
const DRIFT: Duration = Duration::from_millis(2);
/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Acquires locks on a set of servers. Cheap to clone.
#[derive(Clone)]
pub struct Lock {
    shared: Arc<Shared>,
}

struct Shared {
    servers: Vec<Guarded>,
    random: Arc<dyn Random>,
}

/// A lock that was acquired. Dropped, it expires; [`Held::release`] frees it at once.
pub struct Held {
    shared: Arc<Shared>,
    name: String,
    token: Bytes,
    fencing: u64,
    valid_until: Instant,
}

impl Lock {
    /// Locks on these servers, which must not replicate each other: one, or an odd number of them. A server that doesn't
    /// respond within `timeout` counts as down.
    pub fn new(servers: Vec<SharedRemote>, timeout: Duration, random: Arc<dyn Random>) -> Self {
        let servers = servers.into_iter().map(|server| Guarded::new(server, timeout)).collect();
        Self { shared: Arc::new(Shared { servers, random }) }
    }

    /// Acquires a lock for `ttl` if nobody has it.
    pub async fn try_acquire(&self, name: &str, ttl: Duration) -> Option<Held> {
        let shared = &self.shared;
        let began = Instant::now();
        let token: Bytes = format!("{:016x}{:016x}", shared.number(), shared.number()).into();
        let keys = [key(name), fencing_key(name)];
        let replies = shared.run(&ACQUIRE, &[&keys[0], &keys[1]], &[token.clone(), record::ttl(ttl)]).await;
        let numbers: Vec<u64> = replies.iter().flatten().filter_map(|reply| parse(reply.first()?)).collect();
        let mut held = Held {
            shared: Arc::clone(shared),
            name: name.to_owned(),
            token,
            fencing: numbers.iter().copied().max().unwrap_or_default(),
            valid_until: valid_until(began, ttl),
        };
        if shared.is_majority(numbers.len()) && held.raise().await && held.is_valid() {
            return Some(held);
        }
        held.free().await;
        None
    }

    /// Acquires a lock, trying again for up to `wait`.
    pub async fn acquire(&self, name: &str, ttl: Duration, wait: Duration) -> Option<Held> {
        let until = Instant::now() + wait;
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        loop {
            if let Some(held) = self.try_acquire(name, ttl).await {
                return Some(held);
            }
            let pause = backoff.next(self.shared.random.as_ref());
            if Instant::now() + pause >= until {
                return None;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl Held {
    /// The fencing number: higher than that of every earlier holder. Pass it to the resource, which must refuse lower ones
    /// than the highest that it has seen.
    pub fn fencing(&self) -> u64 {
        self.fencing
    }

    /// Whether the lock is still held by this process's clock. It can end between this check and what follows it.
    pub fn is_valid(&self) -> bool {
        Instant::now() < self.valid_until
    }

    /// Extends the lock to `ttl` from now on. False if it was lost; then it isn't valid any more.
    pub async fn extend(&mut self, ttl: Duration) -> bool {
        let began = Instant::now();
        let keys = [key(&self.name)];
        let replies = self.shared.run(&EXTEND, &[&keys[0]], &[self.token.clone(), record::ttl(ttl)]).await;
        let extended = replies.iter().flatten().filter(|reply| is_done(reply)).count();
        if !self.is_valid() || !self.shared.is_majority(extended) {
            self.valid_until = began;
            return false;
        }
        self.valid_until = valid_until(began, ttl);
        self.is_valid()
    }

    /// Frees the lock, if it is still this one's. True if a majority of the servers still had it.
    pub async fn release(self) -> bool {
        let freed = self.free().await;
        self.shared.is_majority(freed)
    }

    /// Raises a majority's fencing numbers to this one. Any later majority has a server in common with it, and so gets a
    /// higher number; without this, one of other servers could get a lower number.
    async fn raise(&mut self) -> bool {
        if self.shared.servers.len() == 1 {
            return true;
        }
        let keys = [fencing_key(&self.name)];
        let number = self.fencing.to_string().into();
        let replies = self.shared.run(&RAISE, &[&keys[0]], &[number]).await;
        self.shared.is_majority(replies.iter().flatten().count())
    }

    /// On all servers: one whose response was lost may have it too.
    async fn free(&self) -> usize {
        let keys = [key(&self.name)];
        let replies = self.shared.run(&RELEASE, &[&keys[0]], std::slice::from_ref(&self.token)).await;
        replies.iter().flatten().filter(|reply| is_done(reply)).count()
    }
}

impl Shared {
    /// Runs a script on all servers at once.
    async fn run(&self, script: &'static Script, keys: &[&str], args: &[Bytes]) -> Vec<Option<Vec<Bytes>>> {
        join_all(self.servers.iter().map(|server| server.run(script, keys, args))).await
    }

    fn is_majority(&self, count: usize) -> bool {
        count > self.servers.len() / 2
    }

    fn number(&self) -> u64 {
        number(self.random.as_ref())
    }
}

/// Until when a lock that was asked for at `began` is surely held.
fn valid_until(began: Instant, ttl: Duration) -> Instant {
    began + ttl.saturating_sub(ttl.mul_f64(DRIFT_SHARE) + DRIFT)
}

fn is_done(reply: &[Bytes]) -> bool {
    reply.first().is_some_and(|done| done.as_ref() == b"1")
}

fn parse(number: &Bytes) -> Option<u64> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn key(name: &str) -> String {
    format!("lock:{{{name}}}")
}

fn fencing_key(name: &str) -> String {
    format!("lock:{{{name}}}:fencing")
}
