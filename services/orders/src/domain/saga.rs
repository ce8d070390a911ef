//! The saga: one pure function from (state, message) to (state, commands, notice).
//!
//! Guarantees: any message is legal in any state; cancel wins in every state before `confirmed`; an order that
//! doesn't end as confirmed ends only when stock and money are known to be back. A late sign of held stock or taken
//! money is answered with its undoing, which the participants treat as a harmless repeat.

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Accepted; the stock is asked for.
    Reserving,
    /// The stock is held; the money is asked for.
    Charging,
    /// Stock and money are being given back.
    Compensating(Compensation),
    /// Ended: paid, its stock is shipped.
    Confirmed,
    /// Ended: it could not be fulfilled.
    Rejected(Reason),
    /// Ended: its customer cancelled it.
    Cancelled,
}

/// What is still to be given back, and how the order ends then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compensation {
    /// How the order ends.
    pub outcome: Outcome,
    /// Whether the stock is back.
    pub stock: Progress,
    /// Whether the money is back.
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

/// How far one side of a compensation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Its participant hasn't answered.
    Pending,
    /// Nothing is held there any more, and nothing will be.
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

/// What happens to an order: a reply, or a decision of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// All lines are held.
    StockReserved,
    /// Nothing is held, for this reason.
    StockRejected(Reason),
    /// Nothing is held any more.
    StockReleased,
    /// The hold has expired; inventory asks what is to become of it.
    ReservationExpired,
    /// The total was taken.
    PaymentCharged,
    /// Nothing was taken and nothing will be, for this reason.
    PaymentDeclined(Reason),
    /// No money is taken any more.
    PaymentRefunded,
    /// The customer cancels.
    Cancel,
    /// The present step was sent too often without an answer.
    GiveUp,
}

/// What the saga asks of a participant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Command {
    /// Hold the stock of all lines.
    ReserveStock,
    /// Give the stock back.
    ReleaseStock,
    /// Ship the stock.
    CommitStock,
    /// Take the total.
    ChargePayment,
    /// Give the money back.
    RefundPayment,
}

/// Who carries out a command. Each has at most one command outstanding for an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Participant {
    /// Stock.
    Inventory,
    /// Money.
    Payments,
}

/// What the world is told of an order's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// It is paid.
    Confirmed,
    /// It could not be fulfilled.
    Rejected(Reason),
    /// It was cancelled.
    Cancelled,
}

/// What a message leads to. Commands that were sent before keep their ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The state afterwards.
    pub next: State,
    /// Commands to send.
    pub commands: Vec<Command>,
    /// What to tell the world.
    pub notice: Option<Notice>,
}

/// The order has ended, and not as cancelled: it can't be cancelled any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the order has ended")]
pub struct Ended;

impl State {
    /// Whether the order has not ended.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Reserving | Self::Charging | Self::Compensating(_))
    }

    /// The commands whose answers the state waits for: what a re-send sends again.
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
    /// Who carries it out.
    #[must_use]
    pub fn participant(self) -> Participant {
        match self {
            Self::ReserveStock | Self::ReleaseStock | Self::CommitStock => Participant::Inventory,
            Self::ChargePayment | Self::RefundPayment => Participant::Payments,
        }
    }
}

/// Moves an order on. A message that changes nothing gives the same state and no command.
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

/// Cancels an order; of a cancelled one nothing changes.
///
/// # Errors
/// [`Ended`] where it is confirmed or rejected.
pub fn cancel(state: State) -> Result<Decision, Ended> {
    match state {
        State::Confirmed | State::Rejected(_) => Err(Ended),
        _ => Ok(step(state, Message::Cancel)),
    }
}

/// Waiting for the stock. Nothing was charged yet, but a refund closes the order's charge for good.
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

/// What ends the way forward, from whichever step.
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

/// Giving back. Both sides must have said that nothing is held before the order ends.
fn compensating(compensation: Compensation, message: Message) -> Decision {
    let mut next = compensation;
    match message {
        Message::StockReleased | Message::StockRejected(_) => next.stock = Progress::Done,
        Message::PaymentRefunded | Message::PaymentDeclined(_) => next.payment = Progress::Done,
        Message::Cancel => next.outcome = Outcome::Cancelled,
        Message::GiveUp => {}
        // The release is under way: the hold that this tells of is what it gives back.
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

/// The command that takes back what a message tells of.
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
