//! Places the same orders over REST: HTTP/1.1 with JSON, a few connections, one call at a time on each.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

use crate::{demo::Shop, fleet::Fleet};

const CONNECTIONS: usize = 32;

/// The results.
#[derive(Serialize)]
pub struct Rest {
    /// Accepted orders per second.
    pub per_second: f64,
    /// Connections.
    pub connections: usize,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the latency in milliseconds.
    pub p99_ms: f64,
}

/// Places orders for the duration.
///
/// # Errors
/// When the gateway doesn't answer or refuses an order.
pub async fn run(fleet: &Fleet, shop: &Arc<Shop>, duration: Duration) -> Result<Rest> {
    let address = fleet.member("gateway")?.address.clone();
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        connections.spawn(drive(address.clone(), Arc::clone(shop), connection, began + duration));
    }
    let mut latencies = Histogram::<u64>::new(3)?;
    while let Some(one) = connections.join_next().await {
        latencies.add(one??)?;
    }
    let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let per_second = latencies.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Rest { per_second, connections: CONNECTIONS, p50_ms: ms(0.5), p99_ms: ms(0.99) })
}

async fn drive(address: String, shop: Arc<Shop>, connection: usize, until: Instant) -> Result<Histogram<u64>> {
    let stream = TcpStream::connect(&address).await.context("can't connect to the gateway")?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(driver);
    let mut latencies = Histogram::<u64>::new(3)?;
    let stamp = shop.stamp();
    for number in 0_usize.. {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let index = number * CONNECTIONS + connection;
        let lines: Vec<_> = shop
            .two_lines(index)
            .into_iter()
            .map(|(product, quantity)| json!({"product": format!("products/{product}"), "quantity": quantity}))
            .collect();
        let body = Bytes::from(json!({"lines": lines}).to_string());
        let authorization = shop.customer(index).authorization();
        let request = Request::post("/v1/orders")
            .header(header::HOST, &address)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, authorization.as_bytes())
            .header("idempotency-key", format!("rest-{stamp}-{index}"))
            .body(Full::new(body))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("the gateway returned {status}: {}", String::from_utf8_lossy(&body));
        }
        latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    drop(sender);
    driver.await??;
    Ok(latencies)
}
