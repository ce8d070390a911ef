//! Opens a pool's connections with the current credentials, and knows which of them were opened with earlier ones.
//!
//! Guarantees: once the address changes, no connection is opened with the old one, and none opened with it is handed
//! out again; one that is in use at that moment is left alone until it is returned. An invalid address changes nothing.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use flotilla_config::{ExposeSecret, Live, SecretString};
use tokio::sync::watch;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use crate::address::parse_url;
use crate::error::Error;
use crate::roles;
use crate::settings::PostgresSettings;

/// A pool of sessions.
pub(crate) type SessionPool = managed::Pool<Sessions>;
/// A session checked out of its pool.
pub(crate) type PooledSession = managed::Object<Sessions>;

/// An open connection.
pub(crate) struct Session {
    client: ClientWrapper,
    credentials: Arc<Credentials>,
}

impl Deref for Session {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

/// The settings with which connections are opened.
struct Credentials {
    url: SecretString,
    config: Config,
    /// Whether the server has accepted them before: a later refusal then means that they are being replaced.
    taken: AtomicBool,
}

/// Opens and checks the connections of one pool.
pub(crate) struct Sessions {
    name: &'static str,
    settings: PostgresSettings,
    current: RwLock<Current>,
}

struct Current {
    url: watch::Receiver<SecretString>,
    credentials: Arc<Credentials>,
}

impl Sessions {
    pub fn new(name: &'static str, url: &Live<SecretString>, settings: &PostgresSettings) -> Result<Self, Error> {
        let mut url = url.subscribe();
        let now = url.borrow_and_update().clone();
        let credentials = Arc::new(Credentials::new(name, now, settings)?);
        Ok(Self { name, settings: settings.clone(), current: RwLock::new(Current { url, credentials }) })
    }

    /// Applies a changed address. Returns true if it did; the idle connections must then be closed.
    pub fn adopt(&self) -> bool {
        // An error means that the sender is gone, so the address can't change any more.
        if !self.read(|current| current.url.has_changed().unwrap_or(false)) {
            return false;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let url = current.url.borrow_and_update().clone();
        if url.expose_secret() == current.credentials.url.expose_secret() {
            return false;
        }
        match Credentials::new(self.name, url, &self.settings) {
            Ok(new) => {
                current.credentials = Arc::new(new);
                tracing::info!(pool = self.name, "database credentials replaced");
                true
            }
            Err(error) => {
                tracing::warn!(pool = self.name, %error, "database credentials not replaced");
                false
            }
        }
    }

    /// Whether a session was opened with the current credentials.
    pub fn is_current(&self, session: &Session) -> bool {
        self.read(|current| Arc::ptr_eq(&current.credentials, &session.credentials))
    }

    fn read<T>(&self, what: impl FnOnce(&Current) -> T) -> T {
        what(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits briefly for credentials other than the refused ones.
    async fn replaced(&self, refused: &Credentials) -> Option<Arc<Credentials>> {
        if !refused.taken.load(Ordering::Relaxed) {
            return None;
        }
        let (mut url, now) = self.read(|current| (current.url.clone(), Arc::clone(&current.credentials)));
        if !std::ptr::eq(&*now, refused) {
            return Some(now);
        }
        // Well within the pool's connect timeout, so that the refusal is reported and not the timeout.
        let timeout = self.settings.connect_timeout.get() / 2;
        let _ = tokio::time::timeout(timeout, url.changed()).await;
        self.adopt();
        let now = self.read(|current| Arc::clone(&current.credentials));
        (!std::ptr::eq(&*now, refused)).then_some(now)
    }
}

impl managed::Manager for Sessions {
    type Type = Session;
    type Error = Error;

    async fn create(&self) -> Result<Session, Error> {
        self.adopt();
        let credentials = self.read(|current| Arc::clone(&current.credentials));
        let session = match open(&credentials).await {
            Err(error) if is_refusal(&error) => match self.replaced(&credentials).await {
                Some(credentials) => open(&credentials).await?,
                None => return Err(error.into()),
            },
            opened => opened?,
        };
        roles::check(self.name, &session.client).await?;
        Ok(session)
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<Error> {
        if session.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if metrics.age() >= self.settings.max_lifetime.get() {
            return Err(RecycleError::message("too old"));
        }
        if !self.is_current(session) {
            return Err(RecycleError::message("its credentials were replaced"));
        }
        Ok(())
    }
}

async fn open(credentials: &Arc<Credentials>) -> Result<Session, tokio_postgres::Error> {
    let (client, connection) = credentials.config.connect(NoTls).await?;
    let task = flotilla_telemetry::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "database connection ended");
        }
    });
    credentials.taken.store(true, Ordering::Relaxed);
    Ok(Session { client: ClientWrapper::new(client, task), credentials: Arc::clone(credentials) })
}

/// The server rejects the password, or no longer has the role.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    [&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
        .into_iter()
        .any(|state| error.code() == Some(state))
}

impl Credentials {
    fn new(name: &str, url: SecretString, settings: &PostgresSettings) -> Result<Self, Error> {
        let config = session(parse_url(&url)?, name, settings);
        Ok(Self { url, config, taken: AtomicBool::new(false) })
    }
}

/// Adds the options that every session of a pool has: its name, its limits, and keepalives to detect a dead peer.
fn session(mut config: Config, name: &str, settings: &PostgresSettings) -> Config {
    let statement = settings.statement_timeout.get().as_millis().max(1);
    // A process that is frozen in a transaction holds up every relay of the server for so long.
    let limits = format!("-c statement_timeout={statement} -c idle_in_transaction_session_timeout={statement}");
    let options = match config.get_options() {
        Some(given) => format!("{limits} {given}"),
        None => limits,
    };
    config.options(options);
    if config.get_application_name().is_none() {
        let name = config.get_user().unwrap_or(name).to_owned();
        config.application_name(name);
    }
    config.connect_timeout(settings.connect_timeout.get());
    config.keepalives_idle(Duration::from_secs(15));
    config.keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3);
    config.tcp_user_timeout(settings.answer_timeout());
    config
}
