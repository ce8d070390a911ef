//! The saga's transition table: every state with every message.

use super::{
    Command::{ChargePayment, CommitStock, RefundPayment, ReleaseStock, ReserveStock},
    Compensation, Decision, Ended, Message, Notice, Outcome,
    Progress::{Done, Pending},
    Reason, State, cancel, step,
};

const MESSAGES: [Message; 9] = [
    Message::StockReserved,
    Message::StockRejected(Reason::OutOfStock),
    Message::StockReleased,
    Message::ReservationExpired,
    Message::PaymentCharged,
    Message::PaymentDeclined(Reason::InsufficientFunds),
    Message::PaymentRefunded,
    Message::Cancel,
    Message::GiveUp,
];

fn undoing(outcome: Outcome, stock: super::Progress, payment: super::Progress) -> State {
    State::Compensating(Compensation { outcome, stock, payment })
}

fn rejected(reason: Reason, stock: super::Progress, payment: super::Progress) -> State {
    undoing(Outcome::Rejected(reason), stock, payment)
}

fn states() -> Vec<State> {
    let mut states = vec![
        State::Reserving,
        State::Charging,
        State::Confirmed,
        State::Rejected(Reason::OutOfStock),
        State::Cancelled,
    ];
    for outcome in [Outcome::Cancelled, Outcome::Rejected(Reason::TimedOut)] {
        states.extend([
            undoing(outcome, Pending, Pending),
            undoing(outcome, Done, Pending),
            undoing(outcome, Pending, Done),
        ]);
    }
    states
}

/// Asserts (state, message) → (state, commands, notice).
#[track_caller]
fn leads(state: State, message: Message, next: State, commands: &[super::Command], notice: Option<Notice>) {
    let expected = Decision { next, commands: commands.to_vec(), notice };
    assert_eq!(step(state, message), expected, "{state:?} with {message:?}");
}

#[test]
fn an_order_is_reserved_charged_and_confirmed() {
    leads(State::Reserving, Message::StockReserved, State::Charging, &[ChargePayment], None);
    leads(State::Charging, Message::PaymentCharged, State::Confirmed, &[CommitStock], Some(Notice::Confirmed));
}

#[test]
fn a_refused_reservation_rejects_the_order_at_once() {
    for reason in [Reason::OutOfStock, Reason::UnknownProduct] {
        let notice = Some(Notice::Rejected(reason));
        leads(State::Reserving, Message::StockRejected(reason), State::Rejected(reason), &[], notice);
    }
}

#[test]
fn a_declined_payment_gives_the_stock_back_before_it_rejects() {
    let reason = Reason::InsufficientFunds;
    let undoing = rejected(reason, Pending, Done);
    leads(State::Charging, Message::PaymentDeclined(reason), undoing, &[ReleaseStock], None);
    leads(undoing, Message::StockReleased, State::Rejected(reason), &[], Some(Notice::Rejected(reason)));
}

#[test]
fn cancel_wins_before_confirmation_and_ends_when_both_have_answered() {
    let both = undoing(Outcome::Cancelled, Pending, Pending);
    for state in [State::Reserving, State::Charging] {
        leads(state, Message::Cancel, both, &[ReleaseStock, RefundPayment], None);
    }
    let money_left = undoing(Outcome::Cancelled, Done, Pending);
    let stock_left = undoing(Outcome::Cancelled, Pending, Done);
    for answer in [Message::StockReleased, Message::StockRejected(Reason::ReservationExpired)] {
        leads(both, answer, money_left, &[], None);
        leads(stock_left, answer, State::Cancelled, &[], Some(Notice::Cancelled));
    }
    for answer in [Message::PaymentRefunded, Message::PaymentDeclined(Reason::PaymentDeclined)] {
        leads(both, answer, stock_left, &[], None);
        leads(money_left, answer, State::Cancelled, &[], Some(Notice::Cancelled));
    }
}

#[test]
fn cancel_turns_a_rejection_under_way_into_a_cancellation() {
    let next = undoing(Outcome::Cancelled, Pending, Done);
    leads(rejected(Reason::TimedOut, Pending, Done), Message::Cancel, next, &[], None);
    leads(next, Message::Cancel, next, &[], None);
}

#[test]
fn an_ended_order_cannot_be_cancelled() {
    assert_eq!(cancel(State::Confirmed), Err(Ended));
    assert_eq!(cancel(State::Rejected(Reason::OutOfStock)), Err(Ended));
    assert_eq!(cancel(State::Cancelled).map(|decision| decision.next), Ok(State::Cancelled));
}

#[test]
fn silence_and_expiry_undo_both_sides() {
    for state in [State::Reserving, State::Charging] {
        let both = [ReleaseStock, RefundPayment];
        leads(state, Message::GiveUp, rejected(Reason::TimedOut, Pending, Pending), &both, None);
        let expired = rejected(Reason::ReservationExpired, Pending, Pending);
        leads(state, Message::ReservationExpired, expired, &both, None);
    }
}

#[test]
fn a_way_forward_that_is_closed_is_undone_on_the_other_side() {
    for state in [State::Reserving, State::Charging] {
        let gone = rejected(Reason::ReservationExpired, Done, Pending);
        leads(state, Message::StockReleased, gone, &[RefundPayment], None);
        let closed = rejected(Reason::PaymentDeclined, Pending, Done);
        leads(state, Message::PaymentRefunded, closed, &[ReleaseStock], None);
    }
    let refused = rejected(Reason::OutOfStock, Done, Pending);
    leads(State::Charging, Message::StockRejected(Reason::OutOfStock), refused, &[RefundPayment], None);
    let declined = rejected(Reason::InsufficientFunds, Pending, Done);
    let decline = Message::PaymentDeclined(Reason::InsufficientFunds);
    leads(State::Reserving, decline, declined, &[ReleaseStock], None);
}

#[test]
fn an_expiry_is_always_answered() {
    leads(State::Confirmed, Message::ReservationExpired, State::Confirmed, &[CommitStock], None);
    for state in states().into_iter().filter(|state| *state != State::Confirmed) {
        assert!(step(state, Message::ReservationExpired).commands.contains(&ReleaseStock), "{state:?}");
    }
}

#[test]
fn a_late_hold_or_charge_is_never_left_behind() {
    for state in [State::Cancelled, State::Rejected(Reason::TimedOut)] {
        leads(state, Message::StockReserved, state, &[ReleaseStock], None);
        leads(state, Message::PaymentCharged, state, &[RefundPayment], None);
    }
    let money_left = undoing(Outcome::Cancelled, Done, Pending);
    leads(money_left, Message::StockReserved, money_left, &[ReleaseStock], None);
    let stock_left = undoing(Outcome::Cancelled, Pending, Done);
    leads(stock_left, Message::PaymentCharged, stock_left, &[RefundPayment], None);
    let both = undoing(Outcome::Cancelled, Pending, Pending);
    leads(both, Message::StockReserved, both, &[], None);
    leads(both, Message::PaymentCharged, both, &[], None);
}

#[test]
fn repeats_change_nothing() {
    leads(State::Charging, Message::StockReserved, State::Charging, &[], None);
    leads(State::Reserving, Message::PaymentCharged, State::Reserving, &[], None);
    for message in MESSAGES.into_iter().filter(|message| *message != Message::ReservationExpired) {
        leads(State::Confirmed, message, State::Confirmed, &[], None);
    }
}

#[test]
fn a_compensation_is_never_given_up() {
    for state in states().into_iter().filter(|state| matches!(state, State::Compensating(_))) {
        leads(state, Message::GiveUp, state, &[], None);
    }
}

#[test]
fn no_message_reopens_an_ended_order_and_only_an_end_gives_a_notice() {
    for state in states() {
        for message in MESSAGES {
            let decision = step(state, message);
            assert!(state.is_open() || decision.next == state, "{state:?} with {message:?}");
            let ended = state.is_open() && !decision.next.is_open();
            assert_eq!(decision.notice.is_some(), ended, "{state:?} with {message:?}");
        }
    }
}

#[test]
fn a_new_step_sends_what_it_awaits() {
    assert_eq!(State::Reserving.awaited(), [ReserveStock]);
    for state in states() {
        for message in MESSAGES {
            let decision = step(state, message);
            let entered =
                decision.next.is_open() && std::mem::discriminant(&decision.next) != std::mem::discriminant(&state);
            if entered {
                assert_eq!(decision.commands, decision.next.awaited(), "{state:?} with {message:?}");
            }
        }
    }
}
