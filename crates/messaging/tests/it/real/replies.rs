//! Replies kept in PostgreSQL, for a batch in which not every event has one.

use std::sync::Arc;

use flotilla_messaging::Event;
use flotilla_testkit::{eventually, stack};

use super::{
    CONSUMER, Node, ORDERS, PAYMENTS, Recording, TIMEOUT, database, eventually_applied, inject, settings, streamed,
};
use crate::fixtures::{COMMAND, KIND, REPLY, SUBJECT, event};

#[tokio::test]
async fn a_batch_of_events_with_and_without_replies_repeats_each_reply_as_it_was() {
    let nats = stack().await.nats_url();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let handler = Arc::new(Recording { tells: true, ..Recording::default() });
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, handler)]).await;
    let kinds = [KIND, COMMAND, KIND, KIND, COMMAND, COMMAND, KIND];
    let sent: Vec<Event> = kinds.iter().map(|kind| event(&orders.ids, kind, "mixed")).collect();
    orders.commit(&sent).await;
    eventually_applied(&payments_db, &sent).await;
    inject(&nats, SUBJECT, &sent).await;

    let commands: Vec<_> = sent.iter().filter(|event| event.kind == COMMAND).map(|event| event.id).collect();
    // One event for each, and each reply repeated once.
    let all = eventually("replies repeated", TIMEOUT, || async {
        let all = streamed(&nats, "PAYMENTS").await;
        if all.len() == sent.len() + commands.len() { Ok(all) } else { Err(format!("{} events", all.len())) }
    })
    .await;
    for command in commands {
        let replies: Vec<&Event> =
            all.iter().filter(|event| event.kind == REPLY && event.causation_id == Some(command)).collect();
        assert_eq!(replies.len(), 2);
        assert_eq!(replies[0], replies[1]);
    }
    orders.stop().await;
    payments.stop().await;
}
