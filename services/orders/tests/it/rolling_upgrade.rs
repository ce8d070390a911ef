//! Rows in the previous release's form: it writes them during a rolling upgrade, and they stay afterwards.

use flotilla_proto::orders::v1::OrderState;
use uuid::Uuid;

use crate::world::{World, id_of};

/// An order as the previous release writes it: lines and journal entries are rows.
async fn placed_by_the_previous_release(world: &World, like: Uuid) -> Uuid {
    let (order, command) = (world.ids.next(), world.ids.next());
    world
        .database
        .hold(&format!(
            "INSERT INTO orders (id, customer_id, request_id, request_hash, state, currency, total_minor, version)
             SELECT '{order}', customer_id, 'of before', request_hash, 'reserving', currency, total_minor, 1
             FROM orders WHERE id = '{like}';
             INSERT INTO order_lines (order_id, product_id, quantity, unit_price_minor)
             SELECT * FROM unnest('{{{order},{order}}}'::uuid[], '{{pear,apple}}'::text[], '{{1,2}}'::bigint[], '{{100,25}}'::bigint[]);
             INSERT INTO sagas (order_id, state, stock_command, stock_command_id, sent_generation, sent_id)
             SELECT '{order}', 'reserving', 'ReserveStock', '{command}', messaging_generation(), '{command}';
             INSERT INTO saga_journal (order_id, step, message_id, direction, kind, attempt, trace_id)
             SELECT * FROM unnest('{{{order}}}'::uuid[], '{{reserving}}'::text[], '{{{command}}}'::uuid[], '{{out}}'::text[],
                 '{{ReserveStock}}'::text[], '{{1}}'::integer[], '{{{trace}}}'::text[])",
            trace = "4bf92f3577b34da6a3ce929d0e0e4736",
        ))
        .await
        .commit()
        .await;
    order
}

#[tokio::test]
async fn an_order_of_the_previous_release_is_read_and_continued() {
    let world = World::start().await;
    let own = world.place("own", &[("apple", 2), ("pear", 1)]).await.unwrap();
    let order = placed_by_the_previous_release(&world, id_of(&own)).await;
    let found = world.get(order).await;
    assert_eq!((&found.lines, found.lines.len()), (&own.lines, 2));

    world.others.publish(&[world.others.reserved(order)]).await;
    world.others.wait_for(order, "ChargePayment").await;
    world.others.publish(&[world.others.charged(order)]).await;
    world.until(order, OrderState::Confirmed).await;
    let sql = "SELECT direction || ' ' || kind, trace_id FROM saga_journal WHERE order_id = $1 ORDER BY at";
    let journal = world.database.query(sql, &[&order]).await;
    let kinds: Vec<&str> = journal.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        kinds,
        [
            "out ReserveStock",
            "in StockReserved",
            "out ChargePayment",
            "in PaymentCharged",
            "out CommitStock",
            "out OrderConfirmed"
        ]
    );
    assert_eq!(journal[0].get::<_, Option<&str>>(1), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    world.stop().await;
}

#[tokio::test]
async fn the_previous_release_reads_the_lines_of_an_order_of_this_one() {
    let world = World::start().await;
    let order = id_of(&world.place("own", &[("pear", 1), ("apple", 2)]).await.unwrap());
    let sql = "SELECT product_id, quantity, unit_price_minor FROM order_lines WHERE order_id = ANY ($1) ORDER BY order_id, product_id";
    let lines = world.database.query(sql, &[&vec![order]]).await;
    let lines: Vec<(&str, i64, i64)> = lines.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(lines, [("apple", 2, 25), ("pear", 1, 100)]);
    world.stop().await;
}
