//! The transitions of a batch, for the metrics that count them after the commit.

use std::time::{Duration, SystemTime};

use flotilla_clock::time_of;
use flotilla_telemetry::SampledTrace;
use uuid::Uuid;

use crate::{domain::saga::State, storage::sagas::SagaRow};

/// An order left a state because of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// What it left.
    pub from: State,
    /// What it came to.
    pub to: State,
    /// How long the step lasted that it left, by the times of its command and of now; none where it goes on.
    pub step: Option<Duration>,
    /// How old the order is.
    pub age: Duration,
    /// What is earned by it: the total of an order that is confirmed, in minor units of the currency of this ISO 4217 code.
    pub revenue: Option<(String, i64)>,
    /// The trace that it belongs to, if that is sampled.
    pub trace: Option<SampledTrace>,
}

impl Move {
    /// The move of an order whose row is `row`, still as it was.
    #[must_use]
    pub fn of(row: &SagaRow, to: State, now: SystemTime, traceparent: Option<&str>) -> Self {
        let since = |id: Uuid| time_of(id).map(|then| now.duration_since(then).unwrap_or_default());
        let began = if leaves_step(row.state, to) { command(row) } else { None };
        Self {
            from: row.state,
            to,
            step: began.and_then(since),
            age: since(row.order_id).unwrap_or_default(),
            revenue: (to == State::Confirmed).then(|| (row.currency.clone(), row.total_minor)),
            trace: traceparent.and_then(SampledTrace::named),
        }
    }

    /// Whether the order ended by it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.from.is_open() && !self.to.is_open()
    }
}

/// Compensations go on while one side has answered.
fn leaves_step(from: State, to: State) -> bool {
    std::mem::discriminant(&from) != std::mem::discriminant(&to)
}

/// The first command of the present step. Ids carry the time of their making, and re-sends keep them.
fn command(row: &SagaRow) -> Option<Uuid> {
    let awaited = row.state.awaited();
    let sent = [row.stock, row.payment].into_iter().flatten();
    match row.state {
        // The last to answer may be all that is awaited still: both were sent when the step began.
        State::Compensating(_) => sent.map(|sent| sent.id).max(),
        _ => sent.filter(|sent| awaited.contains(&sent.command)).map(|sent| sent.id).next(),
    }
}
