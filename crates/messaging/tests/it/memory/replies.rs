//! Replies of a batch in which not every event has one.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::{Event, Handler, HandlerError, Outcome, frame};
use flotilla_testkit::memory::MemoryTx;

use super::{Counting, STREAM, World};
use crate::fixtures::{COMMAND, KIND, REPLY, SUBJECT, event};

/// Like [`Counting`], but publishes a reply after each event, also where nothing waits for one.
struct Telling;

#[async_trait]
impl Handler<MemoryTx> for Telling {
    fn knows(&self, kind: &str) -> bool {
        Counting.knows(kind)
    }

    async fn handle(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let outcomes = Counting.handle(tx, events).await?;
        let told = |cause: &Event| event(&Ids::system(), KIND, "told").caused_by(cause);
        let tell = |(cause, outcome): (&Event, Outcome)| match outcome {
            Outcome::Done(_) => Outcome::Done(vec![told(cause)]),
            outcome => outcome,
        };
        Ok(events.iter().zip(outcomes).map(tell).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_events_with_and_without_replies_repeats_each_reply_as_it_was() {
    let mut world = World::new(38);
    world.start_relay();
    world.start_consumer(Arc::new(Telling));
    let kinds = [KIND, COMMAND, KIND, KIND, COMMAND, COMMAND, KIND];
    let sent: Vec<Event> = kinds.iter().map(|kind| event(&world.ids, kind, "mixed")).collect();
    world.commit(&sent);
    world.quiet().await;
    let first = world.payments.outbox();
    let mut payload = Vec::new();
    sent.iter().for_each(|event| frame::encode(event, "/flotilla/orders", &[], &mut payload));
    world.broker.inject(STREAM, SUBJECT, Bytes::from(payload));
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    let replies = |events: &[Event]| events.iter().filter(|event| event.kind == REPLY).cloned().collect::<Vec<_>>();
    let (first, all) = (replies(&first), world.payments.outbox());
    let commands: BTreeSet<_> = sent.iter().filter(|event| event.kind == COMMAND).map(|event| Some(event.id)).collect();
    assert_eq!(first.iter().map(|reply| reply.causation_id).collect::<BTreeSet<_>>(), commands);
    // Each reply once more, under its id, and nothing else.
    assert_eq!(all.len(), sent.len() + 3 + first.len());
    for reply in &first {
        assert_eq!(replies(&all).iter().filter(|repeated| *repeated == reply).count(), 2);
    }
    world.stop().await;
}
