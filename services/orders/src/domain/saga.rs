//! The saga: one pure function from (state, message) to (state, commands, notice).
//!
//! Guarantees: any message is legal in any state; a cancellation wins in every state before `confirmed`; an order that
//! doesn't end as confirmed ends only when stock and money are known to be returned. A late message that stock is held
//! or money was taken is answered with the compensating command, which the participants treat as a harmless repeat.

/// The state of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Accepted; the stock was requested.
    Reserving,
    /// The stock is held; the money was requested.
    Charging,
    /// Stock and money are being returned.
    Compensating(Compensation),
    /// Ended: paid, its stock is shipped.
    Confirmed,
    /// Ended: the order could not be fulfilled.
    Rejected(Reason),
    /// Ended: the customer cancelled the order.
    Cancelled,
}

/// What is still to be returned, and how the order ends then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compensation {
    /// How the order ends.
    pub outcome: Outcome,
    /// Whether the stock was returned.
    pub stock: Progress,
    /// Whether the money was returned.
    pub payment: Progress,
}

/// How a compensated order ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As rejected.
    Rejected(Reason),
    /// As cancelled.
    Cancelled,
}

/// The progress of one side of a compensation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Its participant hasn't answered.
    Pending,
    /// Nothing is held any more, and nothing will be.
    Done,
}

/// Why an order could not be fulfilled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A product had too few units.
    OutOfStock,
    /// A product doesn't exist any more.
    UnknownProduct,
    /// The balance was too low.
    InsufficientFunds,
    /// The payment was declined for another reason.
    PaymentDeclined,
    /// The hold on the stock expired, or is gone.
    ReservationExpired,
    /// A participant didn't answer.
    TimedOut,
}

/// An input to the saga: a reply, or a decision of this service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// All lines are held.
    StockReserved,
    /// Nothing is held, for this reason.
    StockRejected(Reason),
    /// Nothing is held any more.
    StockReleased,
    /// The hold has expired; inventory asks whether to release or commit it.
    ReservationExpired,
    /// The total was taken.
    PaymentCharged,
    /// Nothing was taken and nothing will be, for this reason.
    PaymentDeclined(Reason),
    /// No money is taken any more.
    PaymentRefunded,
    /// The customer cancels.
    Cancel,
    /// The current step was re-sent too often without a reply.
    GiveUp,
}

/// A command to a participant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Command {
    /// Hold the stock of all lines.
    ReserveStock,
    /// Return the stock.
    ReleaseStock,
    /// Ship the stock.
    CommitStock,
    /// Take the total.
    ChargePayment,
    /// Return the money.
    RefundPayment,
}

/// The participant that carries out a command. Each has at most one outstanding command per order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Participant {
    /// Stock.
    Inventory,
    /// Money.
    Payments,
}

/// The event published at an order's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The order is paid.
    Confirmed,
    /// It could not be fulfilled.
    Rejected(Reason),
    /// It was cancelled.
    Cancelled,
}

/// The result of a message. Commands that were sent before keep their ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The new state.
    pub next: State,
    /// Commands to send.
    pub commands: Vec<Command>,
    /// The event to publish.
    pub notice: Option<Notice>,
}

/// The order is confirmed or rejected and can no longer be cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the order has ended")]
pub struct Ended;

impl State {
    /// Whether the order has not ended.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Reserving | Self::Charging | Self::Compensating(_))
    }

    /// The commands whose replies the state waits for; a re-send repeats them.
    #[must_use]
    pub fn awaited(self) -> Vec<Command> {
        match self {
            Self::Reserving => vec![Command::ReserveStock],
            Self::Charging => vec![Command::ChargePayment],
            Self::Compensating(compensation) => {
                let stock = (compensation.stock == Progress::Pending).then_some(Command::ReleaseStock);
                let payment = (compensation.payment == Progress::Pending).then_some(Command::RefundPayment);
                stock.into_iter().chain(payment).collect()
            }
            Self::Confirmed | Self::Rejected(_) | Self::Cancelled => vec![],
        }
    }
}

impl Command {
    /// The participant that carries it out.
    #[must_use]
    pub fn participant(self) -> Participant {
        match self {
            Self::ReserveStock | Self::ReleaseStock | Self::CommitStock => Participant::Inventory,
            Self::ChargePayment | Self::RefundPayment => Participant::Payments,
        }
    }
}

/// Applies a message to an order. A message that changes nothing returns the same state and no command.
#[must_use]
pub fn step(state: State, message: Message) -> Decision {
    match state {
        State::Reserving => reserving(message),
        State::Charging => charging(message),
        State::Compensating(compensation) => compensating(compensation, message),
        State::Confirmed => match message {
            Message::ReservationExpired => stay(state, vec![Command::CommitStock]),
            _ => stay(state, vec![]),
        },
        State::Rejected(_) | State::Cancelled => stay(state, undo(message)),
    }
}

/// Cancels an order; a cancelled order doesn't change.
///
/// # Errors
/// [`Ended`] if it is confirmed or rejected.
pub fn cancel(state: State) -> Result<Decision, Ended> {
    match state {
        State::Confirmed | State::Rejected(_) => Err(Ended),
        _ => Ok(step(state, Message::Cancel)),
    }
}

/// Waiting for the stock. Nothing was charged yet, but a refund makes sure that the order is never charged.
fn reserving(message: Message) -> Decision {
    match message {
        Message::StockReserved => go(State::Charging, vec![Command::ChargePayment]),
        Message::StockRejected(reason) => end(Outcome::Rejected(reason)),
        Message::PaymentCharged => stay(State::Reserving, vec![]),
        other => broken_off(State::Reserving, other),
    }
}

/// Waiting for the money.
fn charging(message: Message) -> Decision {
    match message {
        Message::PaymentCharged => {
            Decision { next: State::Confirmed, commands: vec![Command::CommitStock], notice: Some(Notice::Confirmed) }
        }
        Message::StockRejected(reason) => compensate(Outcome::Rejected(reason), Progress::Done, Progress::Pending),
        Message::StockReserved => stay(State::Charging, vec![]),
        other => broken_off(State::Charging, other),
    }
}

/// Transitions to compensation, shared by the forward steps.
fn broken_off(state: State, message: Message) -> Decision {
    use Progress::{Done, Pending};
    match message {
        Message::PaymentDeclined(reason) => compensate(Outcome::Rejected(reason), Pending, Done),
        Message::PaymentRefunded => compensate(Outcome::Rejected(Reason::PaymentDeclined), Pending, Done),
        Message::StockReleased => compensate(Outcome::Rejected(Reason::ReservationExpired), Done, Pending),
        Message::ReservationExpired => compensate(Outcome::Rejected(Reason::ReservationExpired), Pending, Pending),
        Message::GiveUp => compensate(Outcome::Rejected(Reason::TimedOut), Pending, Pending),
        Message::Cancel => compensate(Outcome::Cancelled, Pending, Pending),
        Message::StockReserved | Message::StockRejected(_) | Message::PaymentCharged => stay(state, vec![]),
    }
}

/// Compensating. Both sides must have confirmed that nothing is held before the order ends.
fn compensating(compensation: Compensation, message: Message) -> Decision {
    let mut next = compensation;
    match message {
        Message::StockReleased | Message::StockRejected(_) => next.stock = Progress::Done,
        Message::PaymentRefunded | Message::PaymentDeclined(_) => next.payment = Progress::Done,
        Message::Cancel => next.outcome = Outcome::Cancelled,
        Message::GiveUp => {}
        // The release was already sent: it returns the hold that this message reports.
        Message::StockReserved if next.stock == Progress::Pending => {}
        Message::PaymentCharged if next.payment == Progress::Pending => {}
        Message::StockReserved | Message::PaymentCharged | Message::ReservationExpired => {
            return stay(State::Compensating(compensation), undo(message));
        }
    }
    if next.stock == Progress::Done && next.payment == Progress::Done {
        return end(next.outcome);
    }
    go(State::Compensating(next), vec![])
}

/// The command that compensates what a message reports.
fn undo(message: Message) -> Vec<Command> {
    match message {
        Message::StockReserved | Message::ReservationExpired => vec![Command::ReleaseStock],
        Message::PaymentCharged => vec![Command::RefundPayment],
        _ => vec![],
    }
}

fn compensate(outcome: Outcome, stock: Progress, payment: Progress) -> Decision {
    let next = State::Compensating(Compensation { outcome, stock, payment });
    go(next, next.awaited())
}

fn end(outcome: Outcome) -> Decision {
    let (next, notice) = match outcome {
        Outcome::Rejected(reason) => (State::Rejected(reason), Notice::Rejected(reason)),
        Outcome::Cancelled => (State::Cancelled, Notice::Cancelled),
    };
    Decision { next, commands: vec![], notice: Some(notice) }
}

fn go(next: State, commands: Vec<Command>) -> Decision {
    Decision { next, commands, notice: None }
}

fn stay(state: State, commands: Vec<Command>) -> Decision {
    go(state, commands)
}

#[cfg(test)]
#[path = "saga_tests.rs"]
mod tests;
