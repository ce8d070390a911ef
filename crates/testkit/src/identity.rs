//! Callers with tokens, without the identity service.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flotilla_proto::identity::v1::auth_service_server::{AuthService, AuthServiceServer};
use flotilla_proto::identity::v1::{GetJsonWebKeySetRequest, JsonWebKey, JsonWebKeySet, LoginRequest, LoginResponse};
use flotilla_rpc::{
    Access, AccessRules, AuthSettings, Authenticator, Caller, KeySource, Role, Server, ServerSettings, StaticKeys,
    TokenSigner,
};
use flotilla_telemetry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// How long tokens last.
const TOKEN: Duration = Duration::from_secs(3600);

/// A signing key, and a server that publishes it as identity does. Dropped, the server ends.
pub struct TestIdentity {
    signer: TokenSigner,
    settings: AuthSettings,
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
        let rules = AccessRules::new()
            .allow("/flotilla.identity.v1.AuthService/GetJsonWebKeySet", Access::Public)
            .allow("/flotilla.identity.v1.AuthService/Login", Access::Public);
        let server = Server::new(&ServerSettings::default(), None, rules, &Registry::new())
            .add(AuthServiceServer::new(Keys(signer.jwk())));
        let shutdown = CancellationToken::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { signer, settings, _server: shutdown.drop_guard() }
    }

    /// Settings by which a service accepts these tokens.
    pub fn auth_settings(&self) -> AuthSettings {
        self.settings.clone()
    }

    /// A token of `user`, good for an hour.
    pub fn token(&self, user: Uuid, role: Role) -> String {
        let now = SystemTime::now();
        self.signer.sign(&Caller { user, role, expires: now + TOKEN }, now)
    }

    /// A token that has ended.
    pub fn expired_token(&self, user: Uuid, role: Role) -> String {
        let now = SystemTime::now();
        self.signer.sign(&Caller { user, role, expires: now - TOKEN }, now - 2 * TOKEN)
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

/// Publishes one key.
struct Keys(JsonWebKey);

#[tonic::async_trait]
impl AuthService for Keys {
    async fn login(&self, _: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        Err(Status::unimplemented("tests mint their tokens"))
    }

    async fn get_json_web_key_set(
        &self,
        _: Request<GetJsonWebKeySetRequest>,
    ) -> Result<Response<JsonWebKeySet>, Status> {
        Ok(Response::new(JsonWebKeySet { keys: vec![self.0.clone()] }))
    }
}
