//! Keys and ended sessions, fetched from identity over gRPC.

use std::time::Duration;

use flotilla_auth::{
    KeySource, KeysUnavailable, RevocationSource, Revocations, RevocationsUnavailable, Revoked, VerifyingKey,
};
use flotilla_proto::identity::v1::auth_service_client::AuthServiceClient;
use flotilla_proto::identity::v1::{GetJsonWebKeySetRequest, ListRevokedSessionsRequest};
use tonic::Code;

use crate::{Channel, ChannelError, ClientSettings, channel};

/// How long one fetch may take.
const FETCH: Duration = Duration::from_secs(2);
/// Page size: a full page means that there are more ended sessions.
const FULL: usize = 1000;

/// The part of identity's `AuthService` that token verification needs.
#[derive(Debug, Clone)]
pub struct RemoteKeys {
    client: AuthServiceClient<Channel>,
}

impl RemoteKeys {
    /// Keys of the identity service behind `channel`.
    pub fn new(channel: Channel) -> Self {
        Self { client: AuthServiceClient::new(channel) }
    }

    /// Keys of the identity service at `url`; connects on first use.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn connect(url: &str, settings: &ClientSettings) -> Result<Self, ChannelError> {
        Ok(Self::new(channel(url, settings)?))
    }
}

#[tonic::async_trait]
impl KeySource for RemoteKeys {
    async fn keys(&self) -> Result<Vec<VerifyingKey>, KeysUnavailable> {
        let mut client = self.client.clone();
        let answer = tokio::time::timeout(FETCH, client.get_json_web_key_set(GetJsonWebKeySetRequest {}))
            .await
            .map_err(|_| KeysUnavailable("identity did not respond in time".to_owned()))?
            .map_err(|status| KeysUnavailable(status.message().to_owned()))?;
        Ok(answer.into_inner().keys.iter().filter_map(VerifyingKey::from_jwk).collect())
    }
}

#[tonic::async_trait]
impl RevocationSource for RemoteKeys {
    /// Waits for the response; the caller limits the time.
    async fn revoked(&self, cursor: &str) -> Result<Revocations, RevocationsUnavailable> {
        let mut client = self.client.clone();
        let request = ListRevokedSessionsRequest { cursor: cursor.to_owned() };
        let answer = client.list_revoked_sessions(request).await;
        let answer = answer.map_err(|status| {
            let why = status.message().to_owned();
            let refused = status.code() == Code::InvalidArgument;
            if refused { RevocationsUnavailable::BadCursor(why) } else { RevocationsUnavailable::Failed(why) }
        })?;
        let answer = answer.into_inner();
        Ok(Revocations {
            sessions: answer.sessions.iter().filter_map(Revoked::from_proto).collect(),
            more: answer.sessions.len() >= FULL,
            cursor: answer.cursor,
        })
    }
}
