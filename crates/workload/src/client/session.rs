//! The gateway, as one user.

use std::sync::{Arc, RwLock, atomic::AtomicU64};

use anyhow::{Context as _, Result};
use flotilla_proto::{
    google::r#type::Money,
    identity::v1::{LoginRequest, auth_service_client::AuthServiceClient},
    inventory::v1::{
        AdjustStockRequest, CreateProductRequest, Product, catalog_service_client::CatalogServiceClient,
        stock_service_client::StockServiceClient,
    },
    orders::v1::{
        CancelOrderRequest, Order, PlaceOrderLine, PlaceOrderRequest, order_service_client::OrderServiceClient,
    },
    payments::v1::{TopUpAccountRequest, payment_service_client::PaymentServiceClient},
};
use flotilla_rpc::Channel;
use tonic::{Code, Request, Status, metadata::AsciiMetadataValue};

use super::retry::{retry, with_deadline};
use crate::fleet::Credentials;

/// The gateway, as one user. Signs in again when the token has expired.
pub struct Session {
    channel: Channel,
    repeats: Arc<AtomicU64>,
    credentials: Credentials,
    authorization: RwLock<AsciiMetadataValue>,
    user: String,
}

impl Session {
    /// Signs in.
    pub(super) async fn open(channel: Channel, repeats: Arc<AtomicU64>, credentials: Credentials) -> Result<Self> {
        let authorization = RwLock::new(AsciiMetadataValue::from_static("none"));
        let session = Self { channel, repeats, credentials, authorization, user: String::new() };
        let user = session.renew().await?;
        Ok(Self { user, ..session })
    }

    /// The user's UUID.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.user.trim_start_matches("users/")
    }

    /// The current `authorization` header.
    #[must_use]
    pub fn authorization(&self) -> AsciiMetadataValue {
        self.authorization.read().map_or_else(|broken| broken.into_inner().clone(), |value| value.clone())
    }

    /// Places an order; retries with the same key until there is a response.
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

    /// Cancels an order in any state.
    ///
    /// # Errors
    /// The refusal, such as that of an order that is confirmed.
    pub async fn cancel_order(&self, name: &str) -> Result<Order, Status> {
        let request = CancelOrderRequest { name: name.to_owned(), etag: String::new() };
        self.call(
            |request| async move { OrderServiceClient::new(self.channel.clone()).cancel_order(request).await },
            request,
        )
        .await
    }

    /// Adds a product; an existing one is no error.
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

    /// Makes a call with the token, with retries; signs in again once if the token has expired.
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
        retry(&self.repeats, attempt).await
    }

    fn authorised<Q>(&self, message: Q) -> Request<Q> {
        let mut request = with_deadline(message);
        request.metadata_mut().insert("authorization", self.authorization());
        request
    }

    /// Signs in again and returns the user's resource name.
    async fn renew(&self) -> Result<String> {
        let Credentials { email, password } = self.credentials.clone();
        let request = LoginRequest { email, password, client_label: String::new() };
        let answer = retry(&self.repeats, || async {
            AuthServiceClient::new(self.channel.clone()).login(with_deadline(request.clone())).await
        })
        .await
        .with_context(|| format!("can't sign in as {}", self.credentials.email))?;
        let value =
            format!("Bearer {}", answer.access_token).parse().context("the token is not a valid header value")?;
        *self.authorization.write().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
        Ok(answer.user)
    }
}
