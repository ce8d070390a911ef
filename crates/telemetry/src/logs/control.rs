//! Changes what is logged at run time: for everything, one module or one user's calls, each for a limited time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::event_filter::EventFilter;
use super::filter::{InForce, LogFilter, Shared};
use super::words;
use crate::error::TelemetryError;

/// Maximum number of rules in force.
const MAX_RULES: usize = 64;
/// Maximum duration of a rule.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// What a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogScope {
    /// Everything: the filter is replaced.
    All,
    /// A module and its submodules, such as `flotilla_orders::saga`.
    Module(String),
    /// The calls of one user, by id, with or without `users/`.
    User(String),
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogRule {
    /// What it applies to.
    #[serde(flatten)]
    pub scope: LogScope,
    /// The level, or a whole filter if it applies to everything.
    pub filter: String,
    /// Seconds until it expires.
    pub ends_in_s: u64,
}

/// What is logged, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogState {
    /// The filter without rules.
    pub filter: String,
    /// Where it comes from: `RUST_LOG` or `telemetry.filter`.
    pub origin: &'static str,
    /// The rules in force, oldest first.
    pub rules: Vec<LogRule>,
}

/// Changes what is logged. Clones share it.
#[derive(Clone)]
pub struct LogControl {
    rules: Arc<Mutex<Rules>>,
    shared: Arc<Shared>,
    /// Notified of a new rule, which may expire before the others.
    changed: Arc<Notify>,
}

struct Rules {
    filter: String,
    origin: &'static str,
    rules: Vec<(LogScope, String, Instant)>,
}

impl Rules {
    fn in_force(&self) -> Result<InForce, String> {
        let whole = self.rules.iter().rev().find(|(scope, ..)| *scope == LogScope::All);
        let filter = whole.map_or(&self.filter, |(_, filter, _)| filter);
        let modules = self.rules.iter().filter_map(|(scope, level, _)| match scope {
            LogScope::Module(module) => Some(format!("{module}={level}")),
            _ => None,
        });
        let users = self.rules.iter().filter_map(|(scope, level, _)| match scope {
            LogScope::User(user) => Some((user.clone(), level.parse().ok()?)),
            _ => None,
        });
        Ok(InForce { event_filter: EventFilter::parse(filter, modules)?, users: users.collect() })
    }
}

impl LogControl {
    /// A control with this filter, which came from `origin`, and no rules.
    pub(crate) fn new(filter: &str, origin: &'static str) -> Result<Self, TelemetryError> {
        let rules = Rules { filter: filter.to_owned(), origin, rules: Vec::new() };
        let in_force = rules.in_force().map_err(|reason| TelemetryError::Filter { origin, reason })?;
        let shared = Arc::new(Shared::new(in_force));
        Ok(Self { rules: Arc::new(Mutex::new(rules)), shared, changed: Arc::new(Notify::new()) })
    }

    /// The filter for a layer that logs.
    pub(crate) fn filter(&self) -> LogFilter {
        LogFilter(Arc::clone(&self.shared))
    }

    /// The filter and the rules in force.
    #[must_use]
    pub fn state(&self) -> LogState {
        let rules = self.lock();
        let now = Instant::now();
        let shown = |(scope, filter, ends): &(LogScope, String, Instant)| LogRule {
            scope: scope.clone(),
            filter: filter.clone(),
            ends_in_s: ends.saturating_duration_since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
        };
        let shown = rules.rules.iter().filter(|(_, _, ends)| *ends > now).map(shown).collect();
        LogState { filter: rules.filter.clone(), origin: rules.origin, rules: shown }
    }

    /// Sets the level or filter of `scope` for `duration`, a day at most; then the rule expires. Replaces a rule with the
    /// same scope.
    ///
    /// # Errors
    /// The level (for all: the filter), the scope or the duration is invalid, or there are too many rules.
    pub fn set(&self, scope: LogScope, filter: &str, duration: Duration) -> Result<(), LogRuleError> {
        let scope = checked(scope)?;
        if scope != LogScope::All {
            words::level(filter).map_err(LogRuleError::Level)?;
        }
        if let LogScope::Module(module) = &scope {
            words::module(module).map_err(LogRuleError::Module)?;
        }
        if duration.is_zero() || duration > MAX_DURATION {
            return Err(LogRuleError::Duration);
        }
        let mut rules = self.lock();
        let mut kept = rules.rules.clone();
        kept.retain(|(other, ..)| *other != scope);
        if kept.len() >= MAX_RULES {
            return Err(LogRuleError::TooMany);
        }
        kept.push((scope, filter.to_owned(), Instant::now() + duration));
        let wanted = Rules { filter: rules.filter.clone(), origin: rules.origin, rules: kept };
        let in_force = wanted.in_force().map_err(LogRuleError::Filter)?;
        *rules = wanted;
        self.shared.replace(in_force);
        drop(rules);
        self.changed.notify_one();
        Ok(())
    }

    /// Removes all rules.
    pub fn reset(&self) {
        self.change(|rules| rules.rules.clear());
    }

    /// Changes the filter without rules.
    ///
    /// # Errors
    /// It is invalid; the previous one stays in force.
    pub(crate) fn set_filter(&self, filter: &str) -> Result<(), String> {
        let mut rules = self.lock();
        let before = std::mem::replace(&mut rules.filter, filter.to_owned());
        match rules.in_force() {
            Ok(in_force) => self.shared.replace(in_force),
            Err(reason) => {
                rules.filter = before;
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Expires rules and applies changes of the setting, if the filter comes from it. Never returns.
    pub(crate) async fn run(self, mut setting: Option<watch::Receiver<String>>) {
        loop {
            let next = self.lock().rules.iter().map(|(_, _, ends)| *ends).min();
            tokio::select! {
                () = self.changed.notified() => {}
                () = until(next) => self.expire(),
                filter = changed(&mut setting) => self.apply(&filter),
            }
        }
    }

    /// Applies a change of the setting.
    pub(crate) fn apply(&self, filter: &str) {
        match self.set_filter(filter) {
            Ok(()) => tracing::info!(filter, "log filter changed"),
            Err(error) => tracing::warn!(filter, error, "invalid log filter, keeping the previous one"),
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        self.change(|rules| rules.rules.retain(|(_, _, ends)| *ends > now));
        tracing::info!("log rule expired");
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.lock();
        change(&mut rules);
        // A filter that is valid stays valid with fewer rules.
        if let Ok(in_force) = rules.in_force() {
            self.shared.replace(in_force);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LogControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LogControl").field(&self.state()).finish()
    }
}

/// An invalid rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogRuleError {
    /// Unknown level.
    #[error("{0}")]
    Level(String),
    /// Unknown module.
    #[error("{0}")]
    Module(String),
    /// Invalid filter.
    #[error("invalid log filter: {0}")]
    Filter(String),
    /// Malformed module or user.
    #[error("{0}")]
    Scope(String),
    /// Too short or too long.
    #[error("invalid duration of a log rule; use one above 0s and at most 1d")]
    Duration,
    /// Too many rules in force.
    #[error("{MAX_RULES} log rules are in force, the maximum; delete them with DELETE /logging")]
    TooMany,
}

fn checked(scope: LogScope) -> Result<LogScope, LogRuleError> {
    let fits = |text: &str, extra: &[u8]| {
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
    };
    match scope {
        LogScope::User(user) => {
            let id = user.strip_prefix("users/").unwrap_or(&user).to_ascii_lowercase();
            if fits(&id, b"-") {
                return Ok(LogScope::User(id));
            }
            Err(LogRuleError::Scope(format!("invalid user {user:?}; use an id such as users/018f...")))
        }
        LogScope::Module(module) if !fits(&module, b"_:-") => {
            Err(LogRuleError::Scope(format!("invalid module {module:?}; use a path such as flotilla_orders::saga")))
        }
        scope => Ok(scope),
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The setting's next value. Never returns if there is no setting or it can't change any more.
async fn changed(setting: &mut Option<watch::Receiver<String>>) -> String {
    if let Some(receiver) = setting {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *setting = None;
    }
    std::future::pending().await
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
