//! Secrets of Kubernetes, read from its API as the pod's service account: `kubernetes://namespace/name#key`, or
//! `kubernetes://name#key` in the pod's own namespace. Mounted secrets need none of this: they are files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flotilla_config::{ResolveError, SecretString};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{Request, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::attempts::repeated;
use crate::client::{Client, Unanswered, secret_header};
use crate::metrics::Outcome;
use crate::reference::Reference;
use crate::secret::{Content, Fields, Secret};
use crate::settings::SecretsSettings;
use crate::store::Store;

/// Where a pod finds what it needs to talk to the API server.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const ADDRESS: &str = "https://kubernetes.default.svc";

/// The API server.
pub(crate) struct Kubernetes {
    address: String,
    ca: PathBuf,
    token: PathBuf,
    namespace: PathBuf,
    deadline: Duration,
    refresh: Duration,
    client: OnceCell<Client>,
}

/// A secret as the API shows it.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Kubernetes {
    pub fn new(settings: &SecretsSettings) -> Self {
        let own = &settings.kubernetes;
        let mounted = |file: &str| Path::new(MOUNT).join(file);
        let address = own.address.as_ref().map_or(ADDRESS, |address| address.as_str());
        Self {
            address: address.trim_end_matches('/').to_owned(),
            ca: own.ca.clone().unwrap_or_else(|| mounted("ca.crt")),
            token: own.token_path.clone().unwrap_or_else(|| mounted("token")),
            namespace: mounted("namespace"),
            deadline: settings.deadline.get(),
            refresh: settings.refresh.get(),
            client: OnceCell::new(),
        }
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Fields, ResolveError> {
        let client = self.client.get_or_try_init(|| async { Client::new(Some(&self.ca), self.deadline) });
        let client = client.await.map_err(unanswered)?;
        let token = read(&self.token).await?;
        let request = Request::get(format!("{}/api/v1/namespaces/{namespace}/secrets/{name}", self.address))
            .header(AUTHORIZATION, secret_header(&format!("Bearer {}", token.trim())).map_err(unanswered)?)
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| ResolveError::permanent("the address of Kubernetes and this path make no request"))?;
        let answer = client.send(request).await.map_err(unanswered)?;
        let shown = checked(answer.status(), namespace, name).and_then(|()| {
            let shown: Result<Shown, _> = serde_json::from_slice(answer.body());
            // The parser's own message might quote the answer.
            shown.map_err(|_| ResolveError::transient("Kubernetes answered what isn't a secret"))
        })?;
        Ok(shown.data.into_iter().map(|(key, value)| (key, decoded(&value))).collect())
    }
}

/// What a refusal means.
fn checked(status: StatusCode, namespace: &str, name: &str) -> Result<(), ResolveError> {
    let secret = format!("the secret {name} of namespace {namespace}");
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED => Err(ResolveError::permanent("Kubernetes refuses the service account's token")),
        StatusCode::FORBIDDEN => Err(ResolveError::permanent(format!("the service account may not get {secret}"))),
        StatusCode::NOT_FOUND => Err(ResolveError::permanent(format!("Kubernetes doesn't have {secret}"))),
        StatusCode::TOO_MANY_REQUESTS => Err(ResolveError::transient("Kubernetes is asked too often")),
        status if status.is_server_error() => Err(ResolveError::transient(format!("Kubernetes fails with {status}"))),
        status => Err(ResolveError::permanent(format!("Kubernetes answers {status} for {secret}"))),
    }
}

fn decoded(value: &str) -> Option<SecretString> {
    let bytes = STANDARD.decode(value).ok()?;
    String::from_utf8(bytes).ok().map(SecretString::from)
}

fn unanswered(error: Unanswered) -> ResolveError {
    let message = format!("Kubernetes: {error}");
    if error.retriable { ResolveError::transient(message) } else { ResolveError::permanent(message) }
}

async fn read(file: &Path) -> Result<String, ResolveError> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(|error| ResolveError::permanent(format!("{} can't be read: {error}", file.display())))
}

#[async_trait]
impl Store for Kubernetes {
    const SCHEME: &'static str = "kubernetes";

    async fn read(&self, reference: &Reference) -> Result<Secret, ResolveError> {
        let segments: Vec<&str> = reference.path().split('/').collect();
        let (namespace, name) = match segments[..] {
            [name] => (read(&self.namespace).await?.trim().to_owned(), name),
            [namespace, name] => (namespace.to_owned(), name),
            _ => return Err(ResolveError::permanent("a secret of Kubernetes is kubernetes://namespace/name#key")),
        };
        let fields = repeated(|| self.get(&namespace, name)).await?;
        Ok(Secret { content: Content::Fields(fields), refresh_in: Some(self.refresh), outcome: Outcome::Read })
    }
}
