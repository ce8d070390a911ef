//! A bare HTTP/2 connection for the generator's calls. The layers of the services' clients (retries, circuit breaker,
//! balancing, spans) are a fifth of its work, and the generator needs none of them.

use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use flotilla_rpc::ClientSettings;
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet};
use tonic::{
    body::Body,
    codegen::{BoxFuture, Service, StdError},
};

/// The window of a connection: larger than the responses of all calls in flight.
const WINDOW: u32 = 8 * 1024 * 1024;

/// A connection to the gateway. Cheap to clone.
#[derive(Clone)]
pub enum Connection {
    /// Without TLS. A call after the connection was closed fails.
    Bare(http2::SendRequest<Body>),
    /// With TLS: the services' client, which knows the certificates.
    Tls(flotilla_rpc::Channel),
}

impl Connection {
    /// Connects to the gateway; `tasks` owns the connection's task.
    ///
    /// # Errors
    /// When it can't be reached, or its address is invalid.
    pub async fn open(url: &str, settings: &ClientSettings, tasks: &mut JoinSet<()>) -> Result<Self> {
        let Some(address) = url.strip_prefix("http://") else {
            return Ok(Self::Tls(flotilla_rpc::channel(url, settings).context("invalid address of the gateway")?));
        };
        let stream = TcpStream::connect(address).await.with_context(|| format!("can't connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        // Its end is seen by the calls.
        tasks.spawn(async move { drop(connection.await) });
        Ok(Self::Bare(sender))
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<tonic::body::Body>;
    type Error = StdError;
    type Future = BoxFuture<Self::Response, StdError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        match self {
            Self::Bare(sender) => sender.poll_ready(cx).map_err(Into::into),
            Self::Tls(channel) => channel.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::Bare(sender) => {
                let answer = sender.send_request(request);
                Box::pin(async move { Ok(answer.await?.map(|body: Incoming| Body::new(body))) })
            }
            Self::Tls(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { Ok(answer.await?.map(Body::new)) })
            }
        }
    }
}
