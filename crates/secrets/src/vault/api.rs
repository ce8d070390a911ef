//! The part of Vault's HTTP API that is used here: one request, one response.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use flotilla_config::{ExposeSecret as _, ResolveError, SecretString};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::client::{Client, RequestError, secret_header};
use crate::settings::SecretsSettings;

/// Maximum length of Vault's error text that is shown.
const MAX_REASON: usize = 200;

/// The server.
pub(super) struct Api {
    address: Option<String>,
    namespace: Option<String>,
    ca: Option<PathBuf>,
    deadline: Duration,
    client: OnceCell<Client>,
}

/// A response. Not `Debug`, because it contains secrets.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Reply {
    pub lease_id: String,
    pub lease_duration: u64,
    pub renewable: bool,
    pub data: Option<serde_json::Map<String, Value>>,
    pub auth: Option<Granted>,
}

/// A login.
#[derive(Deserialize)]
pub(super) struct Granted {
    pub client_token: SecretString,
    #[serde(default)]
    pub lease_duration: u64,
    #[serde(default)]
    pub renewable: bool,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The token isn't valid, or none of its policies allows this.
    Denied,
    /// Nothing exists at the path.
    Absent,
    /// The request is invalid.
    Bad(String),
    /// A retry may succeed.
    Later(String),
}

impl Refusal {
    /// The error of a request for `path`.
    pub fn about(self, path: &str) -> ResolveError {
        match self {
            Self::Denied => ResolveError::permanent(format!("Vault denies {path}: no policy of the login allows it")),
            Self::Absent => ResolveError::permanent(format!("Vault has nothing at {path}")),
            Self::Bad(why) => ResolveError::permanent(format!("Vault refuses {path}: {why}")),
            Self::Later(why) => ResolveError::transient(format!("can't read {path} from Vault: {why}")),
        }
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        if error.retriable { Self::Later(error.to_string()) } else { Self::Bad(error.to_string()) }
    }
}

impl Api {
    pub fn new(settings: &SecretsSettings) -> Self {
        let own = &settings.vault;
        Self {
            address: own.address.as_ref().map(|address| address.trim_end_matches('/').to_owned()),
            namespace: own.namespace.clone(),
            ca: own.ca.clone(),
            deadline: settings.deadline.get(),
            client: OnceCell::new(),
        }
    }

    /// Sends one request to `/v1/<path>`.
    pub async fn call(
        &self,
        method: &Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<&Value>,
    ) -> Result<Reply, Refusal> {
        let unset = || Refusal::Bad("secrets.vault.address (or VAULT_ADDR) is not set".to_owned());
        let address = self.address.as_deref().ok_or_else(unset)?;
        let malformed = || Refusal::Bad("the address or the path is invalid".to_owned());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{address}/v1/{path}"))
            // A Vault agent requires this header, which browsers can't be tricked into sending.
            .header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("X-Vault-Token", secret_header(token.expose_secret().trim())?);
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(body).map_err(|_| malformed())?;
        let client = self.client.get_or_try_init(|| async { Client::new(self.ca.as_deref(), self.deadline) });
        let answer = client.await?.send(request).await?;
        parse_reply(answer.status(), answer.body())
    }
}

fn parse_reply(status: StatusCode, body: &[u8]) -> Result<Reply, Refusal> {
    match status.as_u16() {
        204 => Ok(Reply::default()),
        // The parser's message might quote the response.
        200 => serde_json::from_slice(body).map_err(|_| Refusal::Later("the response is invalid".to_owned())),
        403 => Err(Refusal::Denied),
        404 => Err(Refusal::Absent),
        // Not yet replicated; rate limit; a standby, not initialised, or sealed.
        412 | 429 | 472 | 473 | 500..=599 => Err(Refusal::Later(reason(status, body))),
        _ => Err(Refusal::Bad(reason(status, body))),
    }
}

/// Vault's error text, on one line. It describes what is wrong with a request but doesn't quote it.
fn reason(status: StatusCode, body: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<String>,
    }
    let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
    let text = errors.errors.join("; ").split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().take(MAX_REASON).collect();
    if text.is_empty() { status.to_string() } else { format!("{status}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_determines_whether_a_retry_may_succeed() {
        let refused = |status: u16| {
            let body = br#"{"errors":["1 error occurred:\n\t* no\n\n"]}"#;
            parse_reply(StatusCode::from_u16(status).unwrap(), body).err().unwrap().about("secret/orders")
        };
        for status in [412, 429, 473, 500, 502, 503] {
            assert!(refused(status).is_retriable(), "{status}");
        }
        for status in [400, 403, 404, 405] {
            assert!(!refused(status).is_retriable(), "{status}");
        }
        assert!(refused(400).to_string().ends_with("1 error occurred: * no"), "{}", refused(400));
    }

    #[test]
    fn an_invalid_response_is_not_quoted() {
        let refusal = parse_reply(StatusCode::OK, br#"{"data":"hunter2"}"#).err().unwrap();
        assert!(!refusal.about("secret/orders").to_string().contains("hunter2"));
    }
}
