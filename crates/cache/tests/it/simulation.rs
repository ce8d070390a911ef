//! Processes read and write while messages, requests and responses are lost, Redis stops, hangs, restarts empty or with
//! old data, and loads are slow, fail or are cancelled. In virtual time; what happens follows from a seed.
//!
//! Each read is checked:
//! * Never an older version than the same process has served or invalidated before; without versions, than it has
//!   invalidated before.
//! * Never older than the time to live, or, marked as stale, than that and the bound of stale.
//! * Never older than an invalidation that Redis knows of, once the time in memory has passed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_cache::{Found, Loaded, Policy, TwoLevelCache};
use flotilla_clock::unit;
use flotilla_testkit::memory::{Losses, MemoryRemote, SeededRandom, Snapshot};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::fixtures::{LOAD_TIMEOUT, MEMORY_TTL, Process, STALE, TTL, policy};

const PROCESSES: usize = 3;
const KEYS: [&str; 3] = ["a", "b", "c"];
const LENGTH: Duration = Duration::from_secs(240);
/// Slack of a bound: what is due in one instant may run in any order.
const SLACK: Duration = Duration::from_millis(2);

/// What goes on in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The source knows versions.
    Versions,
    /// It doesn't.
    NoVersions,
    /// It does, and Redis restarts with old data.
    OldData,
}

struct World {
    kind: Kind,
    random: Arc<SeededRandom>,
    remote: MemoryRemote,
    caches: Vec<TwoLevelCache<Bytes>>,
    facts: Mutex<Facts>,
    end: Instant,
}

#[derive(Default)]
struct Facts {
    /// The moments of each key's versions: version 1 is the first.
    commits: HashMap<&'static str, Vec<Instant>>,
    /// Invalidations that Redis knows of.
    acknowledged: Vec<(&'static str, u64, Instant)>,
    /// The newest version that a process has served or invalidated.
    seen: HashMap<(usize, &'static str), u64>,
    reads: usize,
    stale: usize,
    loads: usize,
}

impl Facts {
    /// The version of a key at a moment.
    fn version_at(&self, key: &str, at: Option<Instant>) -> u64 {
        let commits = self.commits.get(key).into_iter().flatten();
        commits.filter(|commit| at.is_some_and(|at| **commit <= at)).count() as u64
    }

    fn see(&mut self, process: usize, key: &'static str, version: u64) {
        let seen = self.seen.entry((process, key)).or_default();
        *seen = version.max(*seen);
    }
}

impl World {
    fn below(&self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    fn happens(&self, probability: f64) -> bool {
        unit(self.random.as_ref()) < probability
    }

    async fn pause(&self, most_ms: u64) {
        sleep(Duration::from_millis(self.below(most_ms))).await;
    }

    fn key(&self) -> &'static str {
        KEYS[self.below(KEYS.len() as u64) as usize]
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    async fn load(&self, key: &'static str) -> Result<Loaded<Bytes>, &'static str> {
        self.facts.lock().loads += 1;
        // Some take longer than a load may.
        let slow = if self.happens(0.05) { LOAD_TIMEOUT.as_millis() as u64 } else { 200 };
        self.pause(slow).await;
        let version = self.facts.lock().version_at(key, Some(Instant::now()));
        self.pause(slow).await;
        if self.happens(0.1) {
            return Err("the source is down");
        }
        let value = (!version.is_multiple_of(7)).then(|| version.to_string().into());
        Ok(Loaded { value, version: if self.kind == Kind::NoVersions { 0 } else { version } })
    }

    async fn write(&self) {
        while self.goes_on() {
            self.pause(4_000).await;
            let (process, key) = (self.below(PROCESSES as u64) as usize, self.key());
            let version = {
                let mut facts = self.facts.lock();
                facts.commits.entry(key).or_default().push(Instant::now());
                facts.version_at(key, Some(Instant::now()))
            };
            if self.happens(0.1) {
                // Nobody invalidates: only the time to live helps.
                continue;
            }
            self.pause(100).await;
            let cache = &self.caches[process];
            let is_known = match (self.kind, self.below(3)) {
                (Kind::NoVersions, _) | (Kind::Versions, 0) => cache.invalidate(key, None).await,
                (_, 0 | 1) => cache.invalidate(key, Some(version)).await,
                _ => {
                    let value = (!version.is_multiple_of(7)).then(|| version.to_string().into());
                    cache.put(key, Loaded { value, version }).await
                }
            };
            let mut facts = self.facts.lock();
            facts.see(process, key, version);
            if is_known {
                facts.acknowledged.push((key, version, Instant::now()));
            }
        }
    }

    async fn read(&self, process: usize) {
        while self.goes_on() {
            self.pause(400).await;
            let key = self.key();
            let began = Instant::now();
            let least_seen = self.facts.lock().seen.get(&(process, key)).copied().unwrap_or_default();
            let reading = self.caches[process].get(key, || self.load(key));
            let patience = if self.happens(0.1) { self.below(300) } else { 60_000 };
            let Ok(result) = timeout(Duration::from_millis(patience), reading).await else { continue };
            if let Ok(found) = result {
                self.check(process, key, began, least_seen, &found);
            }
        }
    }

    /// The version of a value. That there is none has the version of which it is known, if any is.
    fn version(&self, found: &Found<Bytes>) -> Option<u64> {
        match found.value() {
            Some(value) => Some(std::str::from_utf8(value).unwrap().parse().unwrap()),
            None => (self.kind != Kind::NoVersions).then(|| found.version()),
        }
    }

    fn check(&self, process: usize, key: &'static str, began: Instant, least_seen: u64, found: &Found<Bytes>) {
        let Some(version) = self.version(found) else { return };
        let mut facts = self.facts.lock();
        let what = format!("{key} in process {process} at {:?}: version {version}", began + LENGTH - self.end);
        let bound = if found.is_stale() { TTL + STALE } else { TTL };
        let least = facts.version_at(key, began.checked_sub(bound + SLACK));
        assert!(version >= least, "{what}, but {least} was there for {bound:?}");
        if self.kind != Kind::OldData && !found.is_stale() {
            let since = began.checked_sub(MEMORY_TTL + SLACK);
            let known =
                facts.acknowledged.iter().filter(|(of, _, at)| *of == key && since.is_some_and(|since| *at <= since));
            let least = known.map(|(_, version, _)| *version).max().unwrap_or_default();
            assert!(version >= least, "{what}, but redis knows of {least} for {MEMORY_TTL:?}");
        }
        assert!(version >= least_seen, "{what}, but {least_seen} was seen before");
        if self.kind != Kind::NoVersions {
            facts.see(process, key, version);
        }
        facts.reads += 1;
        facts.stale += usize::from(found.is_stale());
    }

    async fn disturb(&self) {
        let mut old: Option<Snapshot> = None;
        while self.goes_on() {
            self.pause(5_000).await;
            match self.below(8) {
                0 | 1 => self.remote.set_losses(self.losses()),
                2 => self.remote.set_losses(Losses::default()),
                3 | 4 => match old.take().filter(|_| self.kind == Kind::OldData) {
                    Some(snapshot) => self.remote.restore(&snapshot),
                    None => self.remote.restart(),
                },
                5 => {
                    self.remote.set_down(true);
                    self.pause(10_000).await;
                    self.remote.set_down(false);
                }
                6 => {
                    self.remote.set_hanging(true);
                    self.pause(3_000).await;
                    self.remote.set_hanging(false);
                }
                _ => old = Some(self.remote.snapshot()),
            }
        }
    }

    fn losses(&self) -> Losses {
        let share = |most: f64| most * unit(self.random.as_ref());
        Losses {
            request: share(0.3),
            response: share(0.3),
            message: share(1.0),
            latency: Duration::from_millis(self.below(40)),
        }
    }
}

async fn run(seed: u64, kind: Kind) -> (usize, usize, usize) {
    println!("seed {seed}, {kind:?}");
    let random = Arc::new(SeededRandom::new(seed));
    let remote = MemoryRemote::new(Arc::clone(&random));
    // In some worlds there is room for a few entries only.
    let policy = Policy { memory: if seed.is_multiple_of(2) { 1 << 20 } else { 2_000 }, ..policy() };
    let start = |_| Process::start(Some(&remote), &random, policy.clone()).cache;
    let caches = (0..PROCESSES).map(start).collect();
    let end = Instant::now() + LENGTH;
    let commits = KEYS.map(|key| (key, vec![Instant::now()])).into();
    let facts = Mutex::new(Facts { commits, ..Facts::default() });
    let world = Arc::new(World { kind, random, remote, caches, facts, end });
    let mut tasks = JoinSet::new();
    for process in 0..PROCESSES {
        for _ in 0..2 {
            let world = Arc::clone(&world);
            tasks.spawn(async move { world.read(process).await });
        }
        let world = Arc::clone(&world);
        tasks.spawn(async move { world.write().await });
    }
    let disturbed = Arc::clone(&world);
    tasks.spawn(async move { disturbed.disturb().await });
    while let Some(ended) = tasks.join_next().await {
        assert!(ended.is_ok(), "seed {seed}, {kind:?}: {ended:?}");
    }
    let facts = world.facts.lock();
    (facts.reads, facts.stale, facts.loads)
}

async fn run_all(kind: Kind) {
    let (mut reads, mut stale, mut loads) = (0, 0, 0);
    for seed in 0..12 {
        let (read, fallen_back, loaded) = run(seed, kind).await;
        (reads, stale, loads) = (reads + read, stale + fallen_back, loads + loaded);
    }
    println!("{reads} reads, {loads} loads, {stale} stale");
    assert!(reads > 5_000 && loads < reads / 2 && stale > 0, "{reads} reads, {loads} loads, {stale} stale");
}

#[tokio::test(start_paused = true)]
async fn with_versions_no_process_goes_back_and_every_bound_holds() {
    run_all(Kind::Versions).await;
}

#[tokio::test(start_paused = true)]
async fn without_versions_every_bound_holds() {
    run_all(Kind::NoVersions).await;
}

#[tokio::test(start_paused = true)]
async fn a_redis_with_old_data_takes_no_process_back() {
    run_all(Kind::OldData).await;
}
