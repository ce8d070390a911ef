//! Rows in the previous release's form: it writes them during a rolling upgrade, and they stay afterwards.

use flotilla_proto::payments::v1::{ListPostingsRequest, TransferKind};
use uuid::Uuid;

use crate::support::{World, charge, refund, usd};

/// A charge as the previous release writes it: the transfer is a row, its postings don't say what it was.
async fn charged_by_the_previous_release(world: &World, customer: Uuid, cents: i64) -> Uuid {
    let (order, transfer) = (world.orders.ids.next(), world.orders.ids.next());
    world
        .database
        .hold(&format!(
            "UPDATE accounts SET balance_minor = balance_minor - {cents} WHERE customer_id = '{customer}';
             INSERT INTO transfers (id, kind, order_id, request_id, customer_id, amount_minor, currency)
             VALUES ('{transfer}', 'charge', '{order}', NULL, '{customer}', {cents}, 'USD');
             INSERT INTO postings (account, transfer_id, customer_id, amount_minor, currency)
             VALUES ('customer:{customer}', '{transfer}', '{customer}', -{cents}, 'USD'),
                    ('house:sales', '{transfer}', NULL, {cents}, 'USD');
             INSERT INTO charges (order_id, customer_id, state, amount_minor, currency, charge_transfer_id)
             VALUES ('{order}', '{customer}', 'charged', {cents}, 'USD', '{transfer}')"
        ))
        .await
        .commit()
        .await;
    order
}

#[tokio::test]
async fn a_charge_of_the_previous_release_is_shown_and_refunded_once() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let order = charged_by_the_previous_release(&world, customer, 30).await;
    let command = refund(&world.orders.ids, order, customer);
    world.orders.send(std::slice::from_ref(&command)).await;
    world.orders.reply(&command).await;
    assert_eq!(world.balance(customer).await, 100);

    let request = ListPostingsRequest { parent: format!("accounts/{customer}"), ..Default::default() };
    let shown = world.customer(customer).list_postings(request).await.unwrap().into_inner().postings;
    let shown: Vec<_> =
        shown.iter().map(|posting| (posting.kind(), posting.amount.clone().unwrap(), posting.order.as_str())).collect();
    let name = format!("orders/{order}");
    assert_eq!(
        shown,
        [
            (TransferKind::Refund, usd(30), name.as_str()),
            (TransferKind::Charge, usd(-30), name.as_str()),
            (TransferKind::TopUp, usd(100), "")
        ]
    );
    for kind in ["charge", "refund"] {
        let transfers = format!("SELECT count(*) FROM transfers WHERE order_id = '{order}' AND kind = '{kind}'");
        assert_eq!(world.count(&transfers).await, 1, "{kind}");
    }
    world.finish().await;
}

#[tokio::test]
async fn the_previous_release_finds_the_transfers_of_this_ones_statement() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let command = charge(&world.orders.ids, world.orders.ids.next(), customer, 30);
    world.orders.send(std::slice::from_ref(&command)).await;
    world.orders.reply(&command).await;
    let joined = "SELECT count(*) FROM postings AS p JOIN transfers AS t ON t.id = p.transfer_id
                  WHERE p.account LIKE 'customer:%' AND (t.kind = 'top_up') = (t.order_id IS NULL)";
    assert_eq!(world.count(joined).await, 2);
    world.finish().await;
}
