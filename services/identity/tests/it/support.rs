//! A running identity, clients in every role, and a listener on its stream.

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_config::SecretString;
use flotilla_identity::{
    Identity, Settings,
    config::{AdminSettings, AuthSettings, GuessingSettings, PasswordSettings},
};
use flotilla_messaging::{
    ConsumerSpec, Event, Handler, HandlerError, Messaging, NatsSettings, Outcome, StreamSpec, migrations,
};
use flotilla_postgres::{Pool, Tx};
use flotilla_proto::events::streams;
use flotilla_proto::identity::v1::{
    CreateUserRequest, LoginRequest, LoginResponse, RefreshTokenRequest, User, auth_service_client::AuthServiceClient,
    user_service_client::UserServiceClient,
};
use flotilla_rpc::Channel;
use flotilla_telemetry::Registry;
use flotilla_testkit::{Database, ServiceHarness, Stack, TIMEOUT, assert_nothing_left, stack};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

pub const ADMIN_EMAIL: &str = "operator@example.com";
pub const PASSWORD: &str = "correct horse";

/// One identity on a database and streams of its own.
pub struct World {
    pub database: Database,
    pub service: ServiceHarness,
    settings: Settings,
    nats: String,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(AuthSettings::default()).await
    }

    /// With other lifetimes of tokens and keys.
    pub async fn start_with(auth: AuthSettings) -> Self {
        Self::start_on(stack().await, auth).await
    }

    /// Starts on servers that may be stopped.
    pub async fn start_on(stack: &Stack, auth: AuthSettings) -> Self {
        let database = stack.database("identity", flotilla_identity::migrations()).await;
        let nats = stack.nats_url();
        let settings = Settings { auth, ..settings(&database, &nats) };
        let service = ServiceHarness::start::<Identity>(settings.clone()).await;
        Self { database, service, settings, nats }
    }

    /// Starts with other numbers of free failures.
    pub async fn start_guarded(guessing: GuessingSettings) -> Self {
        let database = stack().await.database("identity", flotilla_identity::migrations()).await;
        let nats = stack().await.nats_url();
        let settings = Settings { guessing, ..settings(&database, &nats) };
        let service = ServiceHarness::start::<Identity>(settings.clone()).await;
        Self { database, service, settings, nats }
    }

    /// A log-in at a replica, as the gateway passes it on from a client's address.
    pub async fn log_in_from(
        replica: &ServiceHarness,
        address: &str,
        email: &str,
        password: &str,
    ) -> Result<LoginResponse, Status> {
        let request = LoginRequest { email: email.into(), password: password.into(), client_label: "test".into() };
        let mut auth = AuthServiceClient::new(replica.channel());
        auth.login(from(address, request)).await.map(tonic::Response::into_inner)
    }

    /// Another replica on the same database.
    pub async fn replica(&self) -> ServiceHarness {
        ServiceHarness::start::<Identity>(self.settings.clone()).await
    }

    /// The database as the service's system role sees it.
    pub fn system(&self) -> Pool {
        let settings = self.database.settings();
        Pool::connect("system", &settings.system_url, &settings, &Registry::new()).unwrap()
    }

    /// Users without a token.
    pub fn anyone(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.service.channel())
    }

    /// Users with a token.
    pub fn with(&self, token: &str) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.service.channel_as(token))
    }

    pub fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.service.channel())
    }

    /// Sessions, with a token.
    pub fn auth_as(&self, token: &str) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.service.channel_as(token))
    }

    pub async fn refresh(&self, token: &str) -> Result<LoginResponse, Status> {
        let request = RefreshTokenRequest { refresh_token: token.into() };
        self.auth().refresh_token(request).await.map(tonic::Response::into_inner)
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Result<LoginResponse, Status> {
        let request = LoginRequest { email: email.into(), password: password.into(), client_label: "test".into() };
        self.auth().login(request).await.map(tonic::Response::into_inner)
    }

    pub async fn operator(&self) -> UserServiceClient<Channel> {
        self.with(&self.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap().access_token)
    }

    /// A signed-up customer, with a client of their own.
    pub async fn customer(&self, email: &str) -> (User, UserServiceClient<Channel>) {
        let user = self.anyone().create_user(sign_up(email)).await.unwrap().into_inner();
        let token = self.log_in(email, PASSWORD).await.unwrap().access_token;
        (user, self.with(&token))
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.database.value(sql, &[]).await
    }

    /// Listens on identity's stream from its beginning.
    pub async fn listen(&self) -> Listener {
        Listener::start(&self.nats).await
    }

    /// Stops the service; fails if it has left anything undone.
    pub async fn finish(self) {
        assert_nothing_left(&[&self.database], &self.nats, &["IDENTITY"]).await;
        self.service.stop().await;
    }
}

pub fn settings(database: &Database, nats: &str) -> Settings {
    Settings {
        common: flotilla_testkit::common_settings(database, nats),
        auth: AuthSettings::default(),
        admin: AdminSettings {
            email: Some(ADMIN_EMAIL.to_owned()),
            password: Some(SecretString::from(PASSWORD.to_owned())),
        },
        // Cheap, so that the tests are quick.
        passwords: PasswordSettings { memory_kib: 64, iterations: 1, ..PasswordSettings::default() },
        guessing: GuessingSettings::default(),
    }
}

/// A request as the gateway passes it on from a client's address.
pub fn from<T>(address: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(flotilla_rpc::CLIENT_ADDRESS.as_str(), address.parse().unwrap());
    request
}

pub fn sign_up(email: &str) -> CreateUserRequest {
    let user = User { email: email.into(), password: PASSWORD.into(), display_name: "Ann".into(), ..User::default() };
    CreateUserRequest { user: Some(user), request_id: String::new() }
}

/// Another service that follows identity's stream.
pub struct Listener {
    received: mpsc::UnboundedReceiver<Event>,
    _running: DropGuard,
}

impl Listener {
    async fn start(nats: &str) -> Self {
        let database = stack().await.database("payments", vec![("messaging_history", migrations())]).await;
        let settings = database.settings();
        let registry = Registry::new();
        let pool = Pool::connect("system", &settings.system_url, &settings, &registry).unwrap();
        let stream = StreamSpec::of(&streams::PAYMENTS);
        let nats = NatsSettings { url: nats.to_owned(), ..NatsSettings::default() };
        let mut messaging = Messaging::new("payments", stream, pool, &nats, &registry).await.unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let spec = ConsumerSpec {
            name: "payments-identity",
            stream: streams::IDENTITY.name,
            subjects: streams::IDENTITY.subjects,
            events: &[],
            max_events: 64,
        };
        messaging.consume(spec, Arc::new(Recorder(sender))).unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(messaging.run(shutdown.clone()));
        Self { received, _running: shutdown.drop_guard() }
    }

    /// The next message of this type about this user.
    pub async fn next_event<M: prost::Message + prost::Name + Default>(&mut self, user: &str) -> (Event, M) {
        let received = async {
            loop {
                let event = self.received.recv().await.unwrap();
                if event.is::<M>() && event.aggregate == user {
                    let message = event.decode().unwrap();
                    return (event, message);
                }
            }
        };
        tokio::time::timeout(TIMEOUT, received).await.unwrap_or_else(|_| panic!("no {} of {user}", M::NAME))
    }
}

struct Recorder(mpsc::UnboundedSender<Event>);

#[async_trait]
impl Handler<Tx> for Recorder {
    fn knows(&self, _: &str) -> bool {
        true
    }

    async fn handle(&self, _: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        for event in events {
            let _ = self.0.send(event.clone());
        }
        Ok(events.iter().map(|_| Outcome::Done(Vec::new())).collect())
    }
}
