//! A gateway before test_services, and callers.

use std::net::SocketAddr;
use std::time::Duration;

use flotilla_auth::Role;
use flotilla_config::{HumanDuration, SecretString};
use flotilla_gateway::config::{BackendSettings, EdgeSettings};
use flotilla_gateway::{Gateway, Settings};
use flotilla_rpc::Channel;
use flotilla_testkit::{ServiceHarness, TestIdentity};
use uuid::Uuid;

use crate::http::Call;
use crate::test_services::TestServices;

/// All that a test needs.
pub struct Fixture {
    pub gateway: ServiceHarness,
    pub test_services: TestServices,
    pub identity: TestIdentity,
    /// Signed once: a token holds the second of its making.
    customer: String,
    operator: String,
}

/// A user who always is the same.
const USER: Uuid = Uuid::from_u128(7);

impl Fixture {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings changed.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::before(TestServices::start().await, change).await
    }

    /// Another gateway before the same services, with responses kept in memory for longer than a test takes.
    pub async fn sharing(redis_url: String, services: &TestServices) -> Self {
        Self::before(services.shared(), |settings| {
            settings.cache.redis_url = Some(SecretString::from(redis_url));
            settings.cache.command_timeout = HumanDuration(Duration::from_secs(1));
            settings.cache.memory_ttl = HumanDuration(Duration::from_secs(3_600));
            settings.edge.product_ttl = HumanDuration(Duration::from_secs(3_600)).into();
        })
        .await
    }

    async fn before(test_services: TestServices, change: impl FnOnce(&mut Settings)) -> Self {
        let identity = TestIdentity::start().await;
        let url = || test_services.url.clone();
        let mut settings = Settings {
            process: flotilla_testkit::process_settings(),
            calls: identity.call_settings(),
            backends: BackendSettings {
                identity: url(),
                inventory: url(),
                orders: url(),
                // Nobody is there.
                payments: "http://127.0.0.1:1".to_owned(),
                notification: url(),
            },
            cache: flotilla_cache::CacheSettings::default(),
            edge: EdgeSettings::default(),
        };
        change(&mut settings);
        let gateway = ServiceHarness::start::<Gateway>(settings).await;
        let (customer, operator) = (identity.token(USER, Role::Customer), identity.token(USER, Role::Operator));
        Self { gateway, test_services, identity, customer, operator }
    }

    /// With responses kept in the Redis at `url`.
    pub async fn with_redis(url: String) -> Self {
        Self::with(|settings| {
            settings.cache.redis_url = Some(SecretString::from(url));
            // The machine may be busy; what is tested is not how quick Redis is.
            settings.cache.command_timeout = HumanDuration(Duration::from_secs(1));
        })
        .await
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.grpc()
    }

    /// A call without a token.
    pub fn call(&self, line: &str) -> Call {
        Call::new(self.address(), line)
    }

    pub fn customer_token(&self) -> String {
        self.customer.clone()
    }

    pub fn expired_token(&self) -> String {
        self.identity.expired_token(USER, Role::Customer)
    }

    pub fn operator_token(&self) -> String {
        self.operator.clone()
    }

    /// A customer's call.
    pub fn as_customer(&self, line: &str) -> Call {
        self.call(line).token(&self.customer_token())
    }

    /// An operator's call.
    pub fn as_operator(&self, line: &str) -> Call {
        self.call(line).token(&self.operator_token())
    }

    /// A customer's gRPC channel.
    pub fn channel(&self) -> Channel {
        self.gateway.channel_as(&self.customer_token())
    }
}
