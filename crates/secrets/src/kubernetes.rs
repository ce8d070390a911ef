//! Secrets of Kubernetes, read from its API as the pod's service account: `kubernetes://namespace/name#key`, or
//! `kubernetes://name#key` in the pod's own namespace. Mounted secrets need none of this: they are files.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flotilla_config::{ResolveError, SecretString};
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::attempts::repeated;
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

/// A secret as the API shows it.
#[derive(Deserialize)]
struct Shown {
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
        let shown: Result<Shown, _> = serde_json::from_slice(answer.body());
        // The parser's own message might quote the answer.
        let shown = shown.map_err(|_| ResolveError::transient("Kubernetes answered what isn't a secret"))?;
        Ok(shown.data.into_iter().map(|(key, value)| (key, decoded(&value))).collect())
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
            _ => return Err(ResolveError::permanent("a secret of Kubernetes is kubernetes://namespace/name#key")),
        };
        let fields = repeated(|| self.get(&namespace, name)).await?;
        Ok(Secret { content: Content::Fields(fields), refresh_in: Some(self.refresh), outcome: Outcome::Read })
    }
}
