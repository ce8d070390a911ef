//! Several frames are prefetched, more than one transaction may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use flotilla_messaging::{Event, Handler, HandlerError, Outcome};
use flotilla_postgres::ErrorKind;
use flotilla_testkit::memory::MemoryTx;

use super::{Counting, STREAM, World, eventually};
use crate::fixtures::{KIND, events};

/// Applies one batch; for all others the database is unavailable.
#[derive(Default)]
struct FirstOnly(AtomicBool);

#[async_trait]
impl Handler<MemoryTx> for FirstOnly {
    fn knows(&self, kind: &str) -> bool {
        Counting.knows(kind)
    }

    async fn handle(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        if self.0.swap(true, Ordering::Relaxed) {
            return Err(HandlerError::Store(flotilla_postgres::Error::new(ErrorKind::Unavailable, "planted")));
        }
        Counting.handle(tx, events).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_second_transaction_over_frames_in_hand_loses_none_of_them() {
    let mut world = World::new(37);
    world.start_relay();
    let mut sent = Vec::new();
    // Three frames; no two of them fit into one transaction.
    for _ in 0..3 {
        let frame = events(&world.ids, KIND, 10);
        world.commit(&frame);
        sent.extend(frame);
        eventually("published", || world.orders.all_published()).await;
    }
    assert_eq!(world.broker.messages(STREAM).len(), 3);
    world.start_consumer(Arc::new(FirstOnly::default()));
    eventually("first transaction applied", || world.applied(&sent[9]) == 1).await;
    eventually("first frame acked", || world.broker.consumers(STREAM) == 1 && world.broker.unacked(STREAM) < 3).await;
    assert_eq!(world.broker.unacked(STREAM), 2, "only what has been applied is acked");
    world.crash().await;
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}
