//! Partitions: made ahead, dropped only wholly below the cursor.

use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_messaging::postgres::{PgStore, Retention};
use flotilla_messaging::store::{Cursor, OutboxStore, StreamMark};
use flotilla_postgres::Pool;
use flotilla_testkit::Database;
use prometheus::Registry;
use uuid::Uuid;

use super::{database, settings};

const DAY: Duration = Duration::from_secs(86_400);

struct Tables {
    db: Database,
    store: PgStore,
    retention: Retention,
}

async fn tables() -> Tables {
    let db = database("orders").await;
    let postgres = db.settings();
    let pool = Pool::connect("system", &postgres.system_url, &postgres, &Registry::new()).unwrap();
    let store = PgStore::new("orders", pool.clone(), &settings(""), Ids::system());
    let retention = Retention::new(pool, 2 * DAY, 3 * DAY);
    Tables { db, store, retention }
}

impl Tables {
    async fn partitions(&self, parent: &str) -> Vec<String> {
        let sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1";
        self.db.query(sql, &[&parent]).await.iter().map(|row| row.get(0)).collect()
    }

    /// A partition of that many days ago.
    async fn old_partition(&self, parent: &str, days: i32) -> String {
        let sql = "SELECT messaging_make_partition($1, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(days => $2))";
        assert!(self.db.value::<bool>(sql, &[&parent, &days]).await);
        let name =
            "SELECT $1 || to_char(now() AT TIME ZONE 'UTC' - make_interval(days => $2), '\"_y\"YYYY\"m\"MM\"d\"DD')";
        self.db.value(name, &[&parent, &days]).await
    }

    async fn age_checkpoints(&self) {
        self.db.query("UPDATE relay_checkpoint SET recorded_at = recorded_at - interval '3 days'", &[]).await;
    }

    async fn old_row(&self, days: i32, xid: i64) {
        let sql = "INSERT INTO outbox (xid, id, generation, subject, event, created_at)
            SELECT $2::bigint::text::xid8, gen_random_uuid(), messaging_generation(), 's', '', now() - make_interval(days => $1)";
        self.db.query(sql, &[&days, &xid]).await;
    }
}

#[tokio::test]
async fn checkpoints_are_thinned_but_for_the_lowest_and_the_newest_of_those_past_the_retention() {
    let tables = tables().await;
    let insert = "INSERT INTO relay_checkpoint (stream_created, sequence, generation, xid, id, recorded_at)
        SELECT 1, $1, 1, '1'::xid8, gen_random_uuid(), date_trunc('minute', now()) - make_interval(secs => $2)";
    for (sequence, age) in [(0_i64, 3_601.0), (1, 3_602.0), (2, 3_603.0), (3, 3_000.0), (4, 1.0), (5, 0.0)] {
        tables.db.query(insert, &[&sequence, &age]).await;
    }
    tables.retention.drop_old(0).await.unwrap();
    let left = async || -> Vec<i64> {
        let rows = tables.db.query("SELECT sequence FROM relay_checkpoint ORDER BY 1", &[]).await;
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(left().await, [0, 2, 3, 4, 5]);
    tables
        .db
        .query("UPDATE relay_checkpoint SET recorded_at = recorded_at - interval '3 days' WHERE sequence < 4", &[])
        .await;
    tables.retention.drop_old(0).await.unwrap();
    assert_eq!(left().await, [3, 4, 5]);
}

#[tokio::test]
async fn partitions_are_made_ahead_and_making_them_again_does_nothing() {
    let tables = tables().await;
    assert!(tables.retention.make().await.unwrap() > 0);
    assert_eq!(tables.retention.make().await.unwrap(), 0);
    // Today, two days ahead, the default one; the inbox also three days back.
    assert_eq!(tables.partitions("outbox").await.len(), 4);
    assert_eq!(tables.partitions("inbox").await.len(), 7);
    assert_eq!(tables.partitions("inbox_reply").await.len(), 7);
    tables.old_row(0, 5).await;
    assert_eq!(tables.db.value::<i64>("SELECT count(*) FROM outbox_default", &[]).await, 0);
    let now = "INSERT INTO inbox (message_id, consumer) VALUES (messaging_least_id(now()), 'c')";
    tables.db.query(now, &[]).await;
    assert_eq!(tables.db.value::<i64>("SELECT count(*) FROM inbox_default", &[]).await, 0);
}

#[tokio::test]
async fn an_outbox_partition_is_dropped_only_when_it_lies_wholly_below_the_cursor() {
    let tables = tables().await;
    tables.retention.make().await.unwrap();
    let published = tables.old_partition("outbox", 6).await;
    let unpublished = tables.old_partition("outbox", 5).await;
    let young = tables.old_partition("outbox", 1).await;
    tables.old_row(6, 100).await;
    tables.old_row(5, 200).await;
    tables.old_row(5, 300).await;
    let grant = tables.store.acquire("me", DAY).await.unwrap().unwrap();
    assert!(tables.retention.drop_old(grant.epoch).await.unwrap().is_empty(), "nothing has been published");

    let generation = *tables.store.generations().await.unwrap().last().unwrap();
    let reached = |xid| Cursor { generation, xid, id: Uuid::max() };
    let mark = StreamMark { created: 1, sequence: 1 };
    assert!(tables.store.advance(grant.epoch, reached(200), mark, true, DAY).await.unwrap());
    assert!(tables.retention.drop_old(grant.epoch - 1).await.unwrap().is_empty(), "a stale epoch dropped something");
    assert!(tables.retention.drop_old(grant.epoch).await.unwrap().is_empty(), "it was published just now");
    tables.age_checkpoints().await;
    assert_eq!(tables.retention.drop_old(grant.epoch).await.unwrap(), [published]);
    let mark = StreamMark { created: 1, sequence: 2 };
    assert!(tables.store.advance(grant.epoch, reached(300), mark, true, DAY).await.unwrap());
    assert!(tables.retention.drop_old(grant.epoch).await.unwrap().is_empty(), "it was published just now");
    tables.age_checkpoints().await;
    assert_eq!(tables.retention.drop_old(grant.epoch).await.unwrap(), [unpublished]);
    assert!(tables.partitions("outbox").await.contains(&young));
}

#[tokio::test]
async fn rows_of_a_generation_that_is_still_to_come_are_kept() {
    let tables = tables().await;
    let partition = tables.old_partition("outbox", 6).await;
    tables.old_row(6, 1).await;
    let grant = tables.store.acquire("me", DAY).await.unwrap().unwrap();
    // The cursor stands in an older generation than the row's.
    tables.db.query("INSERT INTO outbox_generation (generation) VALUES (1)", &[]).await;
    tables.store.generations().await.unwrap();
    let cursor = Cursor { generation: 1, xid: 999, id: Uuid::max() };
    assert!(
        tables.store.advance(grant.epoch, cursor, StreamMark { created: 1, sequence: 1 }, true, DAY).await.unwrap()
    );
    assert!(tables.retention.drop_old(grant.epoch).await.unwrap().is_empty());
    assert!(tables.partitions("outbox").await.contains(&partition));
}

#[tokio::test]
async fn inbox_partitions_outlive_the_horizon() {
    let tables = tables().await;
    tables.retention.make().await.unwrap();
    let beyond = tables.old_partition("inbox", 9).await;
    let replies = tables.old_partition("inbox_reply", 9).await;
    let grant = tables.store.acquire("me", DAY).await.unwrap().unwrap();
    let generation = *tables.store.generations().await.unwrap().last().unwrap();
    let cursor = Cursor { generation, xid: 1, id: Uuid::max() };
    assert!(
        tables.store.advance(grant.epoch, cursor, StreamMark { created: 1, sequence: 1 }, true, DAY).await.unwrap()
    );
    assert_eq!(tables.retention.drop_old(grant.epoch).await.unwrap(), [replies, beyond]);
    assert_eq!(tables.partitions("inbox").await.len(), 7);
}

#[tokio::test]
async fn a_day_whose_rows_are_in_the_default_partition_stays_there() {
    let tables = tables().await;
    tables.old_row(0, 1).await;
    tables.retention.make().await.unwrap();
    assert_eq!(tables.db.value::<i64>("SELECT count(*) FROM outbox_default", &[]).await, 1);
    assert_eq!(tables.partitions("outbox").await.len(), 3);
}
