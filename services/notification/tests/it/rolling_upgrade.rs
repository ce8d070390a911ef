//! The previous release counts a feed's deliveries in a table. Beside this release its count goes on from the last delivery.

use uuid::Uuid;

use crate::world::World;

/// What the previous release executes to record one delivery.
fn recorded_by_the_previous_release(customer: Uuid, event: Uuid) -> String {
    format!(
        "WITH moved AS (
             INSERT INTO feeds AS f (customer_id, last_sequence)
             SELECT n.customer_id, n.count
             FROM unnest('{{{customer}}}'::uuid[], '{{1}}'::bigint[]) AS n (customer_id, count)
             ON CONFLICT (customer_id) DO UPDATE SET last_sequence = f.last_sequence + excluded.last_sequence
             RETURNING f.customer_id, f.last_sequence)
         INSERT INTO deliveries (id, customer_id, sequence, event_id, channel, kind, order_id, body)
         SELECT gen_random_uuid(), customer_id, last_sequence, '{event}', 'feed', 'welcome', NULL, 'of before' FROM moved"
    )
}

#[tokio::test]
async fn both_releases_count_one_feed_without_a_gap() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    for round in 0..4 {
        for customer in [ada, bob] {
            let statement = recorded_by_the_previous_release(customer, world.ids.next());
            world.database.hold(&statement).await.commit().await;
        }
        let events = [world.confirmed(ada, world.ids.next()), world.charged(bob, world.ids.next())];
        world.send_until(&events, (round + 1) * 4).await;
    }
    assert_eq!(world.texts(ada).await.iter().filter(|text| *text == "of before").count(), 4);
    world.finish().await;
}

#[tokio::test]
async fn this_release_waits_for_the_previous_ones_transaction() {
    let world = World::start().await;
    let ada = world.ids.next();
    let other = world.database.hold(&recorded_by_the_previous_release(ada, world.ids.next())).await;
    world.send(&[world.confirmed(ada, world.ids.next())]).await;
    other.wait_until_blocking().await;
    // For the feed's lock, not for the key of a delivery that it would have to give up.
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(world.database.value::<i64>(waits, &[]).await, 1);
    other.commit().await;
    world.wait_for(2).await;
    assert_eq!(world.texts(ada).await[0], "of before");
    world.finish().await;
}
