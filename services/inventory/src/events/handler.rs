//! The consumer of orders' commands: a batch is decided in memory over locked rows and written with a handful of
//! statements.

use std::time::Duration;

use async_trait::async_trait;
use flotilla_clock::Ids;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry as Messages, Unreadable};
use flotilla_postgres::Tx;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::{replies, trace};
use crate::domain::reservation::{Command, Rejection, Verdict};
use crate::storage;

/// Label of the result for a reservation with too few units.
const OUT_OF_STOCK: &str = "out_of_stock";

/// Handles reserve, release and commit.
pub struct Commands {
    messages: Messages<Command>,
    ids: Ids,
    hold: Duration,
    verdicts: IntCounterVec,
    stock_outs: IntCounter,
}

impl Commands {
    /// Creates a handler whose holds last for `hold`.
    ///
    /// # Errors
    /// The registry already has these metrics.
    pub fn new(ids: Ids, hold: Duration, registry: &Registry) -> Result<Self, prometheus::Error> {
        let verdicts =
            IntCounterVec::new(Opts::new("flotilla_stock_verdicts_total", "Stock commands by verdict"), &["verdict"])?;
        registry.register(Box::new(verdicts.clone()))?;
        let help = "Reservations rejected because a product had too little stock";
        let stock_outs = IntCounter::new("flotilla_stock_outs_total", help)?;
        registry.register(Box::new(stock_outs.clone()))?;
        Ok(Self { messages: super::commands(), ids, hold, verdicts, stock_outs })
    }
}

#[async_trait]
impl Handler<Tx> for Commands {
    fn knows(&self, kind: &str) -> bool {
        self.messages.knows(kind)
    }

    /// Idempotent by the order's reservation.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let read: Vec<Result<Command, Unreadable>> = events.iter().map(|event| self.messages.read(event)).collect();
        let commands: Vec<Command> = read.iter().filter_map(|command| command.as_ref().ok()).cloned().collect();
        if commands.is_empty() {
            return Ok(read.into_iter().map(|command| malformed(command.err())).collect());
        }
        let mut verdicts: Vec<&'static str> = Vec::with_capacity(commands.len());
        let mut book = storage::open_book(tx, &commands, self.hold).await?;
        let outcomes = events
            .iter()
            .zip(read)
            .map(|(event, command)| match command {
                Ok(command) => {
                    let repeated = book.is_repeat(&command);
                    let verdict = book.apply(&command);
                    trace::decided(event, &command, &verdict);
                    if !repeated {
                        verdicts.push(label(&verdict));
                    }
                    replies::outcome(&self.ids, event, command.order(), verdict)
                }
                Err(why) => malformed(Some(why)),
            })
            .collect();
        storage::write_changes(tx, &book.close()).await?;
        let (counters, stock_outs) = (self.verdicts.clone(), self.stock_outs.clone());
        tx.after_commit(move || count(&counters, &stock_outs, &verdicts));
        Ok(outcomes)
    }
}

/// Counts the results of a committed batch, so that duplicates and rollbacks aren't counted twice.
fn count(counters: &IntCounterVec, stock_outs: &IntCounter, verdicts: &[&'static str]) {
    for verdict in verdicts {
        counters.with_label_values(&[verdict]).inc();
        if *verdict == OUT_OF_STOCK {
            stock_outs.inc();
        }
    }
}

fn malformed(why: Option<String>) -> Outcome {
    Outcome::DeadLetter(why.unwrap_or_default())
}

fn label(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Reserved { .. } => "reserved",
        Verdict::Rejected { rejection: Rejection::OutOfStock, .. } => OUT_OF_STOCK,
        Verdict::Rejected { rejection: Rejection::UnknownProduct, .. } => "unknown_product",
        Verdict::Rejected { rejection: Rejection::Released, .. } => "refused_after_release",
        Verdict::Released { .. } => "released",
        Verdict::Committed => "committed",
        Verdict::TooEarly(_) => "too_early",
        Verdict::Absurd(_) => "absurd",
    }
}
