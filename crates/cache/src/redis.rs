//! The remote on the client `fred`. No other file names that client.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_config::{ExposeSecret, SecretString};
use fred::prelude::{
    Builder, Client, ClientLike, Config, Error, EventInterface, Expiration, KeysInterface, PubsubInterface,
    ReconnectPolicy, Value,
};
use fred::types::ConnectHandle;
use fred::types::config::UnresponsiveConfig;
use fred::types::scripts::Script as LoadedScript;
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::remote::{Notice, Remote, RemoteError, Script};

/// Timeout of closing the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of commands waiting to be sent; further ones fail at once.
const QUEUE: usize = 4_096;
/// Maximum number of messages that a slow subscriber leaves waiting; then it counts as disconnected.
const MESSAGES: usize = 4_096;
/// Pause before a failed subscription is tried again.
const SUBSCRIBE_PAUSE: Duration = Duration::from_millis(200);

/// A connection to Redis or Valkey. Subscriptions get connections of their own.
pub struct Redis {
    client: Client,
    name: &'static str,
    config: Config,
    timeout: Duration,
    scripts: Mutex<HashMap<&'static str, LoadedScript>>,
    tasks: Mutex<Option<(ConnectHandle, JoinHandle<()>)>>,
}

impl Redis {
    /// Connects in the background, again and again. `None` if the address is invalid.
    pub fn connect(name: &'static str, url: &SecretString, timeout: Duration) -> Option<Self> {
        let config = parse_url(url)?;
        let client = client(&config, timeout)?;
        let watch = flotilla_telemetry::spawn(watch(name, client.clone()));
        let connection = client.connect();
        let tasks = Mutex::new(Some((connection, watch)));
        Some(Self { client, name, config, timeout, scripts: Mutex::default(), tasks })
    }

    fn loaded(&self, script: &'static Script) -> LoadedScript {
        let mut scripts = self.scripts.lock();
        scripts.entry(script.name).or_insert_with(|| LoadedScript::from_lua(script.lua)).clone()
    }
}

#[async_trait]
impl Remote for Redis {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, RemoteError> {
        Ok(self.client.get(key).await?)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), RemoteError> {
        let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1);
        Ok(self.client.set(key, value, Some(Expiration::PX(ttl)), None, false).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), RemoteError> {
        Ok(self.client.del(key).await?)
    }

    async fn run(&self, script: &'static Script, keys: &[&str], args: &[Bytes]) -> Result<Vec<Bytes>, RemoteError> {
        let args: Vec<Value> = args.iter().cloned().map(Value::Bytes).collect();
        // A restarted server has lost its scripts: then the script is loaded again.
        Ok(self.loaded(script).evalsha_with_reload(&self.client, keys.to_vec(), args).await?)
    }

    async fn publish(&self, channel: &str, message: Bytes) -> Result<(), RemoteError> {
        let _: i64 = self.client.publish(channel, Value::Bytes(message)).await?;
        Ok(())
    }

    fn subscribe(&self, channel: &str) -> mpsc::Receiver<Notice> {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        // The address was valid before.
        if let Some(client) = client(&self.config, self.timeout) {
            let subscriber = Subscriber { client, cache: self.name, channel: channel.to_owned(), sender };
            flotilla_telemetry::spawn(subscriber.run());
        }
        receiver
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    async fn close(&self) {
        let tasks = self.tasks.lock().take();
        let Some((connection, watch)) = tasks else { return };
        let abort = connection.abort_handle();
        let quit = async {
            if let Err(error) = self.client.quit().await {
                tracing::debug!(error = %error, "redis connection did not quit");
            }
            // An error here only means that it wasn't connected.
            let _ = connection.await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, quit).await.is_err() {
            abort.abort();
        }
        watch.abort();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some((connection, watch)) = self.tasks.lock().take() {
            connection.abort();
            watch.abort();
        }
    }
}

/// A subscription: a connection of its own, because a connection that subscribes takes no other commands.
struct Subscriber {
    client: Client,
    cache: &'static str,
    channel: String,
    sender: mpsc::Sender<Notice>,
}

impl Subscriber {
    async fn run(self) {
        let (mut connections, mut messages) = (self.client.reconnect_rx(), self.client.message_rx());
        let connection = self.client.connect();
        loop {
            let notice = tokio::select! {
                () = self.sender.closed() => break,
                connected = connections.recv() => match connected {
                    Ok(_) | Err(RecvError::Lagged(_)) if self.subscribe().await => Notice::Subscribed,
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => break,
                },
                message = messages.recv() => match message {
                    Ok(message) => Notice::Message(message.value.into_bytes().unwrap_or_default()),
                    // Messages were lost, as in a new subscription.
                    Err(RecvError::Lagged(_)) => Notice::Subscribed,
                    Err(RecvError::Closed) => break,
                },
            };
            if self.sender.send(notice).await.is_err() {
                break;
            }
        }
        connection.abort();
    }

    /// Subscribes; false if the connection was lost again or the receiver is gone.
    async fn subscribe(&self) -> bool {
        while self.client.is_connected() && !self.sender.is_closed() {
            match self.client.subscribe(self.channel.as_str()).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::debug!(cache = self.cache, error = %error, "redis subscription failed");
                    tokio::time::sleep(SUBSCRIBE_PAUSE).await;
                }
            }
        }
        false
    }
}

/// Logs when Redis becomes unavailable and available, once each, however often connecting fails.
async fn watch(name: &'static str, client: Client) {
    let (mut errors, mut connections) = (client.error_rx(), client.reconnect_rx());
    let mut logged_down = false;
    loop {
        tokio::select! {
            error = errors.recv() => match error {
                Ok((error, _)) if !logged_down => {
                    tracing::warn!(cache = name, error = %error, "redis is failing, reads may miss");
                    logged_down = true;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            connected = connections.recv() => match connected {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    tracing::info!(cache = name, "redis is connected");
                    logged_down = false;
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn client(config: &Config, timeout: Duration) -> Option<Client> {
    Builder::from_config(config.clone())
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
        .with_performance_config(|performance| {
            performance.default_command_timeout = timeout;
            performance.broadcast_channel_capacity = MESSAGES;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = QUEUE;
            connection.reconnect_on_auth_error = true;
            connection.tcp.nodelay = Some(true);
            // Reconnects to a server that accepts commands but doesn't respond.
            connection.unresponsive =
                UnresponsiveConfig { max_timeout: Some(Duration::from_secs(3)), interval: Duration::from_secs(1) };
        })
        .build()
        .ok()
}

/// Parses an address, which may contain a password, without quoting it.
pub(crate) fn parse_url(url: &SecretString) -> Option<Config> {
    let mut config = Config::from_url(url.expose_secret()).ok()?;
    // The first connection is retried until it succeeds, like any later one.
    config.fail_fast = false;
    Some(config)
}

impl From<Error> for RemoteError {
    fn from(error: Error) -> Self {
        Self(error.details().to_owned())
    }
}
