//! What a service's admin endpoints say.

use std::time::Duration;

use anyhow::{Result, bail};
use flotilla_config::unknown;
use serde_json::Value;
use tokio::time::Instant;

use super::probe;
use crate::{SERVICES, home::state::State};

/// How long services are waited for to take a change over.
pub const ADOPTION: Duration = Duration::from_secs(5);
/// How often they are asked.
const PAUSE: Duration = Duration::from_millis(50);

/// What a service's admin port says at a path; `None` where it doesn't answer, or has no such page.
pub async fn ask(state: &State, service: &str, path: &str) -> Option<Value> {
    let (status, body) = probe::get(state.admin(service).ok()?, path).await.ok()?;
    if status == 200 { serde_json::from_str(&body).ok() } else { None }
}

/// Asks again and again until `judge` has an answer, at most for [`ADOPTION`].
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

/// Refuses a service that isn't one.
///
/// # Errors
/// When it isn't.
pub fn check_service(service: &str) -> Result<()> {
    if SERVICES.contains(&service) {
        return Ok(());
    }
    bail!(unknown("service", service, SERVICES))
}
