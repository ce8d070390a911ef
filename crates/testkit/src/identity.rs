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

/// How long tokens last.
const TOKEN: Duration = Duration::from_secs(3600);

/// A signing key, and a server that publishes it, and the sessions that were ended, as identity does. Dropped, the
/// server ends.
pub struct TestIdentity {
    signer: TokenSigner,
    settings: AuthSettings,
    ended: Ended,
    _server: DropGuard,
}

impl TestIdentity {
    /// A fresh key, published on a port of its own by tasks of this runtime.
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

    /// Settings by which a service accepts these tokens.
    pub fn auth_settings(&self) -> AuthSettings {
        self.settings.clone()
    }

    /// A token of `user`, good for an hour, of a session of its own.
    pub fn token(&self, user: Uuid, role: Role) -> String {
        self.token_of(user, role, Uuid::from_u128(rand::random()))
    }

    /// A token of `user`, good for an hour, of `session`.
    pub fn token_of(&self, user: Uuid, role: Role, session: Uuid) -> String {
        let now = SystemTime::now();
        self.signer.sign(&Caller { user, session, role, expires: now + TOKEN }, now)
    }

    /// A token that has ended.
    pub fn expired_token(&self, user: Uuid, role: Role) -> String {
        let now = SystemTime::now();
        let session = Uuid::from_u128(rand::random());
        self.signer.sign(&Caller { user, session, role, expires: now - TOKEN }, now - 2 * TOKEN)
    }

    /// Ends a session, as a log-out does: who watches learns of it.
    ///
    /// # Panics
    /// Another test of this identity has panicked.
    pub fn end(&self, session: Uuid) {
        self.ended.lock().unwrap().push(Revoked { session, until: SystemTime::now() + TOKEN });
    }

    /// The key, without the way over the server.
    pub fn key_source(&self) -> Arc<dyn KeySource> {
        Arc::new(StaticKeys::new([self.signer.verifying_key()]))
    }

    /// Checks these tokens, without the way over the server.
    pub fn authenticator(&self) -> Authenticator {
        Authenticator::new(&self.settings, self.key_source())
    }
}

impl std::fmt::Debug for TestIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestIdentity").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Sessions that were ended, in that order.
type Ended = Arc<Mutex<Vec<Revoked>>>;

/// What identity publishes.
struct Published {
    key: JsonWebKey,
    ended: Ended,
}

fn minted<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("tests mint their tokens"))
}

#[tonic::async_trait]
impl AuthService for Published {
    async fn get_json_web_key_set(
        &self,
        _: Request<GetJsonWebKeySetRequest>,
    ) -> Result<Response<JsonWebKeySet>, Status> {
        Ok(Response::new(JsonWebKeySet { keys: vec![self.key.clone()] }))
    }

    /// The cursor counts the sessions told.
    async fn list_revoked_sessions(
        &self,
        request: Request<ListRevokedSessionsRequest>,
    ) -> Result<Response<ListRevokedSessionsResponse>, Status> {
        let ended = self.ended.lock().unwrap();
        let told = request.get_ref().cursor.parse().unwrap_or(0).min(ended.len());
        let sessions = ended[told..].iter().map(|session| session.to_proto()).collect();
        Ok(Response::new(ListRevokedSessionsResponse { sessions, cursor: ended.len().to_string() }))
    }

    async fn login(&self, _: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        minted()
    }

    async fn refresh_token(&self, _: Request<RefreshTokenRequest>) -> Result<Response<LoginResponse>, Status> {
        minted()
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<()>, Status> {
        minted()
    }

    async fn list_sessions(&self, _: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        minted()
    }

    async fn delete_session(&self, _: Request<DeleteSessionRequest>) -> Result<Response<()>, Status> {
        minted()
    }

    async fn rotate_signing_key(&self, _: Request<RotateSigningKeyRequest>) -> Result<Response<JsonWebKey>, Status> {
        minted()
    }
}
