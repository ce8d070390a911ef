//! REST as a careful client uses it: reads, and writes under a key, are asked again while nobody answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_workload::client::Session;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::tally::Tally;

const ATTEMPT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// A request.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    /// The key of a write.
    pub key: Option<String>,
    pub body: Option<Value>,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), key: None, body: None }
    }
}

/// The answer's JSON; nothing, and a failure in the tally, where it isn't one of success.
pub async fn call(address: &str, session: &Session, kind: &'static str, call: Call, tally: &Tally) -> Option<Value> {
    let began = Instant::now();
    loop {
        let answer = tokio::time::timeout(ATTEMPT, attempt(address, session, &call)).await;
        let lost = match answer {
            Ok(Ok((status, body))) if status.is_success() => match serde_json::from_slice(&body) {
                Ok(value) => {
                    tally.answered(kind, began.elapsed());
                    return Some(value);
                }
                Err(error) => {
                    tally.failed(kind, format!("{}: {error}", call.path));
                    return None;
                }
            },
            Ok(Ok((status, body))) if !may_repeat(status) => {
                tally.failed(kind, format!("{} {status}: {}", call.path, String::from_utf8_lossy(&body)));
                return None;
            }
            Ok(Ok((status, _))) => status.to_string(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "no answer in time".to_owned(),
        };
        if began.elapsed() > PATIENCE {
            tally.failed(kind, format!("{}: {lost}", call.path));
            return None;
        }
        tally.repeated(kind);
        tokio::time::sleep(PAUSE).await;
    }
}

fn may_repeat(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

async fn attempt(address: &str, session: &Session, call: &Call) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, driver) = http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    let driver = tokio::spawn(driver);
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(&call.path)
        .header(header::HOST, address)
        .header(header::AUTHORIZATION, session.authorization().as_bytes());
    if let Some(key) = &call.key {
        request = request.header("idempotency-key", key).header(header::CONTENT_TYPE, "application/json");
    }
    let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}
