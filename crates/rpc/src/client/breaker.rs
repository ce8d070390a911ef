//! The circuit breaker of a service, by `grpc-status`: once most calls fail even after retries, it opens for a while;
//! then it lets one trial call at a time through, and closes when one succeeds.
//!
//! Calls that were never sent don't count: the balancer handles servers that can't be reached.

use std::sync::Arc;
use std::time::Duration;

use flotilla_call::Deadline;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Code;

use super::verdict::{counts_as_failure, timed_out};
use crate::ClientSettings;

/// The period over which failures are counted, in slices.
const SLICE: Duration = Duration::from_secs(1);
const SLICES: usize = 10;
/// The maximum pause, as a multiple of the first.
const LONGEST: u32 = 2;

/// The breaker of one service.
pub(crate) struct Breaker {
    service: String,
    calls: u32,
    percent: u32,
    pause: Duration,
    state: Mutex<State>,
}

enum State {
    /// Closed: calls are made. Calls and failures of each slice; the current slice, and when it began.
    Closed { counts: [(u32, u32); SLICES], slice: usize, since: Option<Instant> },
    /// Open: no calls are made until then.
    Open { until: Instant, pause: Duration },
    /// Half-open: one trial call is made.
    Trying { pause: Duration },
}

const CLOSED: State = State::Closed { counts: [(0, 0); SLICES], slice: 0, since: None };

impl Breaker {
    pub fn new(service: &str, settings: &ClientSettings) -> Self {
        Self {
            service: service.to_owned(),
            calls: settings.breaker_calls,
            percent: settings.breaker_percent,
            pause: settings.breaker_pause.0,
            state: Mutex::new(CLOSED),
        }
    }

    /// Lets a call through, or returns when to try again.
    pub fn admit(self: &Arc<Self>, now: Instant, deadline: Option<Deadline>) -> Result<Ticket, Duration> {
        let mut state = self.state.lock();
        let trial = match *state {
            State::Closed { .. } => false,
            State::Open { until, pause } if now < until => return Err((until - now).min(pause)),
            State::Open { pause, .. } => {
                *state = State::Trying { pause };
                true
            }
            State::Trying { .. } => return Err(self.pause),
        };
        Ok(Ticket { breaker: Arc::clone(self), began: now, deadline, trial, judged: false })
    }

    fn judge(&self, now: Instant, trial: bool, failed: bool) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed { counts, slice, since } => {
                advance(counts, slice, since, now);
                counts[*slice].0 += 1;
                counts[*slice].1 += u32::from(failed);
                let (calls, failures) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
                if failed && calls >= self.calls && failures * 100 >= calls * self.percent {
                    tracing::warn!(
                        service = self.service,
                        calls,
                        failures,
                        "circuit breaker opened, service isn't called for a while"
                    );
                    *state = State::Open { until: now + self.pause, pause: self.pause };
                }
            }
            State::Trying { pause } if trial => {
                *state = if failed {
                    let pause = (*pause * 2).min(self.pause * LONGEST);
                    State::Open { until: now + pause, pause }
                } else {
                    tracing::info!(service = self.service, "circuit breaker closed, service has recovered");
                    CLOSED
                };
            }
            // Calls that began before it opened.
            State::Open { .. } | State::Trying { .. } => {}
        }
    }

    /// The trial ended without telling anything about the server: the next call is a trial.
    fn release(&self, now: Instant) {
        let mut state = self.state.lock();
        if let State::Trying { pause } = *state {
            *state = State::Open { until: now, pause };
        }
    }
}

/// Advances to the slice of `now`, and clears the expired ones.
fn advance(counts: &mut [(u32, u32); SLICES], slice: &mut usize, since: &mut Option<Instant>, now: Instant) {
    let began = *since.get_or_insert(now);
    let passed = (now.saturating_duration_since(began).as_nanos() / SLICE.as_nanos()) as usize;
    for _ in 0..passed.min(SLICES) {
        *slice = (*slice + 1) % SLICES;
        counts[*slice] = (0, 0);
    }
    if passed > 0 {
        *since = Some(began + SLICE * u32::try_from(passed).unwrap_or(u32::MAX));
    }
}

/// A call that was let through.
pub(crate) struct Ticket {
    breaker: Arc<Breaker>,
    began: Instant,
    deadline: Option<Deadline>,
    trial: bool,
    judged: bool,
}

impl Ticket {
    fn judge(&mut self, failed: bool) {
        self.judged = true;
        self.breaker.judge(Instant::now(), self.trial, failed);
    }

    /// The call ended with `code`. A short timeout of the caller doesn't count as a failure of the server.
    pub fn ended(&mut self, code: Code) {
        self.judge(counts_as_failure(code, self.began.elapsed()));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.judged {
            return;
        }
        if timed_out(self.deadline, self.began.elapsed()) {
            self.judge(true);
        } else if self.trial {
            self.breaker.release(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Arc<Breaker> {
        let settings = ClientSettings { breaker_calls: 10, breaker_percent: 50, ..ClientSettings::default() };
        Arc::new(Breaker::new("s", &settings))
    }

    fn call(breaker: &Arc<Breaker>, now: Instant, failed: bool) -> bool {
        match breaker.admit(now, None) {
            Ok(mut ticket) => {
                ticket.judged = true;
                breaker.judge(now, ticket.trial, failed);
                true
            }
            Err(_) => false,
        }
    }

    #[test]
    fn it_opens_when_most_calls_fail_and_closes_after_one_that_succeeds() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..5 {
            assert!(call(&breaker, now, false));
        }
        for _ in 0..5 {
            assert!(call(&breaker, now, true));
        }
        assert!(!call(&breaker, now, false), "open");
        let later = now + Duration::from_secs(1);
        let trial = breaker.admit(later, None).ok().unwrap();
        assert!(breaker.admit(later, None).is_err(), "one trial at a time");
        drop(trial);
        assert!(call(&breaker, later, true), "a trial without an end makes room for the next");
        assert!(!call(&breaker, later + Duration::from_secs(1), false), "a failed one doubles the pause");
        assert!(call(&breaker, later + Duration::from_secs(2), false));
        for _ in 0..9 {
            assert!(call(&breaker, later + Duration::from_secs(2), true), "closed, and old failures are cleared");
        }
    }

    #[test]
    fn few_calls_and_old_failures_do_not_open_it() {
        let (breaker, mut now) = (breaker(), Instant::now());
        for _ in 0..9 {
            assert!(call(&breaker, now, true));
        }
        now += SLICE * SLICES as u32;
        for _ in 0..9 {
            assert!(call(&breaker, now, true));
        }
        assert!(call(&breaker, now, true));
        assert!(!call(&breaker, now, true));
    }
}
