//! Retries of what is safe to repeat, within a budget and the deadline.
//!
//! * A request that provably wasn't sent, or that no server has begun to process, is sent to another address, whatever
//!   its method.
//! * A method that is declared repeatable in its contract is retried when the connection broke, when the server
//!   answered `UNAVAILABLE`, or when it sent a `RetryInfo`, after the delay in it.
//! * A caller that has used up a quota gets the error at once.
//! * Anything else is left to the caller: a method that isn't declared repeatable is never sent twice.
//!
//! Retries of requests that may have arrived are paid for from a budget: a share of the calls made, and a reserve.

use std::sync::Arc;
use std::time::Duration;

use flotilla_telemetry::{KeyValue, Span, event};
use http::{HeaderMap, Request};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Code;

use super::deadline::{leaves_time, write};
use super::{Layer, Outcome, Outgoing};
use crate::ClientSettings;
use crate::client::endpoint::Wiring;
use crate::client::outbound::Outbound;
use crate::client::outcome::{Failure, Sent, code_in, details_in, head_code};

/// Largest request that is kept for a retry, and largest response that is read to its end before it is passed on.
const KEPT_BYTES: usize = 256 * 1024;
/// Maximum pause, and maximum retry delay that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Retries that are available however few calls are made; one is restored each second.
const RESERVE: f64 = 10.0;
/// Maximum number of retries that a busy channel may accumulate.
const SAVINGS: f64 = 500.0;

/// The layer.
pub(crate) struct Retry<S> {
    inner: S,
    budget: Mutex<Budget>,
    attempts: u32,
    pause: Duration,
    wiring: Arc<Wiring>,
}

impl<S> Retry<S> {
    pub fn new(inner: S, settings: &ClientSettings, wiring: Arc<Wiring>) -> Self {
        let budget = Budget::new(f64::from(settings.retry_percent) / 100.0, Instant::now());
        Self {
            inner,
            budget: Mutex::new(budget),
            attempts: settings.retry_attempts,
            pause: settings.retry_pause.0,
            wiring,
        }
    }
}

impl<S: Layer> Layer for Retry<S> {
    async fn call(&self, mut call: Outgoing) -> Outcome {
        self.budget.lock().deposit();
        let (repeatable, kept) = (call.method.repeatable, call.method.kept && self.attempts > 1);
        if kept {
            let gathered = std::mem::replace(call.request.body_mut(), Outbound::Whole(Default::default()));
            *call.request.body_mut() = gathered.gather(KEPT_BYTES).await.map_err(Failure::refused)?;
        }
        let (method, deadline) = (Arc::clone(&call.method), call.deadline);
        let mut tried = Vec::new();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let last = attempt >= self.attempts;
            let copy = if kept && !last { again(&call.request) } else { None };
            let sending = Outgoing {
                request: call.request,
                method: Arc::clone(&method),
                deadline,
                span: Span::none(),
                tried: tried.clone(),
            };
            let mut outcome = self.inner.call(sending).await;
            if repeatable && !method.server_streaming {
                outcome = read_to_end(outcome).await;
            }
            let Some((given_back, retry_time)) = self.verdict(&mut outcome, repeatable) else { return outcome };
            let Some(request) = given_back.or(copy).filter(|_| !last) else { return outcome };
            tried.extend(address(&outcome));
            let pause = match retry_time {
                RetryTime::Elsewhere if attempt == 1 => Duration::ZERO,
                RetryTime::Elsewhere | RetryTime::Soon => self.backoff(attempt),
                RetryTime::After(wait) => wait + self.backoff(1),
            };
            // Charged last: calls that aren't retried cost nothing.
            let worth_it = pause <= LONGEST_WAIT && leaves_time(deadline, pause);
            if !worth_it || !(matches!(retry_time, RetryTime::Elsewhere) || self.budget.lock().withdraw(Instant::now()))
            {
                return outcome;
            }
            // The last attempt's slot is returned before the next attempt begins.
            drop(outcome);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if let Some(metrics) = &method.metrics {
                metrics.retries.inc();
            }
            event("retry", [KeyValue::new("attempt", i64::from(attempt) + 1)]);
            call.request = request;
            if let Some(deadline) = deadline {
                write(deadline.remaining(), call.request.headers_mut());
            }
        }
    }
}

impl<S> Retry<S> {
    fn backoff(&self, attempt: u32) -> Duration {
        self.wiring.jitter.backoff(self.pause, attempt - 1, LONGEST_PAUSE)
    }

    /// Whether and when an attempt may be retried, and the request if it came back unsent.
    fn verdict(&self, outcome: &mut Outcome, repeatable: bool) -> Option<(Option<Request<Outbound>>, RetryTime)> {
        match outcome {
            // Retrying at another address doesn't help: all connections are full.
            Err(failure) if failure.status.code() == Code::ResourceExhausted => None,
            Err(Failure { sent: Sent::Never(request), .. }) => {
                Some((request.take().map(|request| *request), RetryTime::Elsewhere))
            }
            Err(failure) => {
                (repeatable && failure.status.code() == Code::Unavailable).then_some((None, RetryTime::Soon))
            }
            Ok(response) => {
                let trailers = response.body().trailers();
                let grpc_status = trailers.filter(|trailers| trailers.contains_key("grpc-status"));
                let headers = grpc_status.unwrap_or(response.headers());
                let code = head_code(response).or_else(|| code_in(headers))?;
                if !repeatable || code == Code::Ok {
                    return None;
                }
                match wait_of(headers) {
                    Some(wait) => Some((None, RetryTime::After(wait))),
                    None => (code == Code::Unavailable).then_some((None, RetryTime::Soon)),
                }
            }
        }
    }
}

/// When to try again.
#[derive(Debug, Clone, Copy)]
enum RetryTime {
    /// At once, because the request was never sent.
    Elsewhere,
    /// After a short pause.
    Soon,
    /// After the delay that the server names.
    After(Duration),
}

/// Reads a short response to its end, because its status may be in the trailers.
async fn read_to_end(outcome: Outcome) -> Outcome {
    let mut response = outcome?;
    if head_code(&response).is_none() {
        let address = response.body().address;
        if let Err(status) = response.body_mut().gather(KEPT_BYTES).await {
            return Err(Failure { status, sent: Sent::Maybe, address: Some(address) });
        }
    }
    Ok(response)
}

fn address(outcome: &Outcome) -> Option<std::net::SocketAddr> {
    match outcome {
        Ok(response) => Some(response.body().address),
        Err(failure) => failure.address,
    }
}

/// A copy of the request, if all of it is in memory.
fn again(request: &Request<Outbound>) -> Option<Request<Outbound>> {
    let mut copy = Request::new(request.body().again()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// The delay after which the server says that a retry may succeed; `None` if the caller has used up a quota of its own.
/// A retry would add to the caller's excessive calls.
fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let details = details_in(headers)?;
    details.retry_after.filter(|_| details.quotas.is_empty())
}

/// The retry budget.
#[derive(Debug)]
struct Budget {
    share: f64,
    saved: f64,
    reserve: f64,
    filled: Instant,
}

impl Budget {
    fn new(share: f64, now: Instant) -> Self {
        Self { share, saved: 0.0, reserve: if share > 0.0 { RESERVE } else { 0.0 }, filled: now }
    }

    /// Adds a call's share to the budget.
    fn deposit(&mut self) {
        self.saved = (self.saved + self.share).min(SAVINGS);
    }

    /// Takes a retry from the budget, if there is one.
    fn withdraw(&mut self, now: Instant) -> bool {
        if self.share > 0.0 {
            let passed = now.saturating_duration_since(self.filled).as_secs_f64();
            self.reserve = (self.reserve + passed).min(RESERVE);
        }
        self.filled = now;
        for purse in [&mut self.saved, &mut self.reserve] {
            if *purse >= 1.0 {
                *purse -= 1.0;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::RpcError;

    #[test]
    fn the_budget_is_a_share_of_the_calls_and_a_reserve() {
        let now = Instant::now();
        let mut budget = Budget::new(0.2, now);
        (0..100).for_each(|_| budget.deposit());
        // Sums of fifths are a little below whole numbers.
        let paid = (0..100).filter(|_| budget.withdraw(now)).count();
        assert!((29..=30).contains(&paid), "{paid}");
        assert!(budget.withdraw(now + Duration::from_secs(2)));
        let mut none = Budget::new(0.0, now);
        none.deposit();
        assert!(!none.withdraw(now + Duration::from_secs(100)));
    }

    #[test]
    fn the_servers_retry_delay_is_read_with_and_without_padding() {
        let error = RpcError::new(Code::ResourceExhausted, "OVERLOADED", "busy");
        let response = Status::from(error.clone().retry_after(Duration::from_millis(250))).into_http::<()>();
        assert_eq!(wait_of(response.headers()), Some(Duration::from_millis(250)));
        let plain = response.headers()["grpc-status-details-bin"].to_str().unwrap().trim_end_matches('=').to_owned();
        for padded in [format!("{plain}="), format!("{plain}==")] {
            let headers = HeaderMap::from_iter([("grpc-status-details-bin".parse().unwrap(), padded.parse().unwrap())]);
            assert_eq!(wait_of(&headers), Some(Duration::from_millis(250)));
        }
        assert_eq!(wait_of(Status::from(error.clone()).into_http::<()>().headers()), None);
        let own = error.quota("user", "calls a second").retry_after(Duration::from_millis(250));
        assert_eq!(wait_of(Status::from(own).into_http::<()>().headers()), None, "a quota is the caller's own");
        let rubbish = HeaderMap::from_iter([("grpc-status-details-bin".parse().unwrap(), "%%".parse().unwrap())]);
        assert_eq!(wait_of(&rubbish), None);
    }
}
