//! Kubernetes' API server, called as the pod's service account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use flotilla_config::ResolveError;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::attempts::with_retries;
use crate::client::{Client, RequestError, secret_header};
use crate::settings::SecretsSettings;

/// The folder where a pod finds its credentials for the API server.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const ADDRESS: &str = "https://kubernetes.default.svc";
/// Kubernetes' status for a name that already exists.
const EXISTS: StatusCode = StatusCode::CONFLICT;

/// A client of the API server that authenticates as the pod's service account.
pub struct Cluster {
    address: String,
    ca: PathBuf,
    token: PathBuf,
    namespace: PathBuf,
    deadline: Duration,
    client: OnceCell<Client>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The result of creating a secret if it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It was created.
    Created,
    /// A secret with this name existed, which is unchanged.
    Existed,
}

impl Cluster {
    /// A client of the API server in the settings, by default the pod's own. It reads and sends nothing yet.
    #[must_use]
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
            client: OnceCell::new(),
        }
    }

    /// The pod's namespace.
    ///
    /// # Errors
    /// The process isn't in a pod with a service account.
    pub async fn own_namespace(&self) -> Result<String, ResolveError> {
        Ok(read(&self.namespace).await?.trim().to_owned())
    }

    /// Creates a secret from its API object, unless one with this name exists. It needs only the permission to `create`
    /// secrets, with which none can be read or changed.
    ///
    /// # Errors
    /// The server can't be reached, isn't trusted or refuses. Transient errors are retried a bounded number of times.
    pub async fn create_secret(&self, namespace: &str, name: &str, secret: &Value) -> Result<Creation, ResolveError> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        let body = Bytes::from(secret.to_string());
        with_retries(|| async {
            match self.send(Method::POST, &path, body.clone()).await?.status() {
                StatusCode::CREATED => Ok(Creation::Created),
                EXISTS => Ok(Creation::Existed),
                status => Err(refusal(status, "create", namespace, name)),
            }
        })
        .await
    }

    /// Sends one request with a JSON body or none.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Bytes>, ResolveError> {
        let client = self.client.get_or_try_init(|| async { Client::new(Some(&self.ca), self.deadline) });
        let client = client.await.map_err(|error| request_error(&error))?;
        let token = read(&self.token).await?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header(
                AUTHORIZATION,
                secret_header(&format!("Bearer {}", token.trim())).map_err(|error| request_error(&error))?,
            )
            .header(ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(body).map_err(|_| ResolveError::permanent("the address of Kubernetes is invalid"))?;
        client.send(request).await.map_err(|error| request_error(&error))
    }
}

/// Converts an error status of getting or creating a secret.
pub(crate) fn refusal(status: StatusCode, verb: &str, namespace: &str, name: &str) -> ResolveError {
    let secret = format!("the secret {name} of namespace {namespace}");
    match status {
        StatusCode::UNAUTHORIZED => ResolveError::permanent("Kubernetes refuses the service account's token"),
        StatusCode::FORBIDDEN => ResolveError::permanent(format!("the service account may not {verb} {secret}")),
        StatusCode::NOT_FOUND => ResolveError::permanent(format!("Kubernetes doesn't have {secret}")),
        StatusCode::TOO_MANY_REQUESTS => ResolveError::transient("Kubernetes rate-limits the requests"),
        status if status.is_server_error() => ResolveError::transient(format!("Kubernetes fails with {status}")),
        status => ResolveError::permanent(format!("Kubernetes responds with {status} for {secret}")),
    }
}

fn request_error(error: &RequestError) -> ResolveError {
    let message = format!("Kubernetes: {error}");
    if error.retriable { ResolveError::transient(message) } else { ResolveError::permanent(message) }
}

async fn read(file: &Path) -> Result<String, ResolveError> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(|error| ResolveError::permanent(format!("{} can't be read: {error}", file.display())))
}
