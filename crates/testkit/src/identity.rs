//! Callers with tokens, without the identity service.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use flotilla_auth::{AuthSettings, Authenticator, Caller, KeySource, Revoked, Role, StaticKeys, TokenSigner};
use flotilla_proto::identity::v1::auth_service_server::{AuthService, AuthServiceServer};
use flotilla_proto::identity::v1::{
    DeleteSessionRequest, GetJsonWebKeySetRequest, JsonWebKey, JsonWebKeySet, ListRevokedSessionsRequest,
    ListRevokedSessionsResponse, ListSessionsRequest, ListSessionsResponse, LoginRequest, LoginResponse, LogoutRequest,
    RefreshTokenRequest, RotateSigningKeyRequest,
};
use flotilla_rpc::{AccessRules, Server};
use flotilla_service::CallSettings;
use flotilla_telemetry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::server_settings;

/// Lifetime of tokens.
const TOKEN: Duration = Duration::from_secs(3600);

/// A signing key and a server that publishes it and revoked sessions, as the identity service does. The server stops when
/// it is dropped.
pub struct TestIdentity {
    signer: TokenSigner,
    settings: AuthSettings,
    ended: Ended,
    _server: DropGuard,
}

impl TestIdentity {
    /// A new key, published on its own port by tasks of this runtime.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start() -> Self {
        let mut settings = AuthSettings::default();
        let signer = TokenSigner::from_seed(&rand::random(), "test", &settings.issuer, &settings.audience).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        settings.identity_url = format!("http://{}", listener.local_addr().unwrap());
        let ended = Ended::default();
        let published = Published { key: signer.jwk(), ended: Arc::clone(&ended) };
        let server = Server::new(&server_settings(), None, AccessRules::declared(), &Registry::new())
            .add(AuthServiceServer::new(published));
        let shutdown = CancellationToken::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { signer, settings, ended, _server: shutdown.drop_guard() }
    }

    /// The sections of callers and calls of a service under test.
    #[must_use]
    pub fn call_settings(&self) -> CallSettings {
        CallSettings { auth: self.auth_settings(), client: crate::client_settings() }
    }

    /// Settings with which a service accepts these tokens.
    pub fn auth_settings(&self) -> AuthSettings {
        self.settings.clone()
    }

    /// A token of `user` and a new session, valid for an hour.
    pub fn token(&self, user: Uuid, role: Role) -> String {
        self.token_of(user, role, Uuid::from_u128(rand::random()))
    }

    /// A token of `user` and `session`, valid for an hour.
    pub fn token_of(&self, user: Uuid, role: Role, session: Uuid) -> String {
        let now = SystemTime::now();
        self.signer.sign(&Caller { user, session, role, expires: now + TOKEN }, now)
    }

    /// An expired token.
    pub fn expired_token(&self, user: Uuid, role: Role) -> String {
        let now = SystemTime::now();
        let session = Uuid::from_u128(rand::random());
        self.signer.sign(&Caller { user, session, role, expires: now - TOKEN }, now - 2 * TOKEN)
    }

    /// Revokes a session and publishes the revocation, as a log-out does.
    ///
    /// # Panics
    /// Another test of this identity has panicked.
    pub fn end(&self, session: Uuid) {
        self.ended.lock().unwrap().push(Revoked { session, until: SystemTime::now() + TOKEN });
    }

    /// The key, without the server.
    pub fn key_source(&self) -> Arc<dyn KeySource> {
        Arc::new(StaticKeys::new([self.signer.verifying_key()]))
    }

    /// An authenticator for these tokens, without the server.
    pub fn authenticator(&self) -> Authenticator {
        Authenticator::new(&self.settings, self.key_source())
    }
}

impl std::fmt::Debug for TestIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestIdentity").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Revoked sessions, in the order of their revocation.
type Ended = Arc<Mutex<Vec<Revoked>>>;

/// The published key and revocations.
struct Published {
    key: JsonWebKey,
    ended: Ended,
}

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("tests sign their own tokens"))
}

#[tonic::async_trait]
impl AuthService for Published {
    async fn get_json_web_key_set(
        &self,
        _: Request<GetJsonWebKeySetRequest>,
    ) -> Result<Response<JsonWebKeySet>, Status> {
        Ok(Response::new(JsonWebKeySet { keys: vec![self.key.clone()] }))
    }

    /// The cursor is the number of sessions listed so far.
    async fn list_revoked_sessions(
        &self,
        request: Request<ListRevokedSessionsRequest>,
    ) -> Result<Response<ListRevokedSessionsResponse>, Status> {
        let ended = self.ended.lock().unwrap();
        let listed = request.get_ref().cursor.parse().unwrap_or(0).min(ended.len());
        let sessions = ended[listed..].iter().map(|session| session.to_proto()).collect();
        Ok(Response::new(ListRevokedSessionsResponse { sessions, cursor: ended.len().to_string() }))
    }

    async fn login(&self, _: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        unimplemented()
    }

    async fn refresh_token(&self, _: Request<RefreshTokenRequest>) -> Result<Response<LoginResponse>, Status> {
        unimplemented()
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<()>, Status> {
        unimplemented()
    }

    async fn list_sessions(&self, _: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        unimplemented()
    }

    async fn delete_session(&self, _: Request<DeleteSessionRequest>) -> Result<Response<()>, Status> {
        unimplemented()
    }

    async fn rotate_signing_key(&self, _: Request<RotateSigningKeyRequest>) -> Result<Response<JsonWebKey>, Status> {
        unimplemented()
    }
}
