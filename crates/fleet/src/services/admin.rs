//! Queries a service's admin endpoints.

use std::time::Duration;

use anyhow::{Result, bail};
use flotilla_config::unknown;
use serde_json::Value;
use tokio::time::Instant;

use super::probe;
use crate::{SERVICES, home::state::State};

/// How long to wait for a service to apply a change.
pub const ADOPTION: Duration = Duration::from_secs(5);
/// How often it is polled.
const PAUSE: Duration = Duration::from_millis(50);

/// Gets a path of a service's admin port; `None` if it doesn't respond or has no such path.
pub async fn ask(state: &State, service: &str, path: &str) -> Option<Value> {
    let (status, body) = probe::get(state.admin(service).ok()?, path).await.ok()?;
    if status == 200 { serde_json::from_str(&body).ok() } else { None }
}

/// Polls until `judge` returns a value, for at most [`ADOPTION`].
pub async fn until<T>(state: &State, service: &str, path: &str, judge: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + ADOPTION;
    loop {
        if let Some(found) = ask(state, service, path).await.as_ref().and_then(&judge) {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Refuses an unknown service.
///
/// # Errors
/// If there is none with this name.
pub fn check_service(service: &str) -> Result<()> {
    if SERVICES.contains(&service) {
        return Ok(());
    }
    bail!(unknown("service", service, SERVICES))
}
