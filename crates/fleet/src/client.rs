//! A client of the fleet's public API, over the gateway's gRPC: what demo, replay, load and chaos drive it with.
//!
//! Every call carries its deadline and, where it writes, a request id, so that a call whose answer was lost is repeated
//! until it is answered and still counts once.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use flotilla_proto::{
    google::r#type::Money,
    identity::v1::{
        CreateUserRequest, LoginRequest, User, auth_service_client::AuthServiceClient,
        user_service_client::UserServiceClient,
    },
    inventory::v1::{
        AdjustStockRequest, CreateProductRequest, Product, catalog_service_client::CatalogServiceClient,
        stock_service_client::StockServiceClient,
    },
    orders::v1::{Order, PlaceOrderLine, PlaceOrderRequest, order_service_client::OrderServiceClient},
    payments::v1::{TopUpAccountRequest, payment_service_client::PaymentServiceClient},
};
use flotilla_rpc::{Channel, ClientSettings};
use tokio::time::Instant;
use tonic::{Code, Request, Status, metadata::AsciiMetadataValue};

use crate::{home::Home, secrets::Secrets, state::State};

/// One attempt of a call.
const ATTEMPT: Duration = Duration::from_secs(10);
/// A call is repeated for so long: longer than anything takes to restart.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The gateway, without a user.
#[derive(Clone)]
pub struct Api {
    channel: Channel,
    repeats: Arc<AtomicU64>,
}

impl Api {
    /// Finds the gateway of the fleet that is up.
    ///
    /// # Errors
    /// When no fleet is up.
    pub fn of(home: &Home) -> Result<Self> {
        let state = State::of_running(home)?;
        Self::with(&state.url("gateway")?, &state.client_settings())
    }

    /// A gateway by its plain URL; connects when it is first used.
    ///
    /// # Errors
    /// When the URL isn't one.
    pub fn at(url: &str) -> Result<Self> {
        Self::with(url, &ClientSettings::default())
    }

    fn with(url: &str, settings: &ClientSettings) -> Result<Self> {
        let channel =
            flotilla_rpc::channel(url, settings).with_context(|| format!("{url} is no address of a gateway"))?;
        Ok(Self { channel, repeats: Arc::default() })
    }

    /// How often calls were repeated so far, by the sessions that began here too.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// The connection, for calls that this client doesn't know.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Signs in as the operator that was made at first start.
    ///
    /// # Errors
    /// When the credentials are refused or nobody answers.
    pub async fn operator(&self, home: &Home) -> Result<Session> {
        let secrets = Secrets::load(home)?;
        self.sign_in(&secrets.admin_email, &secrets.admin_password).await.context("the operator can't sign in")
    }

    /// Makes a customer and signs in as it.
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
        patiently(&self.repeats, || async {
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
        let session = Session {
            channel: self.channel.clone(),
            repeats: Arc::clone(&self.repeats),
            email: email.to_owned(),
            password: password.to_owned(),
            authorization: RwLock::new(AsciiMetadataValue::from_static("none")),
            user: String::new(),
        };
        let user = session.renew().await?;
        Ok(Session { user, ..session })
    }
}

/// The gateway, as one user. Signs in again when the token has expired.
pub struct Session {
    channel: Channel,
    repeats: Arc<AtomicU64>,
    email: String,
    password: String,
    authorization: RwLock<AsciiMetadataValue>,
    user: String,
}

impl Session {
    /// The user's UUID.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.user.trim_start_matches("users/")
    }

    /// The present `authorization` header.
    #[must_use]
    pub fn authorization(&self) -> AsciiMetadataValue {
        self.authorization.read().map_or_else(|broken| broken.into_inner().clone(), |value| value.clone())
    }

    /// Places an order; repeats with the same key until it is answered.
    ///
    /// # Errors
    /// The refusal, or the last failure when nobody answers for a minute.
    pub async fn place_order(&self, lines: Vec<(String, i64)>, key: &str) -> Result<Order, Status> {
        let lines = lines
            .into_iter()
            .map(|(product, quantity)| PlaceOrderLine { product: format!("products/{product}"), quantity })
            .collect();
        let request = PlaceOrderRequest { lines, expected_total: None, request_id: key.to_owned() };
        self.call(
            |request| async move { OrderServiceClient::new(self.channel.clone()).place_order(request).await },
            request,
        )
        .await
    }

    /// Cancels an order, whatever has become of it.
    ///
    /// # Errors
    /// The refusal, such as that of an order that is confirmed.
    pub async fn cancel_order(&self, name: &str) -> Result<Order, Status> {
        let request = flotilla_proto::orders::v1::CancelOrderRequest { name: name.to_owned(), etag: String::new() };
        self.call(
            |request| async move { OrderServiceClient::new(self.channel.clone()).cancel_order(request).await },
            request,
        )
        .await
    }

    /// Adds a product; one that is there already is no error.
    ///
    /// # Errors
    /// The refusal, or the last failure.
    pub async fn create_product(&self, id: &str, display_name: &str, price: Money) -> Result<(), Status> {
        let product = Product { display_name: display_name.to_owned(), price: Some(price), ..Product::default() };
        let request = CreateProductRequest { product: Some(product), product_id: id.to_owned() };
        let made = self
            .call(
                |request| async move { CatalogServiceClient::new(self.channel.clone()).create_product(request).await },
                request,
            )
            .await;
        match made {
            Err(status) if status.code() != Code::AlreadyExists => Err(status),
            _ => Ok(()),
        }
    }

    /// Adds units to a product's stock, once for each key.
    ///
    /// # Errors
    /// The refusal, or the last failure.
    pub async fn adjust_stock(&self, id: &str, delta: i64, key: &str) -> Result<(), Status> {
        let request = AdjustStockRequest {
            product: format!("products/{id}"),
            delta,
            reason: "delivery".to_owned(),
            request_id: key.to_owned(),
        };
        self.call(
            |request| async move { StockServiceClient::new(self.channel.clone()).adjust_stock(request).await },
            request,
        )
        .await
        .map(drop)
    }

    /// Adds money to a customer's account, once for each key.
    ///
    /// # Errors
    /// The refusal, or the last failure.
    pub async fn top_up(&self, customer: &str, amount: Money, key: &str) -> Result<(), Status> {
        let request = TopUpAccountRequest {
            name: format!("accounts/{customer}"),
            amount: Some(amount),
            request_id: key.to_owned(),
        };
        self.call(
            |request| async move { PaymentServiceClient::new(self.channel.clone()).top_up_account(request).await },
            request,
        )
        .await
        .map(drop)
    }

    /// One authorised call, repeated while nobody answers; signs in again once when the token has expired.
    async fn call<Q, R, F, Fut>(&self, call: F, message: Q) -> Result<R, Status>
    where
        Q: Clone,
        F: Fn(Request<Q>) -> Fut,
        Fut: Future<Output = Result<tonic::Response<R>, Status>>,
    {
        let attempt = || async {
            let answer = call(self.authorised(message.clone())).await;
            match answer {
                Err(status) if status.code() == Code::Unauthenticated => {
                    self.renew().await.map_err(|error| Status::unauthenticated(format!("{error:#}")))?;
                    call(self.authorised(message.clone())).await
                }
                other => other,
            }
        };
        patiently(&self.repeats, attempt).await
    }

    fn authorised<Q>(&self, message: Q) -> Request<Q> {
        let mut request = with_deadline(message);
        request.metadata_mut().insert("authorization", self.authorization());
        request
    }

    /// Signs in anew and returns the user's resource name.
    async fn renew(&self) -> Result<String> {
        let request =
            LoginRequest { email: self.email.clone(), password: self.password.clone(), client_label: String::new() };
        let answer = patiently(&self.repeats, || async {
            AuthServiceClient::new(self.channel.clone()).login(with_deadline(request.clone())).await
        })
        .await
        .with_context(|| format!("{} can't sign in", self.email))?;
        let value = format!("Bearer {}", answer.access_token).parse().context("the token is no header value")?;
        *self.authorization.write().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
        Ok(answer.user)
    }
}

fn with_deadline<Q>(message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.set_timeout(ATTEMPT);
    request
}

/// Repeats a call that may have been lost on its way, with growing pauses.
async fn patiently<R, F, Fut>(repeats: &AtomicU64, call: F) -> Result<R, Status>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<tonic::Response<R>, Status>>,
{
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_lost(&status) && Instant::now() < until => tokio::time::sleep(pause).await,
            Err(status) => return Err(status),
        }
        repeats.fetch_add(1, Ordering::Relaxed);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether nobody has decided on the call, as far as the caller can know.
fn is_lost(status: &Status) -> bool {
    let on_purpose = |reason: &str| flotilla_rpc::reasons::ON_PURPOSE.contains(&reason);
    if flotilla_rpc::Details::of(status).reason.as_deref().is_some_and(on_purpose) {
        return false;
    }
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled | Code::Unknown
    ) || (status.code() == Code::Internal && std::error::Error::source(status).is_some())
}
