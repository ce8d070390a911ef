//! Refunds: what was charged comes back once; a refund that comes first refuses the late charge.

use flotilla_proto::payments::v1::PaymentDecline;

use crate::support::{Reply, World, charge, read_reply, refund, user_deleted};

#[tokio::test]
async fn a_refund_is_paid_once() {
    let world = World::start().await;
    let customer = world.account(1_000).await;
    let (ids, order) = (&world.orders.ids, world.orders.ids.next());
    let charged = charge(ids, order, customer, 300);
    world.orders.send(std::slice::from_ref(&charged)).await;
    world.orders.reply(&charged).await;
    assert_eq!(world.balance(customer).await, 700);
    for _ in 0..2 {
        let back = refund(ids, order, customer);
        world.orders.send(std::slice::from_ref(&back)).await;
        assert_eq!(read_reply(&world.orders.reply(&back).await), Reply::Refunded(Some(300)));
        assert_eq!(world.balance(customer).await, 1_000);
    }
    let late = charge(ids, order, customer, 300);
    world.orders.send(std::slice::from_ref(&late)).await;
    assert_eq!(read_reply(&world.orders.reply(&late).await), Reply::Declined(PaymentDecline::Refunded));
    assert_eq!(world.balance(customer).await, 1_000);
    world.finish().await;
}

#[tokio::test]
async fn a_refund_that_comes_first_leaves_a_tombstone_that_refuses_the_late_charge() {
    let world = World::start().await;
    let customer = world.account(1_000).await;
    let (ids, order) = (&world.orders.ids, world.orders.ids.next());
    let early = refund(ids, order, customer);
    world.orders.send(std::slice::from_ref(&early)).await;
    assert_eq!(read_reply(&world.orders.reply(&early).await), Reply::Refunded(None));
    let late = charge(ids, order, customer, 300);
    world.orders.send(std::slice::from_ref(&late)).await;
    assert_eq!(read_reply(&world.orders.reply(&late).await), Reply::Declined(PaymentDecline::Refunded));
    assert_eq!(world.count("SELECT count(*) FROM charges WHERE state = 'tombstone'").await, 1);
    assert_eq!(world.balance(customer).await, 1_000);
    world.finish().await;
}

#[tokio::test]
async fn a_charge_and_its_refund_in_one_batch_net_to_zero_in_either_order() {
    let world = World::start().await;
    let customer = world.account(1_000).await;
    let ids = &world.orders.ids;
    let (forth, back) = (ids.next(), ids.next());
    let commands = [
        charge(ids, forth, customer, 300),
        refund(ids, back, customer),
        refund(ids, forth, customer),
        charge(ids, back, customer, 300),
    ];
    world.orders.send(&commands).await;
    for command in &commands {
        world.orders.reply(command).await;
    }
    assert_eq!(world.balance(customer).await, 1_000);
    assert_eq!(world.count("SELECT count(*) FROM charges WHERE state IN ('refunded', 'tombstone')").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_declined_order_has_nothing_to_refund_and_a_closed_account_still_gets_its_refund() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let ids = &world.orders.ids;
    let (declined, paid) = (ids.next(), ids.next());
    let commands = [charge(ids, declined, customer, 500), charge(ids, paid, customer, 100)];
    world.orders.send(&commands).await;
    for command in &commands {
        world.orders.reply(command).await;
    }
    world.identity.send(&[user_deleted(&world.identity.ids, customer)]).await;
    world.counts("SELECT count(*) FROM accounts WHERE closed_at IS NOT NULL", 1).await;
    let refunds = [refund(ids, declined, customer), refund(ids, paid, customer)];
    world.orders.send(&refunds).await;
    assert_eq!(read_reply(&world.orders.reply(&refunds[0]).await), Reply::Refunded(None));
    assert_eq!(read_reply(&world.orders.reply(&refunds[1]).await), Reply::Refunded(Some(100)));
    assert_eq!(world.balance(customer).await, 100);
    world.finish().await;
}
