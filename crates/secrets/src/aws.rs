//! AWS Secrets Manager: `aws://name#key` for a field of a secret that is a JSON object, `aws://name` for a plain-text
//! secret; the name may be an ARN. The current version is read, which AWS replaces when it rotates the secret.
//!
//! The official client does the signing and refreshes the credentials. Its requests go through this crate's own client, so
//! that the process has only one TLS library.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::config::{SharedAsyncSleep, SharedHttpClient};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use flotilla_config::{ExposeSecret as _, ResolveError, SecretString};
use tokio::sync::OnceCell;

use crate::client::{Client, RequestError};
use crate::metrics::Outcome;
use crate::reference::{Reference, Selector};
use crate::secret::{Content, Secret, fields_of};
use crate::settings::{AwsSettings, SecretsSettings};
use crate::store::Store;

/// Maximum number of attempts per request; the official client waits between them.
const ATTEMPTS: u32 = 4;

/// The secrets of one region.
pub(crate) struct SecretsManager {
    settings: AwsSettings,
    deadline: Duration,
    refresh: Duration,
    client: OnceCell<aws_sdk_secretsmanager::Client>,
}

impl SecretsManager {
    pub fn new(settings: &SecretsSettings) -> Self {
        let (deadline, refresh) = (settings.deadline.get(), settings.refresh.get());
        Self { settings: settings.aws.clone(), deadline, refresh, client: OnceCell::new() }
    }

    async fn connect(&self) -> Result<aws_sdk_secretsmanager::Client, ResolveError> {
        let client = Client::new(None, self.deadline).map_err(|error| ResolveError::permanent(error.to_string()))?;
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(self.deadline)
            .operation_timeout(self.deadline * ATTEMPTS)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(SharedHttpClient::new(Http(client)))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts);
        if let Some(region) = &self.settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.settings.endpoint {
            loader = loader.endpoint_url(endpoint.as_str());
        }
        Ok(aws_sdk_secretsmanager::Client::new(&loader.load().await))
    }
}

#[async_trait]
impl Store for SecretsManager {
    const SCHEME: &'static str = "aws";

    async fn read(&self, reference: &Reference) -> Result<Secret, ResolveError> {
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        let name = reference.path();
        let answer = client.get_secret_value().secret_id(name).send().await;
        let answer = answer.map_err(|error| refused(name, &error))?;
        let text = answer.secret_string.map(SecretString::from);
        let text = text.ok_or_else(|| ResolveError::permanent(format!("the secret {name} is not text")))?;
        let content = match reference.selector() {
            Selector::Whole => Content::Text(text),
            Selector::Field(_) | Selector::Template(_) => {
                let object = serde_json::from_str(text.expose_secret());
                // The parser's message might quote the secret.
                let object = object.map_err(|_| {
                    ResolveError::permanent(format!("the secret {name} is not a JSON object, so it has no fields"))
                })?;
                Content::Fields(fields_of(object))
            }
        };
        Ok(Secret { content, refresh_in: Some(self.refresh), outcome: Outcome::Read })
    }
}

/// Converts a failure. Of the store's response only the error code is shown.
fn refused(name: &str, error: &SdkError<GetSecretValueError>) -> ResolveError {
    let why = match error {
        SdkError::TimeoutError(_) => "it didn't respond in time".to_owned(),
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error().and_then(std::error::Error::source);
            cause.map_or_else(|| "it can't be reached, or there are no credentials".to_owned(), ToString::to_string)
        }
        SdkError::ConstructionFailure(_) => "the request can't be built; is a region set?".to_owned(),
        error => error.code().unwrap_or("the response is invalid").to_owned(),
    };
    let permanent = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(refusal) => refusal.raw().status().is_client_error() && why != "ThrottlingException",
        _ => false,
    };
    let message = format!("can't read {name} from AWS Secrets Manager: {why}");
    if permanent { ResolveError::permanent(message) } else { ResolveError::transient(message) }
}

/// This crate's client as the official client's HTTP layer.
#[derive(Clone, Debug)]
struct Http(Client);

impl HttpClient for Http {
    /// Ignores `HttpConnectorSettings`: the client has its own timeout, which is at most as long.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            // All requests to this store have short bodies in memory.
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| ConnectorError::user(Box::new(Streamed)))?;
            let answer = client.send(http::Request::from_parts(parts, body)).await.map_err(failed)?;
            HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

fn failed(error: RequestError) -> ConnectorError {
    if error.retriable { ConnectorError::io(error.into()) } else { ConnectorError::user(error.into()) }
}

/// A request whose body isn't in memory.
#[derive(Debug)]
struct Streamed;

impl fmt::Display for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body is a stream")
    }
}

impl std::error::Error for Streamed {}
