//! A Redis server in memory. Its scripts are written again in Rust; the suite of the remote holds both to the same
//! behaviour.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_cache::remote::{Notice, Remote, RemoteError, Script};
use flotilla_clock::unit;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::random::SeededRandom;
use super::remote_scripts;

/// Messages that a subscriber may leave waiting.
const MESSAGES: usize = 100_000;

/// What goes wrong, each with a probability from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Losses {
    /// A request doesn't arrive.
    pub request: f64,
    /// A request is executed, and its response lost.
    pub response: f64,
    /// A subscriber doesn't receive a message.
    pub message: f64,
    /// Maximum time of a request, of a response and of a message; messages may overtake each other.
    pub latency: Duration,
}

/// A server. Clones are connections to the same one.
#[derive(Clone)]
pub struct MemoryRemote {
    shared: Arc<Shared>,
}

struct Shared {
    random: Arc<SeededRandom>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    data: Data,
    subscribers: Vec<Subscriber>,
    losses: Losses,
    is_down: bool,
    hangs: bool,
}

/// What a script works on.
#[derive(Default, Clone)]
pub(super) struct Data {
    values: HashMap<String, (Bytes, Option<Instant>)>,
    /// How far the server's clock is ahead.
    ahead: Duration,
    /// Messages of the script that is running.
    pub(super) published: Vec<(String, Bytes)>,
}

struct Subscriber {
    channel: String,
    sender: mpsc::Sender<Notice>,
    is_connected: bool,
}

/// All keys at one moment.
pub struct Snapshot(HashMap<String, (Bytes, Option<Instant>)>);

impl MemoryRemote {
    /// An empty server whose losses follow from `random`.
    pub fn new(random: Arc<SeededRandom>) -> Self {
        Self { shared: Arc::new(Shared { random, state: Mutex::default() }) }
    }

    /// What goes wrong from now on.
    pub fn set_losses(&self, losses: Losses) {
        self.shared.state.lock().losses = losses;
    }

    /// Stops the server, or starts it with what it had.
    pub fn set_down(&self, is_down: bool) {
        self.shared.state.lock().is_down = is_down;
        if is_down {
            self.disconnect();
        } else {
            self.connect();
        }
    }

    /// Lets requests hang, or goes on.
    pub fn set_hanging(&self, hangs: bool) {
        self.shared.state.lock().hangs = hangs;
    }

    /// Restarts without the data. Subscribers are connected again after a while.
    pub fn restart(&self) {
        self.shared.state.lock().data.values.clear();
        self.disconnect();
        self.connect();
    }

    /// All keys.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.shared.state.lock().data.values.clone())
    }

    /// Restarts with the keys of an earlier moment.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.shared.state.lock().data.values.clone_from(&snapshot.0);
        self.disconnect();
        self.connect();
    }

    /// Sets the server's clock forward: keys expire earlier.
    pub fn jump(&self, by: Duration) {
        self.shared.state.lock().data.ahead += by;
    }

    fn disconnect(&self) {
        for subscriber in &mut self.shared.state.lock().subscribers {
            subscriber.is_connected = false;
        }
    }

    fn connect(&self) {
        let count = self.shared.state.lock().subscribers.len();
        for at in 0..count {
            self.connect_one(at);
        }
    }

    fn connect_one(&self, at: usize) {
        let (server, delay) = (self.clone(), self.delay());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let mut state = server.shared.state.lock();
            if state.is_down {
                return;
            }
            let subscriber = &mut state.subscribers[at];
            subscriber.is_connected = true;
            // A full channel belongs to a test that doesn't read it.
            let _ = subscriber.sender.try_send(Notice::Subscribed);
        });
    }

    fn delay(&self) -> Duration {
        let latency = self.shared.state.lock().losses.latency;
        latency.mul_f64(unit(self.shared.random.as_ref()))
    }

    fn happens(&self, probability: f64) -> bool {
        probability > 0.0 && unit(self.shared.random.as_ref()) < probability
    }

    /// Sends a request and receives its response, if neither is lost.
    async fn request<T>(&self, execute: impl FnOnce(&mut Data) -> T + Send) -> Result<T, RemoteError> {
        let (losses, is_down, hangs) = {
            let state = self.shared.state.lock();
            (state.losses, state.is_down, state.hangs)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.delay()).await;
        if is_down || self.shared.state.lock().is_down || self.happens(losses.request) {
            return Err(RemoteError("the request was lost".to_owned()));
        }
        let (result, published) = {
            let mut state = self.shared.state.lock();
            let result = execute(&mut state.data);
            (result, std::mem::take(&mut state.data.published))
        };
        for (channel, message) in published {
            self.send(&channel, &message);
        }
        tokio::time::sleep(self.delay()).await;
        if self.happens(losses.response) {
            return Err(RemoteError("the response was lost".to_owned()));
        }
        Ok(result)
    }

    fn send(&self, channel: &str, message: &Bytes) {
        let receivers: Vec<_> = {
            let state = self.shared.state.lock();
            let connected = state.subscribers.iter().filter(|one| one.is_connected && one.channel == channel);
            connected.map(|one| one.sender.clone()).collect()
        };
        let losses = self.shared.state.lock().losses;
        for receiver in receivers {
            if self.happens(losses.message) {
                continue;
            }
            let (delay, message) = (self.delay(), message.clone());
            if delay.is_zero() {
                let _ = receiver.try_send(Notice::Message(message));
                continue;
            }
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = receiver.try_send(Notice::Message(message));
            });
        }
    }
}

#[async_trait]
impl Remote for MemoryRemote {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, RemoteError> {
        self.request(|data| data.get(key)).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), RemoteError> {
        self.request(|data| data.set(key, value, Some(ttl.max(Duration::from_millis(1))))).await
    }

    async fn delete(&self, key: &str) -> Result<(), RemoteError> {
        self.request(|data| data.delete(key)).await
    }

    async fn run(&self, script: &'static Script, keys: &[&str], args: &[Bytes]) -> Result<Vec<Bytes>, RemoteError> {
        self.request(|data| remote_scripts::run(script, data, keys, args)).await
    }

    async fn publish(&self, channel: &str, message: Bytes) -> Result<(), RemoteError> {
        self.request(|data| data.published.push((channel.to_owned(), message))).await
    }

    fn subscribe(&self, channel: &str) -> mpsc::Receiver<Notice> {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        let at = {
            let mut state = self.shared.state.lock();
            state.subscribers.push(Subscriber { channel: channel.to_owned(), sender, is_connected: false });
            state.subscribers.len() - 1
        };
        self.connect_one(at);
        receiver
    }

    fn is_connected(&self) -> bool {
        !self.shared.state.lock().is_down
    }

    async fn close(&self) {}
}

impl Data {
    pub(super) fn get(&mut self, key: &str) -> Option<Bytes> {
        let now = self.now();
        let (value, until) = self.values.get(key)?;
        if until.is_none_or(|until| until > now) {
            return Some(value.clone());
        }
        self.values.remove(key);
        None
    }

    pub(super) fn set(&mut self, key: &str, value: Bytes, ttl: Option<Duration>) {
        let until = ttl.map(|ttl| self.now() + ttl);
        self.values.insert(key.to_owned(), (value, until));
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// The remaining time of a key.
    pub(super) fn left(&mut self, key: &str) -> Option<Duration> {
        let now = self.now();
        self.get(key)?;
        self.values.get(key)?.1.map(|until| until.saturating_duration_since(now))
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }
}
