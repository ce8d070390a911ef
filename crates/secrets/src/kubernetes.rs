//! Kubernetes secrets, read from the API as the pod's service account: `kubernetes://namespace/name#key`, or
//! `kubernetes://name#key` for the pod's own namespace. Mounted secrets don't need this: they are files.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flotilla_config::{ResolveError, SecretString};
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::attempts::with_retries;
use crate::cluster::{Cluster, refusal};
use crate::metrics::Outcome;
use crate::reference::Reference;
use crate::secret::{Content, Fields, Secret};
use crate::settings::SecretsSettings;
use crate::store::Store;

/// The API server as a store.
pub(crate) struct Kubernetes {
    cluster: Cluster,
    refresh: Duration,
}

/// A secret as the API returns it.
#[derive(Deserialize)]
struct SecretObject {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Kubernetes {
    pub fn new(settings: &SecretsSettings) -> Self {
        Self { cluster: Cluster::new(settings), refresh: settings.refresh.get() }
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Fields, ResolveError> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let answer = self.cluster.send(Method::GET, &path, Bytes::new()).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(answer.status(), "get", namespace, name));
        }
        let object: Result<SecretObject, _> = serde_json::from_slice(answer.body());
        // The parser's message might quote the response.
        let object = object.map_err(|_| ResolveError::transient("Kubernetes' response isn't a secret"))?;
        Ok(object.data.into_iter().map(|(key, value)| (key, decoded(&value))).collect())
    }
}

fn decoded(value: &str) -> Option<SecretString> {
    let bytes = STANDARD.decode(value).ok()?;
    String::from_utf8(bytes).ok().map(SecretString::from)
}

#[async_trait]
impl Store for Kubernetes {
    const SCHEME: &'static str = "kubernetes";

    async fn read(&self, reference: &Reference) -> Result<Secret, ResolveError> {
        let segments: Vec<&str> = reference.path().split('/').collect();
        let (namespace, name) = match segments[..] {
            [name] => (self.cluster.own_namespace().await?, name),
            [namespace, name] => (namespace.to_owned(), name),
            _ => return Err(ResolveError::permanent("use kubernetes://namespace/name#key for a Kubernetes secret")),
        };
        let fields = with_retries(|| self.get(&namespace, name)).await?;
        Ok(Secret { content: Content::Fields(fields), refresh_in: Some(self.refresh), outcome: Outcome::Read })
    }
}
