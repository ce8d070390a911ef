//! `PlaceOrder`: checked, priced, accepted. A request that is refused leaves its key unused.

use flotilla_proto::orders::v1::PlaceOrderRequest;
use uuid::Uuid;

use super::order_service::OrderApi;
use crate::{
    domain::{
        basket::Basket,
        idempotency::{Fingerprint, Key, same_request},
        order::Order,
    },
    error::Error,
    placing::Placement,
};

/// Places an order for a customer.
pub async fn place(api: &OrderApi, customer: Uuid, request: &PlaceOrderRequest) -> Result<Order, Error> {
    let outcome = accept(api, customer, request).await;
    api.metrics.placed(label(&outcome));
    outcome
}

async fn accept(api: &OrderApi, customer: Uuid, request: &PlaceOrderRequest) -> Result<Order, Error> {
    let basket = Basket::read(request)?;
    let fingerprint = basket.fingerprint();
    let priced = match api.catalogue.price(&basket).await {
        Ok(priced) => priced,
        Err(error) => return repeated(api, (customer, basket.request_id), &fingerprint, error).await,
    };
    let placement = Placement {
        key: (customer, basket.request_id),
        fingerprint,
        priced,
        traceparent: flotilla_rpc::current_traceparent(),
    };
    Ok(api.placing.submit(placement).await???)
}

/// The catalogue may have moved on since the order was accepted: a repeat gets its order all the same.
async fn repeated(api: &OrderApi, key: Key, fingerprint: &Fingerprint, refusal: Error) -> Result<Order, Error> {
    match api.reader.by_key(&key).await? {
        Some((order, ordered)) => {
            same_request(&ordered, fingerprint)?;
            Ok(order)
        }
        None => Err(refusal),
    }
}

/// The outcome as a metric's label.
fn label(outcome: &Result<Order, Error>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(Error::Basket(_) | Error::Pricing(_)) => "refused",
        Err(Error::KeyReused(_)) => "key_reused",
        Err(Error::Queue(_)) => "overloaded",
        Err(_) => "failed",
    }
}
