//! One order after the other on a fleet that does nothing else: from the call to the watch's message that says confirmed.

use anyhow::{Context as _, Result, bail};
use flotilla_proto::orders::v1::{
    OrderState, PlaceOrderLine, PlaceOrderRequest, WatchOrderRequest, order_service_client::OrderServiceClient,
};
use hdrhistogram::Histogram;
use tokio::time::{Duration, Instant, timeout};
use tonic::{Request, metadata::AsciiMetadataValue};

use crate::{demo::Shop, fleet::Fleet};

const ORDERS: usize = 100;
/// The maximum duration of one order.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Median, 90th and 99th percentile in milliseconds.
///
/// # Errors
/// When an order is refused or isn't confirmed in time.
pub async fn run(fleet: &Fleet, shop: &Shop) -> Result<[f64; 3]> {
    let client =
        OrderServiceClient::new(flotilla_rpc::channel(&fleet.gateway_url, &fleet.client).context("invalid address")?);
    let stamp = shop.stamp();
    let mut latencies = Histogram::<u64>::new(3)?;
    for number in 0..ORDERS {
        let lines = shop.two_lines(number);
        let lines =
            lines.map(|(product, quantity)| PlaceOrderLine { product: format!("products/{product}"), quantity });
        let request_id = format!("alone-{stamp}-{number}");
        let order = PlaceOrderRequest { lines: lines.into(), expected_total: None, request_id };
        let began = Instant::now();
        let confirmed = confirm(client.clone(), order, shop.customer(number).authorization());
        timeout(TIMEOUT, confirmed).await.context("an order isn't confirmed in time")??;
        latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok([0.5, 0.9, 0.99].map(|quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0))
}

async fn confirm(
    mut client: OrderServiceClient<flotilla_rpc::Channel>,
    order: PlaceOrderRequest,
    authorization: AsciiMetadataValue,
) -> Result<()> {
    let mut request = Request::new(order);
    request.metadata_mut().insert("authorization", authorization.clone());
    let name = client.place_order(request).await?.into_inner().name;
    let mut request = Request::new(WatchOrderRequest { name, ..WatchOrderRequest::default() });
    request.metadata_mut().insert("authorization", authorization);
    let mut states = client.watch_order(request).await?.into_inner();
    while let Some(message) = states.message().await? {
        if message.order.is_some_and(|order| order.state() == OrderState::Confirmed) {
            return Ok(());
        }
    }
    bail!("the watch of an order ended before it was confirmed")
}
