//! A client of the fleet's public API, over the gateway's gRPC, used by demo, replay, load and chaos.
//!
//! Every call has a deadline and, if it writes, a request id, so that a call whose response was lost is retried until
//! it is answered, and takes effect only once.

mod retry;
mod session;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result};
use flotilla_proto::identity::v1::{CreateUserRequest, User, user_service_client::UserServiceClient};
use flotilla_rpc::{Channel, ClientSettings};

use self::retry::{retry, with_deadline};
pub use self::session::Session;
use crate::fleet::{Credentials, Fleet};

/// The gateway, without a user.
#[derive(Clone)]
pub struct Api {
    channel: Channel,
    repeats: Arc<AtomicU64>,
}

impl Api {
    /// The gateway of a fleet; connects on first use.
    ///
    /// # Errors
    /// If its URL is invalid.
    pub fn of(fleet: &Fleet) -> Result<Self> {
        Self::with(&fleet.gateway_url, &fleet.client)
    }

    /// A gateway with a URL without TLS; connects on first use.
    ///
    /// # Errors
    /// If the URL is invalid.
    pub fn at(url: &str) -> Result<Self> {
        Self::with(url, &ClientSettings::default())
    }

    fn with(url: &str, settings: &ClientSettings) -> Result<Self> {
        let channel = flotilla_rpc::channel(url, settings).with_context(|| format!("invalid gateway URL {url}"))?;
        Ok(Self { channel, repeats: Arc::default() })
    }

    /// How often calls were retried so far, including those of sessions created here.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// The channel, for calls without a method here.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Signs in as the fleet's operator.
    ///
    /// # Errors
    /// When the credentials are refused or nobody answers.
    pub async fn operator(&self, fleet: &Fleet) -> Result<Session> {
        let Credentials { email, password } = &fleet.operator;
        self.sign_in(email, password).await.context("can't sign in as the operator")
    }

    /// Creates a customer and signs in as it.
    ///
    /// # Errors
    /// When the sign-up is refused or nobody answers.
    pub async fn sign_up(&self, email: &str, display_name: &str, password: &str) -> Result<Session> {
        let user = User {
            email: email.to_owned(),
            display_name: display_name.to_owned(),
            password: password.to_owned(),
            ..User::default()
        };
        let request = CreateUserRequest { user: Some(user), request_id: format!("sign-up-{email}") };
        retry(&self.repeats, || async {
            UserServiceClient::new(self.channel.clone()).create_user(with_deadline(request.clone())).await
        })
        .await
        .with_context(|| format!("{email} can't sign up"))?;
        self.sign_in(email, password).await
    }

    /// Signs in.
    ///
    /// # Errors
    /// When the credentials are refused or nobody answers.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Session> {
        let credentials = Credentials { email: email.to_owned(), password: password.to_owned() };
        Session::open(self.channel.clone(), Arc::clone(&self.repeats), credentials).await
    }
}
