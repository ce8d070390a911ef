//! Vault and OpenBao: fields of key-value secrets (both versions), and credentials that are created on demand and leased,
//! such as a database's.
//!
//! The server is asked for the type of a path's engine, so `vault://secret/orders#password` and
//! `vault://database/creds/orders#postgres://{username}:{password}@db/orders` have the same syntax. A lease is renewed
//! after two thirds of its lifetime; if the renewal would be too short, a new credential is leased while the old one is
//! still valid. References to the same path share its lease.

mod api;
mod lease;
mod login;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_config::ResolveError;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;

use crate::attempts::with_retries;
use crate::metrics::Outcome;
use crate::reference::Reference;
use crate::secret::{Content, Fields, Secret, fields_of};
use crate::settings::SecretsSettings;
use crate::store::Store;
use api::{Api, Refusal, Reply};
use lease::Lease;
use login::{Logins, Session};

/// One server, one login.
pub(crate) struct Vault {
    logins: Logins,
    refresh: Duration,
    engines: Mutex<Vec<Engine>>,
    leases: Mutex<BTreeMap<String, Slot>>,
}

/// The lease of one path. The holder of the lock renews it.
type Slot = Arc<AsyncMutex<Option<Lease>>>;

/// An engine, as returned by `sys/internal/ui/mounts`.
#[derive(Clone, Deserialize)]
struct Engine {
    /// Its mount point, with a trailing slash.
    path: String,
    #[serde(rename = "type")]
    kind: String,
    options: Option<EngineOptions>,
}

#[derive(Clone, Deserialize)]
struct EngineOptions {
    version: Option<String>,
}

impl Engine {
    /// The API path of the key-value secret at `path`, if this engine keeps versions.
    fn versioned(&self, path: &str) -> Option<String> {
        let version = self.options.as_ref().and_then(|options| options.version.as_deref());
        let versioned = self.kind == "kv" && version == Some("2");
        versioned.then(|| format!("{}data/{}", self.path, path.strip_prefix(&self.path).unwrap_or(path)))
    }
}

impl Vault {
    pub fn new(settings: &SecretsSettings) -> Self {
        Self {
            logins: Logins::new(Api::new(settings), &settings.vault),
            refresh: settings.refresh.get(),
            engines: Mutex::default(),
            leases: Mutex::default(),
        }
    }

    /// Sends a request with the current login; logs in again if that login has ended.
    async fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<(Reply, Session), ResolveError> {
        with_retries(|| self.ask_once(method, path, body)).await
    }

    async fn ask_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Reply, Session), ResolveError> {
        let session = self.logins.current().await?;
        let api = self.logins.api();
        let (answer, session) = match api.call(method, path, Some(&session.token), body).await {
            Err(Refusal::Denied) => match self.logins.replaced(&session).await? {
                Some(session) => (api.call(method, path, Some(&session.token), body).await, session),
                None => (Err(Refusal::Denied), session),
            },
            answer => (answer, session),
        };
        answer.map(|reply| (reply, session)).map_err(|refusal| refusal.about(path))
    }

    async fn engine(&self, path: &str) -> Result<Engine, ResolveError> {
        let known = |engines: &[Engine]| engines.iter().find(|engine| path.starts_with(&engine.path)).cloned();
        if let Some(engine) = known(&self.engines.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(engine);
        }
        let (reply, _) = self.ask(&Method::GET, &format!("sys/internal/ui/mounts/{path}"), None).await?;
        let engine: Result<Engine, _> = serde_json::from_value(Value::Object(reply.data.unwrap_or_default()));
        let engine =
            engine.map_err(|_| ResolveError::permanent(format!("Vault doesn't allow reading the type of {path}")))?;
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.clone());
        Ok(engine)
    }

    /// Reads the newest version of a key-value secret.
    async fn read_versioned(&self, path: &str) -> Result<Secret, ResolveError> {
        let (reply, _) = self.ask(&Method::GET, path, None).await?;
        match reply.data.and_then(|mut data| data.remove("data")) {
            Some(Value::Object(fields)) => Ok(self.plain(fields_of(fields), self.refresh)),
            _ => Err(ResolveError::permanent(format!("the newest version of {path} is deleted"))),
        }
    }

    fn plain(&self, fields: Fields, refresh_in: Duration) -> Secret {
        let refresh_in = Some(refresh_in.min(self.refresh));
        Secret { content: Content::Fields(fields), refresh_in, outcome: Outcome::Read }
    }

    /// Reads any other secret, with its lease if Vault grants one.
    async fn read_leased(&self, path: &str) -> Result<Secret, ResolveError> {
        let slot = {
            let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(leases.entry(path.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        let session = self.logins.current().await?;
        if let Some(lease) = slot.as_mut().filter(|lease| lease.session == session.number) {
            if !lease.is_due() {
                return Ok(lease.secret(&session, Outcome::Kept));
            }
            if self.renew(lease).await? {
                return Ok(lease.secret(&session, Outcome::Renewed));
            }
        }
        let (reply, session) = self.ask(&Method::GET, path, None).await?;
        let fields = fields_of(reply.data.unwrap_or_default());
        let Some(lease) =
            Lease::granted(reply.lease_id, reply.lease_duration, reply.renewable, &session, fields.clone())
        else {
            *slot = None;
            let rotation = until_rotation(&fields);
            return Ok(self.plain(fields, rotation));
        };
        tracing::info!(path, lease_seconds = reply.lease_duration, renewable = reply.renewable, "credential leased");
        let secret = lease.secret(&session, Outcome::Issued);
        *slot = Some(lease);
        Ok(secret)
    }

    /// Renews a lease. Returns whether it is valid for long enough; an error means that the renewal can be retried.
    async fn renew(&self, lease: &mut Lease) -> Result<bool, ResolveError> {
        if !lease.renewable {
            return Ok(false);
        }
        let body = json!({ "lease_id": lease.id, "increment": lease.lifetime.as_secs() });
        match self.ask(&Method::PUT, "sys/leases/renew", Some(&body)).await {
            Ok((reply, session)) if session.number == lease.session => Ok(lease.extend(reply.lease_duration)),
            // There was a new login meanwhile; the lease ended with the old one.
            Ok(_) => Ok(false),
            Err(error) if error.is_retriable() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "lease not renewed, leasing a new credential");
                Ok(false)
            }
        }
    }
}

/// How long until Vault rotates a static role's password, from the field `ttl`.
fn until_rotation(fields: &Fields) -> Duration {
    use flotilla_config::ExposeSecret as _;
    let ttl = fields.get("ttl").and_then(Option::as_ref).and_then(|ttl| ttl.expose_secret().parse::<u64>().ok());
    ttl.map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.saturating_add(1)))
}

#[async_trait]
impl Store for Vault {
    const SCHEME: &'static str = "vault";

    async fn read(&self, reference: &Reference) -> Result<Secret, ResolveError> {
        let path = reference.path();
        match self.engine(path).await?.versioned(path) {
            Some(path) => self.read_versioned(&path).await,
            None => self.read_leased(path).await,
        }
    }
}
