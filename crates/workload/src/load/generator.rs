//! The load generator: orders over the gateway's gRPC.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use flotilla_proto::orders::v1::{PlaceOrderLine, PlaceOrderRequest, order_service_client::OrderServiceClient};
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::Instant};
use tonic::Request;

use super::{connection::Connection, offered::Offered};
use crate::{demo::Shop, fleet::Fleet};

/// Connections to the gateway.
const CONNECTIONS: usize = 4;
/// The deadline of a call.
const DEADLINE: Duration = Duration::from_secs(20);
/// Maximum number of calls in flight: with more, the machine is overloaded anyway.
const MOST_OPEN: usize = 50_000;

/// The arrival of orders.
#[derive(Clone, Copy, Debug)]
pub enum Offer {
    /// Open loop: a fixed number per second, independent of responses.
    PerSecond(f64),
    /// Closed loop: a fixed number in flight.
    InFlight(usize),
}

/// The results.
pub struct Accepted {
    /// Latency from due to accepted, in milliseconds: 50th and 99th percentile, maximum.
    pub latency_ms: [f64; 3],
    /// The number of refused calls.
    pub refused: u64,
}

/// Places orders for the duration and waits for all responses.
///
/// # Errors
/// When the gateway can't be reached, or most orders are refused.
pub async fn run(
    fleet: &Fleet,
    shop: &Arc<Shop>,
    offered: &Offered,
    offer: Offer,
    duration: Duration,
) -> Result<Accepted> {
    let origin: http::Uri = fleet.gateway_url.parse().context("invalid address of the gateway")?;
    let (mut connections, mut clients) = (JoinSet::new(), Vec::with_capacity(CONNECTIONS));
    for _ in 0..CONNECTIONS {
        let connection = Connection::open(&fleet.gateway_url, &fleet.client, &mut connections).await?;
        clients.push(OrderServiceClient::with_origin(connection, origin.clone()));
    }
    let run = Run { shop: Arc::clone(shop), offered: offered.clone(), clients, stamp: shop.stamp() };
    let mut tally = Tally { latencies: Histogram::new(3)?, refused: 0, last_error: String::new() };
    match offer {
        Offer::PerSecond(rate) => run.open_loop(rate, duration, &mut tally).await,
        Offer::InFlight(calls) => run.closed_loop(calls, duration, &mut tally).await,
    }
    tally.finish()
}

struct Run {
    shop: Arc<Shop>,
    offered: Offered,
    clients: Vec<OrderServiceClient<Connection>>,
    stamp: u64,
}

impl Run {
    async fn open_loop(&self, rate: f64, duration: Duration, tally: &mut Tally) {
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for number in 0_u32.. {
            let offset = Duration::from_secs_f64(f64::from(number) / rate.max(0.1));
            if offset >= duration {
                break;
            }
            let due = began + offset;
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            calls.spawn(self.call(number as usize, due));
            while let Some(answer) = calls.try_join_next() {
                tally.note(answer);
            }
            if calls.len() > MOST_OPEN
                && let Some(answer) = calls.join_next().await
            {
                tally.note(answer);
            }
        }
        while let Some(answer) = calls.join_next().await {
            tally.note(answer);
        }
    }

    async fn closed_loop(&self, in_flight: usize, duration: Duration, tally: &mut Tally) {
        let until = Instant::now() + duration;
        let mut calls = JoinSet::new();
        let mut number = 0;
        while Instant::now() < until {
            while calls.len() < in_flight.max(1) {
                calls.spawn(self.call(number, Instant::now()));
                number += 1;
            }
            if let Some(answer) = calls.join_next().await {
                tally.note(answer);
            }
        }
        while let Some(answer) = calls.join_next().await {
            tally.note(answer);
        }
    }

    /// Places one order; returns the time from due to accepted.
    fn call(
        &self,
        number: usize,
        due: Instant,
    ) -> impl Future<Output = Result<Duration, tonic::Status>> + Send + 'static {
        let mut client = self.clients[number % self.clients.len()].clone();
        let session = self.shop.customer(number);
        let line = |rank| PlaceOrderLine { product: format!("products/{}", self.shop.product(rank)), quantity: 1 };
        let lines = self.offered.basket(number, self.shop.products()).into_iter().map(line).collect();
        let request_id = format!("load-{}-{number}", self.stamp);
        let mut request = Request::new(PlaceOrderRequest { lines, expected_total: None, request_id });
        request.set_timeout(DEADLINE);
        request.metadata_mut().insert("authorization", session.authorization());
        async move {
            client.place_order(request).await?;
            Ok(due.elapsed())
        }
    }
}

struct Tally {
    latencies: Histogram<u64>,
    refused: u64,
    last_error: String,
}

impl Tally {
    fn note(&mut self, answer: Result<Result<Duration, tonic::Status>, tokio::task::JoinError>) {
        match answer {
            Ok(Ok(latency)) => {
                // The histogram resizes itself: it can hold any value up to the deadline.
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                if self.latencies.record(micros).is_err() {
                    self.refused += 1;
                }
            }
            Ok(Err(status)) => {
                self.refused += 1;
                self.last_error = format!("{:?}: {}", status.code(), status.message());
            }
            Err(error) => {
                self.refused += 1;
                self.last_error = error.to_string();
            }
        }
    }

    fn finish(self) -> Result<Accepted> {
        let accepted = self.latencies.len();
        if accepted == 0 {
            bail!("all {} orders were refused, the last with {}", self.refused, self.last_error);
        }
        let ms = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Accepted { latency_ms: [ms(0.5), ms(0.99), ms(1.0)], refused: self.refused })
    }
}
