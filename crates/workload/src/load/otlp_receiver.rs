//! `fleet otlp-receiver`: receives spans and logs over OTLP and discards them, to measure what sending them costs.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::WithTrailers};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

/// Maximum number of connections; the fleet opens one or two per service.
const CONNECTIONS: usize = 64;
/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// An empty message, which is a valid response to every OTLP request.
const EMPTY: &[u8] = &[0; 5];

/// Options of `fleet otlp-receiver`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Address to listen on; port 0 selects a free port. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
}

type Answer = Response<WithTrailers<Full<Bytes>, std::future::Ready<Option<Result<HeaderMap, Infallible>>>>>;

/// Receives until Ctrl-C.
///
/// # Errors
/// When the address can't be listened on.
pub async fn run(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(options.listen).await.context("can't listen on the address")?;
    println!("http://{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let full = connections.len() >= CONNECTIONS;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if !full => {
                let (stream, _) = accepted?;
                connections.spawn(async move {
                    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service_fn(discard));
                    // The client closed the connection.
                    let _ = serving.await;
                });
            }
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn discard(request: Request<Incoming>) -> Result<Answer, Infallible> {
    // A request that can't be read completely is answered too: the sender notices the broken connection.
    let _ = tokio::time::timeout(PATIENCE, request.into_body().collect()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(EMPTY)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}
