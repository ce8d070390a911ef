//! Whether the service can serve calls: runs its checks concurrently, each for at most a second.
//!
//! A ready report is cached for a second. Any other is cached only so long that many concurrent callers share one round
//! of checks, because starting a service waits for the change.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_rpc::HealthHandle;
use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a check may take, and how long a ready report is cached.
const SECOND: Duration = Duration::from_secs(1);
/// How long any other report is cached.
const AGAIN: Duration = Duration::from_millis(20);

/// Whether the service can serve calls without the dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can't: a failure makes the service not ready.
    Required,
    /// It can, perhaps slower or later: a failure is only shown.
    Degraded,
}

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A named check.
#[derive(Clone)]
pub(crate) struct Check {
    pub name: &'static str,
    pub severity: Severity,
    pub probe: Probe,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("severity", &self.severity).finish_non_exhaustive()
    }
}

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Name of the check.
    pub name: &'static str,
    /// Whether readiness depends on it.
    pub severity: Severity,
    /// Whether it passed.
    pub ok: bool,
    /// Why it didn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took.
    pub took_ms: u64,
}

/// The results of all checks.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether the service should get calls.
    pub ready: bool,
    /// Whether a dependency that isn't required is missing.
    pub degraded: bool,
    /// Whether the service is shutting down.
    pub draining: bool,
    /// Each check.
    pub checks: Vec<CheckReport>,
}

impl Report {
    /// How long it is cached before the checks run again.
    fn holds(&self) -> Duration {
        if self.ready || self.draining { SECOND } else { AGAIN }
    }
}

/// The readiness of a service. Cheap to clone.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    checks: Vec<Check>,
    draining: AtomicBool,
    started: AtomicBool,
    /// Held while checking, so that concurrent callers share one round.
    latest: tokio::sync::Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Readiness {
    pub(crate) fn new(checks: Vec<Check>) -> Self {
        Self(Arc::new(Inner {
            checks,
            draining: AtomicBool::new(false),
            started: AtomicBool::new(false),
            latest: tokio::sync::Mutex::default(),
        }))
    }

    /// The newest report: at most a second old if it is ready or draining, else 20 ms.
    pub async fn report(&self) -> Arc<Report> {
        let mut latest = self.0.latest.lock().await;
        if let Some((taken, report)) = &*latest
            && taken.elapsed() < report.holds()
            && report.draining == self.is_draining()
        {
            return Arc::clone(report);
        }
        let report = Arc::new(self.check().await);
        if report.ready {
            self.0.started.store(true, Ordering::Relaxed);
        }
        *latest = Some((Instant::now(), Arc::clone(&report)));
        report
    }

    /// Whether the service has been ready once.
    pub fn has_started(&self) -> bool {
        self.0.started.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Keeps the gRPC health service in step, and logs changes, until `shutdown`.
    pub(crate) async fn follow(self, health: Option<HealthHandle>, shutdown: CancellationToken) {
        let mut known = None;
        let mut bad_news: u32 = 0;
        loop {
            let report = self.report().await;
            let serving = report.ready && !self.is_draining();
            if let Some(health) = &health {
                health.set_serving(serving);
            }
            if known != Some((report.ready, report.degraded)) {
                log_change(&report);
                known = Some((report.ready, report.degraded));
            }
            // Grows while the service isn't ready, so that a database that is down isn't overloaded.
            bad_news = if report.holds() == SECOND { 0 } else { bad_news + 1 };
            let pause = if bad_news == 0 { SECOND } else { SECOND.min(AGAIN * 2_u32.saturating_pow(bad_news - 1)) };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn check(&self) -> Report {
        let checks = join_all(self.0.checks.iter().map(run)).await;
        let draining = self.is_draining();
        let failed = |severity| checks.iter().any(|check| !check.ok && check.severity == severity);
        Report {
            ready: !draining && !failed(Severity::Required),
            degraded: failed(Severity::Degraded),
            draining,
            checks,
        }
    }
}

async fn run(check: &Check) -> CheckReport {
    let started = Instant::now();
    let outcome = tokio::time::timeout(SECOND, (check.probe)()).await;
    let error = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some("no answer within 1s".to_owned()),
    };
    CheckReport {
        name: check.name,
        severity: check.severity,
        ok: error.is_none(),
        error,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn log_change(report: &Report) {
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
    if failed.is_empty() {
        tracing::info!(ready = report.ready, "readiness changed");
    } else {
        tracing::warn!(ready = report.ready, degraded = report.degraded, failed = ?failed, "readiness changed");
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("started", &self.has_started()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn check(name: &'static str, severity: Severity, probe: Probe) -> Check {
        Check { name, severity, probe }
    }

    fn always(answer: Result<(), String>) -> Probe {
        Arc::new(move || Box::pin(std::future::ready(answer.clone())))
    }

    #[tokio::test]
    async fn only_required_checks_fail_readiness() {
        let down = || always(Err("down".to_owned()));
        let degraded = Readiness::new(vec![
            check("database", Severity::Required, always(Ok(()))),
            check("broker", Severity::Degraded, down()),
        ]);
        let report = degraded.report().await;
        assert!(report.ready && report.degraded);
        assert_eq!(report.checks[1].error.as_deref(), Some("down"));
        assert!(degraded.has_started());

        let failed = Readiness::new(vec![check("database", Severity::Required, down())]);
        assert!(!failed.report().await.ready);
        assert!(!failed.has_started());
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_after_a_second_and_does_not_delay_others() {
        let hangs: Probe = Arc::new(|| Box::pin(std::future::pending()));
        let readiness = Readiness::new(vec![
            check("one", Severity::Required, Arc::clone(&hangs)),
            check("two", Severity::Required, hangs),
        ]);
        let started = Instant::now();
        assert!(!readiness.report().await.ready);
        assert_eq!(started.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn reports_are_cached_for_a_second_but_not_beyond_a_drain() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let probe: Probe = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(())))
        });
        let readiness = Readiness::new(vec![check("database", Severity::Required, probe)]);
        for _ in 0..5 {
            assert!(readiness.report().await.ready);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(SECOND).await;
        readiness.report().await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        readiness.drain();
        assert!(!readiness.report().await.ready);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_becomes_ready_reports_it_at_once() {
        let (up, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (state, counter) = (Arc::clone(&up), Arc::clone(&asked));
        let probe: Probe = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            let up = state.load(Ordering::Relaxed);
            Box::pin(std::future::ready(up.then_some(()).ok_or_else(|| "not loaded".to_owned())))
        });
        let readiness = Readiness::new(vec![check("catalogue", Severity::Required, probe)]);
        for _ in 0..5 {
            assert!(!readiness.report().await.ready);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "concurrent callers share one round");
        up.store(true, Ordering::Relaxed);
        tokio::time::advance(AGAIN).await;
        assert!(readiness.report().await.ready);
    }

    #[tokio::test(start_paused = true)]
    async fn followers_of_readiness_learn_of_a_quick_start_quickly_without_frequent_checks() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let probe: Probe = Arc::new(move || {
            let round = counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(if round < 4 { Err("down".to_owned()) } else { Ok(()) }))
        });
        let readiness = Readiness::new(vec![check("database", Severity::Required, probe)]);
        let shutdown = CancellationToken::new();
        let following = tokio::spawn(readiness.clone().follow(None, shutdown.clone()));
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(readiness.has_started());
        assert_eq!(asked.load(Ordering::Relaxed), 5);
        shutdown.cancel();
        following.await.unwrap();
    }
}
