//! A transaction's decision stays valid: no other transaction changes its basis meanwhile. Two transactions, stepped by
//! hand.

use flotilla_proto::payments::v1::PaymentDecline;
use flotilla_testkit::{OpenTransaction, Streams, eventually};
use uuid::Uuid;

use crate::support::{Reply, TIMEOUT, World, charge, read_reply};

/// Moves money in a transaction that is left open, as another replica would.
async fn moved(world: &World, customer: Uuid, cents: i64) -> OpenTransaction {
    let (transfer, order) = (world.orders.ids.next(), world.orders.ids.next());
    let (kind, house, order, request) = if cents > 0 {
        ("top_up", "house:cash", "NULL".to_owned(), "'by hand'")
    } else {
        ("charge", "house:sales", format!("'{order}'"), "NULL")
    };
    let statements = format!(
        "UPDATE accounts SET balance_minor = balance_minor + {cents} WHERE customer_id = '{customer}';
         INSERT INTO transfers (id, kind, order_id, request_id, customer_id, amount_minor, currency)
         VALUES ('{transfer}', '{kind}', {order}, {request}, '{customer}', abs({cents}), 'USD');
         INSERT INTO postings (account, transfer_id, customer_id, amount_minor, currency)
         VALUES ('customer:{customer}', '{transfer}', '{customer}', {cents}, 'USD'),
                ('{house}', '{transfer}', NULL, -({cents}), 'USD')"
    );
    world.database.hold(&statements).await
}

#[tokio::test]
async fn a_top_up_adds_to_the_balance_that_another_transaction_leaves() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let other = moved(&world, customer, 50).await;
    let stepped = async {
        other.wait_until_blocking().await;
        other.commit().await;
    };
    let (topped_up, ()) = tokio::join!(world.top_up(customer, 7, "key"), stepped);
    topped_up.unwrap();
    assert_eq!(world.balance(customer).await, 157);
    world.finish().await;
}

#[tokio::test]
async fn a_charge_uses_the_balance_that_another_transaction_leaves() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let other = moved(&world, customer, -80).await;
    let command = charge(&world.orders.ids, world.orders.ids.next(), customer, 50);
    // Published directly: the relay publishes nothing while an older transaction runs.
    let streams = Streams::connect(&world.nats).await;
    eventually("the stream of orders", TIMEOUT, || streams.get("ORDERS")).await;
    streams.publish(std::slice::from_ref(&command)).await;
    other.wait_until_blocking().await;
    other.commit().await;
    assert_eq!(read_reply(&world.orders.reply(&command).await), Reply::Declined(PaymentDecline::InsufficientFunds));
    assert_eq!(world.balance(customer).await, 20);
    world.finish().await;
}
