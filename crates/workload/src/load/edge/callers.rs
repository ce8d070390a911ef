//! Callers that get their orders, one call after another, over one of the protocols.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use flotilla_proto::orders::v1::{GetOrderRequest, order_service_client::OrderServiceClient};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use tonic::metadata::AsciiMetadataValue;

/// Calls in flight.
pub const IN_FLIGHT: usize = 32;
/// Connections of HTTP/2; of HTTP/1.1 there is one for each call in flight.
const CONNECTIONS: usize = 4;

/// An order and the token to read it.
pub struct Order {
    /// Its resource name.
    pub name: String,
    /// Its customer's token.
    pub authorization: AsciiMetadataValue,
}

/// A protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Native gRPC.
    Grpc,
    /// REST over HTTP/1.1.
    Http1,
    /// REST over HTTP/2.
    Http2,
}

/// The address to call, and the protocol.
pub struct Endpoint {
    /// The protocol.
    pub protocol: Protocol,
    /// Host and port.
    pub address: String,
}

impl Endpoint {
    /// Makes calls for the duration; returns how many were answered.
    ///
    /// # Errors
    /// When a call is refused.
    pub async fn run(&self, orders: &Arc<Vec<Order>>, duration: Duration) -> Result<u64> {
        let until = Instant::now() + duration;
        let mut callers = JoinSet::new();
        match self.protocol {
            Protocol::Grpc => self.grpc(orders, until, &mut callers)?,
            Protocol::Http1 => self.http1(orders, until, &mut callers).await?,
            Protocol::Http2 => self.http2(orders, until, &mut callers).await?,
        }
        let mut calls = 0;
        while let Some(done) = callers.join_next().await {
            calls += done??;
        }
        Ok(calls)
    }

    fn grpc(&self, orders: &Arc<Vec<Order>>, until: Instant, callers: &mut JoinSet<Result<u64>>) -> Result<()> {
        let url = format!("http://{}", self.address);
        let settings = flotilla_rpc::ClientSettings::default();
        let channels =
            (0..CONNECTIONS).map(|_| flotilla_rpc::channel(&url, &settings)).collect::<Result<Vec<_>, _>>()?;
        for caller in 0..IN_FLIGHT {
            let mut client = OrderServiceClient::new(channels[caller % CONNECTIONS].clone());
            let orders = Arc::clone(orders);
            callers.spawn(async move {
                let order = orders.get(caller).context("an order for each caller")?;
                let mut calls = 0;
                while Instant::now() < until {
                    let mut request = tonic::Request::new(GetOrderRequest { name: order.name.clone() });
                    request.metadata_mut().insert("authorization", order.authorization.clone());
                    client.get_order(request).await?;
                    calls += 1;
                }
                Ok(calls)
            });
        }
        Ok(())
    }

    async fn http1(&self, orders: &Arc<Vec<Order>>, until: Instant, callers: &mut JoinSet<Result<u64>>) -> Result<()> {
        for caller in 0..IN_FLIGHT {
            let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
            let (orders, address) = (Arc::clone(orders), self.address.clone());
            callers.spawn(async move {
                let connection = tokio::spawn(connection);
                let order = orders.get(caller).context("an order for each caller")?;
                let mut calls = 0;
                while Instant::now() < until {
                    let request = request(&format!("/v1/{}", order.name), order)?
                        .header(header::HOST, &address)
                        .body(Empty::<Bytes>::new())?;
                    answered(sender.send_request(request).await?).await?;
                    calls += 1;
                }
                drop(sender);
                connection.await??;
                Ok(calls)
            });
        }
        Ok(())
    }

    async fn http2(&self, orders: &Arc<Vec<Order>>, until: Instant, callers: &mut JoinSet<Result<u64>>) -> Result<()> {
        let mut senders = Vec::new();
        for _ in 0..CONNECTIONS {
            let io = TokioIo::new(self.connect().await?);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            senders.push(sender);
            callers.spawn(async move {
                connection.await?;
                Ok(0)
            });
        }
        for caller in 0..IN_FLIGHT {
            let mut sender = senders[caller % CONNECTIONS].clone();
            let (orders, address) = (Arc::clone(orders), self.address.clone());
            callers.spawn(async move {
                let order = orders.get(caller).context("an order for each caller")?;
                let url = format!("http://{address}/v1/{}", order.name);
                let mut calls = 0;
                while Instant::now() < until {
                    answered(sender.send_request(request(&url, order)?.body(Empty::<Bytes>::new())?).await?).await?;
                    calls += 1;
                }
                Ok(calls)
            });
        }
        Ok(())
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream =
            TcpStream::connect(&self.address).await.with_context(|| format!("can't connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn request(url: &str, order: &Order) -> Result<http::request::Builder> {
    let authorization = http::HeaderValue::from_bytes(order.authorization.as_encoded_bytes())?;
    Ok(Request::get(url).header(header::AUTHORIZATION, authorization))
}

async fn answered(answer: Response<Incoming>) -> Result<()> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("unexpected response {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
