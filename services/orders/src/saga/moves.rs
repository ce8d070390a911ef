//! The transitions of a batch, for the metrics that count them after the commit.

use std::time::{Duration, SystemTime};

use flotilla_clock::time_of;
use flotilla_telemetry::SampledTrace;
use uuid::Uuid;

use crate::{domain::saga::State, storage::sagas::SagaRow};

/// A transition of an order because of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Duration of the completed step, from its command until now; `None` if the step continues.
    pub step: Option<Duration>,
    /// How old the order is.
    pub age: Duration,
    /// Revenue: the total of a confirmed order in minor units, with the ISO 4217 code of the currency.
    pub revenue: Option<(String, i64)>,
    /// The order's trace, if it is sampled.
    pub trace: Option<SampledTrace>,
}

impl Move {
    /// The transition of the order in `row`, which still has the state before.
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

    /// Whether the transition ended the order.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.from.is_open() && !self.to.is_open()
    }
}

/// A compensation continues while only one side has answered.
fn leaves_step(from: State, to: State) -> bool {
    std::mem::discriminant(&from) != std::mem::discriminant(&to)
}

/// The first command of the current step. Ids contain the time of their creation, and re-sends keep them.
fn command(row: &SagaRow) -> Option<Uuid> {
    let awaited = row.state.awaited();
    let sent = [row.stock, row.payment].into_iter().flatten();
    match row.state {
        // Only one reply may still be outstanding, but both commands were sent when the step began.
        State::Compensating(_) => sent.map(|sent| sent.id).max(),
        _ => sent.filter(|sent| awaited.contains(&sent.command)).map(|sent| sent.id).next(),
    }
}
