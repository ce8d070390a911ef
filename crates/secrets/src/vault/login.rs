//! Logs in to Vault with a token, a role's id and secret id, or the pod's service account. A login is renewed, or replaced
//! by a new one, before it expires.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_config::{ExposeSecret as _, ResolveError, SecretString};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api::{Api, Granted, Refusal};
use super::lease::due;
use crate::settings::{VaultAuth, VaultSettings};

/// Where Kubernetes mounts the service account's token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A login.
#[derive(Clone)]
pub(super) struct Session {
    pub token: SecretString,
    /// The number of this login. Leases end with the login that they were granted to.
    pub number: u64,
    /// When it was granted or last renewed, and for how long; `None` if it doesn't expire.
    lasts: Option<(Instant, Duration)>,
    /// The lifetime granted at first.
    lifetime: Duration,
    renewable: bool,
}

impl Session {
    fn new(token: SecretString, number: u64, seconds: u64, renewable: bool) -> Self {
        let lifetime = Duration::from_secs(seconds);
        let lasts = (seconds > 0).then(|| (Instant::now(), lifetime));
        Self { token, number, lasts, lifetime, renewable }
    }

    /// When it is due for renewal.
    pub fn due(&self) -> Option<Instant> {
        self.lasts.map(|(since, lasts)| since + due(lasts))
    }

    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    fn is_over(&self) -> bool {
        self.lasts.is_some_and(|(since, lasts)| since + lasts <= Instant::now())
    }

    #[cfg(test)]
    pub fn endless(token: &str) -> Self {
        Self::of(token, 0)
    }

    #[cfg(test)]
    pub fn of(token: &str, seconds: u64) -> Self {
        Self::new(token.to_owned().into(), 1, seconds, true)
    }
}

/// How to log in.
enum AuthMethod {
    Token(Option<SecretString>),
    TokenFile(PathBuf),
    AppRole { mount: String, role_id: Option<SecretString>, secret_id: Option<SecretString> },
    Kubernetes { mount: String, role: Option<String>, account: PathBuf },
}

/// Logs in and keeps the login valid.
pub(super) struct Logins {
    api: Api,
    method: AuthMethod,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    logins: u64,
}

impl Logins {
    pub fn new(api: Api, settings: &VaultSettings) -> Self {
        let mount = |default: &str| settings.auth_mount.clone().unwrap_or_else(|| default.to_owned());
        let method = match settings.auth {
            VaultAuth::Token => match &settings.token_path {
                Some(file) => AuthMethod::TokenFile(file.clone()),
                None => AuthMethod::Token(settings.token.clone()),
            },
            VaultAuth::AppRole => AuthMethod::AppRole {
                mount: mount("approle"),
                role_id: settings.role_id.clone(),
                secret_id: settings.secret_id.clone(),
            },
            VaultAuth::Kubernetes => AuthMethod::Kubernetes {
                mount: mount("kubernetes"),
                role: settings.role.clone(),
                account: settings.service_account.clone().unwrap_or_else(|| SERVICE_ACCOUNT.into()),
            },
        };
        Self { api, method, state: Mutex::default() }
    }

    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The current login; renewed or replaced if it is due.
    pub async fn current(&self) -> Result<Session, ResolveError> {
        let mut state = self.state.lock().await;
        match state.session.take() {
            Some(session) if !session.is_due() => Ok(keep(&mut state, session)),
            Some(session) => {
                let renewed = self.renew_if_due(&mut state, session.clone()).await;
                if renewed.is_err() && !session.is_over() {
                    // It is still valid for a while.
                    state.session = Some(session);
                }
                renewed
            }
            None => self.log_in(&mut state).await,
        }
    }

    /// A login to use in place of one that was denied a request; `None` if that one is valid, so that the denial stands.
    pub async fn replaced(&self, denied: &Session) -> Result<Option<Session>, ResolveError> {
        let mut state = self.state.lock().await;
        if let Some(session) = state.session.as_ref().filter(|session| session.number != denied.number) {
            return Ok(Some(session.clone()));
        }
        match self.api.call(&Method::GET, "auth/token/lookup-self", Some(&denied.token), None).await {
            Ok(_) => Ok(None),
            Err(Refusal::Denied) => {
                tracing::warn!("vault login is no longer valid, logging in again");
                state.session = None;
                self.log_in(&mut state).await.map(Some)
            }
            Err(refusal) => Err(refusal.about("auth/token/lookup-self")),
        }
    }

    /// Renews a login, or logs in again.
    async fn renew_if_due(&self, state: &mut State, session: Session) -> Result<Session, ResolveError> {
        if session.renewable {
            let body = json!({});
            let renewed = self.api.call(&Method::PUT, "auth/token/renew-self", Some(&session.token), Some(&body)).await;
            match renewed.map(|reply| reply.auth) {
                Ok(Some(granted)) => {
                    let left = Duration::from_secs(granted.lease_duration);
                    // Near a login's maximum lifetime Vault grants less and less. A given token can't be replaced.
                    if left >= session.lifetime / 2 || !self.issues_tokens() {
                        let session = Session { lasts: Some((Instant::now(), left)), ..session };
                        return Ok(keep(state, session));
                    }
                }
                Ok(None) | Err(Refusal::Denied | Refusal::Absent | Refusal::Bad(_)) => {}
                Err(later @ Refusal::Later(_)) => return Err(later.about("auth/token/renew-self")),
            }
        }
        self.log_in(state).await
    }

    /// Whether each login gets a new token.
    fn issues_tokens(&self) -> bool {
        !matches!(self.method, AuthMethod::Token(_))
    }

    async fn log_in(&self, state: &mut State) -> Result<Session, ResolveError> {
        let (token, seconds, renewable) = match &self.method {
            AuthMethod::Token(token) => self.given(set(token.as_ref(), "token")?.clone()).await?,
            AuthMethod::TokenFile(file) => self.given(read(file).await?).await?,
            AuthMethod::AppRole { mount, role_id, secret_id } => {
                let role_id = set(role_id.as_ref(), "role_id")?.expose_secret();
                let secret_id = set(secret_id.as_ref(), "secret_id")?.expose_secret();
                self.by("approle", mount, &json!({ "role_id": role_id, "secret_id": secret_id })).await?
            }
            AuthMethod::Kubernetes { mount, role, account } => {
                let role = set(role.as_ref(), "role")?;
                let account = read(account).await?;
                self.by("kubernetes", mount, &json!({ "role": role, "jwt": account.expose_secret() })).await?
            }
        };
        state.logins += 1;
        tracing::info!(login = state.logins, lasts_seconds = seconds, renewable, "logged in to vault");
        Ok(keep(state, Session::new(token, state.logins, seconds, renewable)))
    }

    /// Looks up a given token's remaining lifetime.
    async fn given(&self, token: SecretString) -> Result<(SecretString, u64, bool), ResolveError> {
        let path = "auth/token/lookup-self";
        let reply = self.api.call(&Method::GET, path, Some(&token), None).await.map_err(|refusal| match refusal {
            Refusal::Denied => ResolveError::permanent("Vault refuses the token: it is revoked, expired or unknown"),
            refusal => refusal.about(path),
        })?;
        let data = reply.data.unwrap_or_default();
        let seconds = data.get("ttl").and_then(Value::as_u64).unwrap_or_default();
        let renewable = data.get("renewable").and_then(Value::as_bool).unwrap_or_default();
        Ok((token, seconds, renewable))
    }

    /// Logs in with an auth method that issues a token.
    async fn by(&self, how: &str, mount: &str, body: &Value) -> Result<(SecretString, u64, bool), ResolveError> {
        let path = format!("auth/{}/login", mount.trim_matches('/'));
        let refused = |why: &str| ResolveError::permanent(format!("Vault refuses the login with {how}: {why}"));
        match self.api.call(&Method::POST, &path, None, Some(body)).await.map(|reply| reply.auth) {
            Ok(Some(Granted { client_token, lease_duration, renewable })) => {
                Ok((client_token, lease_duration, renewable))
            }
            Ok(None) => Err(refused("it grants no token")),
            Err(Refusal::Denied) => Err(refused("permission denied")),
            Err(Refusal::Absent) => Err(refused(&format!("nothing is mounted at {path}"))),
            Err(Refusal::Bad(why)) => Err(refused(&why)),
            Err(later @ Refusal::Later(_)) => Err(later.about(&path)),
        }
    }
}

fn keep(state: &mut State, session: Session) -> Session {
    state.session = Some(session.clone());
    session
}

fn set<'a, T>(value: Option<&'a T>, name: &str) -> Result<&'a T, ResolveError> {
    value.ok_or_else(|| ResolveError::permanent(format!("secrets.vault.{name} is required to log in to Vault")))
}

async fn read(file: &Path) -> Result<SecretString, ResolveError> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| ResolveError::permanent(format!("{} can't be read: {error}", file.display())))?;
    Ok(text.trim().to_owned().into())
}
