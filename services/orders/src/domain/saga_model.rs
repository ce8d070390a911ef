//! Tests the saga with small models of inventory and payments over a network that reorders, duplicates and loses
//! messages: it always ends, and stock and money balance.

use proptest::prelude::*;

use super::saga::{Command, Message, Participant, Reason, State, cancel, step};

/// What inventory knows about the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hold {
    None,
    Held,
    Refused,
    Released,
    Shipped,
}

/// What payments knows about the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Charge {
    None,
    Charged,
    Declined,
    Refunded,
}

/// The fleet around one order. A repeated command isn't carried out again: participants answer by what they know of the
/// order.
struct Fleet {
    state: State,
    hold: Hold,
    charge: Charge,
    in_stock: bool,
    solvent: bool,
    commands: Vec<Command>,
    replies: Vec<Message>,
    ends: usize,
}

/// One action of the network or the environment.
#[derive(Clone, Copy, Debug)]
enum Move {
    Deliver { pick: usize, twice: bool },
    Answer { pick: usize, twice: bool },
    LoseCommand(usize),
    LoseReply(usize),
    Resend,
    Expire,
    Cancel,
    GiveUp,
}

impl Fleet {
    fn new(in_stock: bool, solvent: bool) -> Self {
        Self {
            state: State::Reserving,
            hold: Hold::None,
            charge: Charge::None,
            in_stock,
            solvent,
            commands: State::Reserving.awaited(),
            replies: vec![],
            ends: 0,
        }
    }

    fn apply(&mut self, message: Message) {
        let decision = step(self.state, message);
        self.state = decision.next;
        self.commands.extend(decision.commands);
        self.ends += usize::from(decision.notice.is_some());
    }

    fn carry_out(&mut self, command: Command) {
        let reply = match command.participant() {
            Participant::Inventory => self.inventory(command),
            Participant::Payments => Some(self.payments(command)),
        };
        self.replies.extend(reply);
    }

    fn inventory(&mut self, command: Command) -> Option<Message> {
        match command {
            Command::ReserveStock => Some(match self.hold {
                Hold::None if self.in_stock => {
                    self.hold = Hold::Held;
                    Message::StockReserved
                }
                Hold::None => {
                    self.hold = Hold::Refused;
                    Message::StockRejected(Reason::OutOfStock)
                }
                Hold::Held | Hold::Shipped => Message::StockReserved,
                Hold::Refused => Message::StockRejected(Reason::OutOfStock),
                Hold::Released => Message::StockRejected(Reason::ReservationExpired),
            }),
            Command::CommitStock => {
                let may_commit = matches!(self.hold, Hold::Held | Hold::Shipped);
                assert!(may_commit, "a commit can't fail, but found {:?}", self.hold);
                self.hold = Hold::Shipped;
                None
            }
            _ => {
                assert_ne!(self.hold, Hold::Shipped, "shipped stock was released");
                if self.hold != Hold::Refused {
                    self.hold = Hold::Released;
                }
                Some(Message::StockReleased)
            }
        }
    }

    fn payments(&mut self, command: Command) -> Message {
        match (command, self.charge) {
            (Command::ChargePayment, Charge::None) if self.solvent => {
                self.charge = Charge::Charged;
                Message::PaymentCharged
            }
            (Command::ChargePayment, Charge::None) => {
                self.charge = Charge::Declined;
                Message::PaymentDeclined(Reason::InsufficientFunds)
            }
            (Command::ChargePayment, Charge::Charged) => Message::PaymentCharged,
            (Command::ChargePayment, Charge::Declined) => Message::PaymentDeclined(Reason::InsufficientFunds),
            (Command::ChargePayment, Charge::Refunded) => Message::PaymentDeclined(Reason::PaymentDeclined),
            _ => {
                if self.charge != Charge::Declined {
                    self.charge = Charge::Refunded;
                }
                Message::PaymentRefunded
            }
        }
    }

    fn play(&mut self, a_move: Move) {
        match a_move {
            Move::Deliver { pick, twice } => {
                if let Some(command) = take(&mut self.commands, pick) {
                    self.carry_out(command);
                    if twice {
                        self.commands.push(command);
                    }
                }
            }
            Move::Answer { pick, twice } => {
                if let Some(message) = take(&mut self.replies, pick) {
                    self.apply(message);
                    if twice {
                        self.replies.push(message);
                    }
                }
            }
            Move::LoseCommand(pick) => drop(take(&mut self.commands, pick)),
            Move::LoseReply(pick) => drop(take(&mut self.replies, pick)),
            Move::Resend => self.commands.extend(self.state.awaited()),
            Move::Expire if self.hold == Hold::Held => self.replies.push(Message::ReservationExpired),
            Move::Expire => {}
            Move::Cancel => {
                if cancel(self.state).is_ok() {
                    self.apply(Message::Cancel);
                }
            }
            Move::GiveUp => self.apply(Message::GiveUp),
        }
    }

    /// From here on the network is reliable: everything arrives, a missing reply leads to a re-send, and a hold
    /// expires.
    fn settle(&mut self) {
        for _ in 0..64 {
            while !self.commands.is_empty() || !self.replies.is_empty() {
                self.play(Move::Deliver { pick: 0, twice: false });
                self.play(Move::Answer { pick: 0, twice: false });
            }
            if !self.state.is_open() && self.hold != Hold::Held {
                return;
            }
            self.play(Move::Resend);
            self.play(Move::Expire);
        }
        panic!("the saga didn't end: {:?}", self.state);
    }
}

fn take<T>(from: &mut Vec<T>, pick: usize) -> Option<T> {
    if from.is_empty() { None } else { Some(from.swap_remove(pick % from.len())) }
}

fn a_move() -> impl Strategy<Value = Move> {
    let twice = || (any::<usize>(), prop::bool::weighted(0.2));
    prop_oneof![
        8 => twice().prop_map(|(pick, twice)| Move::Deliver { pick, twice }),
        8 => twice().prop_map(|(pick, twice)| Move::Answer { pick, twice }),
        1 => any::<usize>().prop_map(Move::LoseCommand),
        1 => any::<usize>().prop_map(Move::LoseReply),
        2 => Just(Move::Resend),
        1 => Just(Move::Expire),
        1 => Just(Move::Cancel),
        1 => Just(Move::GiveUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn an_order_always_ends_once_and_stock_and_money_balance(
        in_stock in prop::bool::weighted(0.8),
        solvent in prop::bool::weighted(0.8),
        moves in prop::collection::vec(a_move(), 0..40),
    ) {
        let mut fleet = Fleet::new(in_stock, solvent);
        for a_move in moves {
            fleet.play(a_move);
        }
        fleet.settle();
        prop_assert_eq!(fleet.ends, 1);
        if fleet.state == State::Confirmed {
            prop_assert_eq!(fleet.hold, Hold::Shipped);
            prop_assert_eq!(fleet.charge, Charge::Charged);
        } else {
            prop_assert!(!matches!(fleet.hold, Hold::Held | Hold::Shipped), "{:?}", fleet.hold);
            prop_assert_ne!(fleet.charge, Charge::Charged);
        }
    }
}

#[test]
fn without_faults_an_order_is_confirmed() {
    let mut fleet = Fleet::new(true, true);
    fleet.settle();
    assert_eq!((fleet.state, fleet.hold, fleet.charge), (State::Confirmed, Hold::Shipped, Charge::Charged));
}
