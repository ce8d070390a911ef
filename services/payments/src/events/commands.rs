//! The consumer `payments-orders`: a batch of commands in one transaction of two round trips of its own, one that locks
//! and one that writes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use flotilla_clock::Ids;
use flotilla_fault::{Fault, Faults};
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry, Unreadable};
use flotilla_money::Amount;
use flotilla_postgres::Tx;
use flotilla_proto::payments::v1::PaymentDecline;
use futures::try_join;
use uuid::Uuid;

use super::{charge_payment, refund_payment, trace};
use crate::{
    domain::{Account, Book, Charge, Entries},
    metrics::{Decisions, Metrics},
    storage,
};

/// The payment that a command is about.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The order, the key of its payment.
    pub order: Uuid,
    /// The customer whose account pays.
    pub customer: Uuid,
}

/// A command from orders.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// Take this amount.
    Charge(Target, Amount),
    /// Refund the order.
    Refund(Target),
}

impl Command {
    fn target(&self) -> Target {
        match self {
            Self::Charge(target, _) | Self::Refund(target) => *target,
        }
    }
}

/// Carries out the commands from orders.
pub struct Commands {
    registry: Registry<Command>,
    ids: Ids,
    metrics: Metrics,
    faults: Faults,
}

impl Commands {
    /// Creates the handler; `ids` generates the ids of transfers and replies.
    pub fn new(ids: Ids, metrics: Metrics) -> Self {
        Self { registry: super::commands(), ids, metrics, faults: Faults::forbidden() }
    }

    /// Applies an injected fault that declines charges.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
        faults.declare(&[Fault::DeclinedPayments]);
        Self { faults: faults.clone(), ..self }
    }

    /// Decides in message order; an invalid command becomes a dead letter and doesn't block the others.
    fn decide(
        &self,
        events: &[Event],
        commands: Vec<Result<Command, Unreadable>>,
        accounts: Vec<Account>,
        charges: Vec<Charge>,
    ) -> (Vec<Outcome>, Entries, Decisions) {
        let ids = || self.ids.next();
        let mut book = Book::open(&ids, accounts, charges, []);
        let mut decisions = Decisions::default();
        let outcomes = events
            .iter()
            .zip(commands)
            .map(|(event, command)| {
                match command.and_then(|command| self.carry_out(&mut book, &mut decisions, event, command)) {
                    Ok(reply) => Outcome::Done(vec![reply.caused_by(event)]),
                    Err(reason) => Outcome::DeadLetter(reason),
                }
            })
            .collect();
        (outcomes, book.close(), decisions)
    }

    fn carry_out(
        &self,
        book: &mut Book<'_>,
        decisions: &mut Decisions,
        event: &Event,
        command: Command,
    ) -> Result<Event, Unreadable> {
        match command {
            Command::Charge(target, amount) => {
                let repeated = book.is_charge_decided(target.order);
                let fault = if repeated { None } else { self.faults.inject(Fault::DeclinedPayments) };
                let answer = match fault {
                    None => book.charge(target.order, target.customer, amount),
                    Some(_) => book.decline(target.order, target.customer, amount, PaymentDecline::Refused),
                };
                if !repeated {
                    decisions.charged(answer);
                }
                trace::charged(event, target, answer);
                Ok(charge_payment::reply(&self.ids, target, answer))
            }
            Command::Refund(target) => {
                let repeated = book.is_refunded(target.order);
                let answer = book.refund(target.order, target.customer).map_err(|error| error.to_string())?;
                if !repeated {
                    decisions.refunded(answer);
                }
                trace::refunded(event, target, answer);
                Ok(refund_payment::reply(&self.ids, target, answer))
            }
        }
    }
}

#[async_trait]
impl Handler<Tx> for Commands {
    fn knows(&self, kind: &str) -> bool {
        self.registry.knows(kind)
    }

    /// Idempotent by the order's charge.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let commands: Vec<_> = events.iter().map(|event| self.registry.read(event)).collect();
        let targets = || commands.iter().flatten().map(Command::target);
        let customers = sorted(targets().map(|target| target.customer));
        let orders = sorted(targets().map(|target| target.order));
        let (accounts, charges) =
            try_join!(storage::lock_accounts(tx, &customers), storage::lock_charges(tx, &orders))?;
        let (outcomes, entries, decisions) = self.decide(events, commands, accounts, charges);
        storage::write(tx, &entries).await?;
        let metrics = self.metrics.clone();
        tx.after_commit(move || metrics.decided(decisions));
        Ok(outcomes)
    }
}

fn sorted(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}
