//! Assertions that fail if work is left undone: outbox rows, parked messages, unacked messages.

use async_nats::jetstream;
use futures::TryStreamExt as _;

use crate::database::Database;
use crate::{TIMEOUT, eventually, nats_client};

/// Maximum number of rows counted.
const LIMIT: i32 = 100_000;

/// Waits until the relay has published all outbox rows.
///
/// # Panics
/// Rows are left at the timeout.
pub async fn assert_outbox_published(database: &Database) {
    let what = format!("outbox of {} published", database.name);
    eventually(&what, TIMEOUT, || async {
        let rows = database
            .try_query("SELECT pending FROM outbox_backlog($1)", &[&LIMIT])
            .await
            .map_err(|error| format!("{error:#}"))?;
        match rows.first().map_or(0, |row| row.get::<_, i64>(0)) {
            0 => Ok(()),
            pending => Err(format!("{pending} rows pending")),
        }
    })
    .await;
}

/// Asserts that no message is parked, neither for a retry nor as a dead letter.
///
/// # Panics
/// Messages are parked; the panic lists them.
pub async fn assert_nothing_parked(database: &Database) {
    let rows = database.query("SELECT consumer, kind, state, reason FROM parked LIMIT 20", &[]).await;
    let parked: Vec<String> = rows
        .iter()
        .map(|row| {
            let column = |index| row.get::<_, String>(index);
            format!("{} {} {}: {}", column(0), column(1), column(2), column(3))
        })
        .collect();
    assert!(parked.is_empty(), "messages parked in {}:\n{}", database.name, parked.join("\n"));
}

/// Waits until every consumer of `stream` has received and acked every message.
///
/// # Panics
/// Messages are left at the timeout, or the stream doesn't exist.
pub async fn assert_no_pending_acks(nats_url: &str, stream: &str) {
    let context = jetstream::new(nats_client(nats_url).await);
    eventually(&format!("{stream} acked"), TIMEOUT, || async {
        let stream = context.get_stream(stream).await.map_err(|error| error.to_string())?;
        let consumers: Vec<_> = stream.consumers().try_collect().await.map_err(|error| error.to_string())?;
        let open: Vec<String> = consumers
            .iter()
            .filter(|consumer| consumer.num_pending > 0 || consumer.num_ack_pending > 0)
            .map(|consumer| {
                format!("{}: {} pending, {} unacked", consumer.name, consumer.num_pending, consumer.num_ack_pending)
            })
            .collect();
        if open.is_empty() { Ok(()) } else { Err(open.join("; ")) }
    })
    .await;
}

/// Waits until the outboxes are published and `streams` acked, and asserts that nothing is parked.
///
/// # Panics
/// Any work is left.
pub async fn assert_nothing_left(databases: &[&Database], nats_url: &str, streams: &[&str]) {
    for database in databases {
        assert_outbox_published(database).await;
    }
    for stream in streams {
        assert_no_pending_acks(nats_url, stream).await;
    }
    for database in databases {
        assert_nothing_parked(database).await;
        // Handlers may have written new events while the streams were awaited.
        assert_outbox_published(database).await;
    }
}
