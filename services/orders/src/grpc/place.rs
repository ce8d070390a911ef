//! `PlaceOrder`: rate limit, validation, pricing, acceptance. A refused request doesn't use up its key.

use std::time::Duration;

use flotilla_proto::orders::v1::PlaceOrderRequest;
use flotilla_telemetry::{KeyValue, Kind, Span};
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

/// Maximum delay of the refusal for a customer who places too many orders.
const MAX_REFUSAL_DELAY: Duration = Duration::from_millis(250);

/// The outcome if the service is at fault.
const FAILED: &str = "failed";

/// Places an order for a customer.
pub async fn place(api: &OrderApi, customer: Uuid, request: &PlaceOrderRequest) -> Result<Order, Error> {
    let span = Span::child(Kind::Internal, "place order");
    let outcome = span.within(accept(api, customer, request)).await;
    record(&span, &outcome);
    api.metrics.placed(label(&outcome));
    outcome
}

async fn accept(api: &OrderApi, customer: Uuid, request: &PlaceOrderRequest) -> Result<Order, Error> {
    // An order passes through three services: a flood by one customer would overload all of them.
    if let Err(wait) = api.customers.take(customer) {
        // The delay slows down immediate retries. The number of the customer's concurrent calls is limited.
        tokio::time::sleep(wait.min(MAX_REFUSAL_DELAY)).await;
        return Err(Error::TooManyOrders(wait));
    }
    let basket = Basket::read(request, api.max_lines.get())?;
    let fingerprint = basket.fingerprint();
    if !api.switches.accept_orders(customer).await {
        return repeated(api, (customer, basket.request_id), &fingerprint, Error::Paused).await;
    }
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
    api.placing.submit(customer, placement).await
}

/// A request that would be refused now may have been accepted earlier: a repeat still gets its order.
async fn repeated(api: &OrderApi, key: Key, fingerprint: &Fingerprint, refusal: Error) -> Result<Order, Error> {
    match api.reader.by_key(&key).await? {
        Some((order, ordered)) => {
            same_request(&ordered, fingerprint)?;
            Ok(order)
        }
        None => Err(refusal),
    }
}

/// Records the outcome in the trace.
fn record(span: &Span, outcome: &Result<Order, Error>) {
    match outcome {
        _ if !span.is_recorded() => {}
        Ok(order) => {
            span.set("flotilla.order.id", order.id.to_string());
            span.set("flotilla.order.lines", i64::try_from(order.lines.len()).unwrap_or(i64::MAX));
        }
        Err(error) if label(outcome) == FAILED => span.error(FAILED, error),
        Err(error) => {
            span.event("refused", [KeyValue::new("reason", label(outcome)), KeyValue::new("why", error.to_string())]);
        }
    }
}

/// The outcome as a metric's label.
fn label(outcome: &Result<Order, Error>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(Error::Basket(_) | Error::Pricing(_)) => "refused",
        Err(Error::KeyReused(_)) => "key_reused",
        Err(Error::Paused) => "paused",
        Err(Error::Queue(_)) => "overloaded",
        Err(Error::TooManyOrders(_)) => "limited",
        Err(_) => FAILED,
    }
}
