//! Charges: once for an order, whatever is repeated; declined by decision, never by accident.

use flotilla_proto::payments::v1::{PaymentCharged, PaymentDecline, payment_service_client::PaymentServiceClient};
use flotilla_testkit::eventually;

use crate::support::{Reply, TIMEOUT, World, charge, charge_in, get, read_reply, user_deleted};

#[tokio::test]
async fn an_order_is_charged_once_and_a_repeat_gets_the_same_reply_again() {
    let world = World::start().await;
    let customer = world.account(10_000).await;
    let (ids, order) = (&world.orders.ids, world.orders.ids.next());
    let command = charge(ids, order, customer, 1_234);
    world.orders.send(std::slice::from_ref(&command)).await;
    let reply = world.orders.reply(&command).await;
    assert_eq!(read_reply(&reply), Reply::Charged(1_234));
    assert_eq!(reply.causation_id, Some(command.id));
    assert_eq!(world.balance(customer).await, 8_766);

    // The same command again: it is answered again under the same id.
    let answered = async |times: usize| {
        eventually("answered", TIMEOUT, || async {
            let replies = world.database.outbox_of::<PaymentCharged>().await;
            if replies.len() >= times { Ok(replies) } else { Err(format!("{} times", replies.len())) }
        })
        .await
    };
    world.orders.send(std::slice::from_ref(&command)).await;
    answered(2).await;
    world.orders.send(&[command.clone(), command.clone()]).await;
    let replies = answered(3).await;
    assert!(replies.iter().all(|again| again.id == reply.id && again.data == reply.data), "{replies:?}");

    // Another command for the same order: the same answer, not another charge.
    let other = charge(ids, order, customer, 9_999);
    world.orders.send(std::slice::from_ref(&other)).await;
    let again = world.orders.reply(&other).await;
    assert_eq!((again.id, read_reply(&again)), (reply.id, Reply::Charged(1_234)));
    assert_eq!(world.balance(customer).await, 8_766);
    assert_eq!(world.count("SELECT count(*) FROM transfers WHERE kind = 'charge'").await, 1);

    // One charge was decided, whatever was repeated.
    let paid = "flotilla_payments_decisions_total{kind=\"charge\",outcome=\"paid\"} 1\n";
    assert!(world.service.metrics().contains(paid), "{}", world.service.metrics());
    world.finish().await;
}

#[tokio::test]
async fn a_charge_is_declined_for_its_reason_and_moves_nothing() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let gone = world.account(100).await;
    world.identity.send(&[user_deleted(&world.identity.ids, gone)]).await;
    world.counts("SELECT count(*) FROM accounts WHERE closed_at IS NOT NULL", 1).await;
    let ids = &world.orders.ids;
    let unknown = ids.next();
    let commands = [
        (charge(ids, ids.next(), customer, 101), PaymentDecline::InsufficientFunds),
        (charge(ids, ids.next(), unknown, 1), PaymentDecline::InsufficientFunds),
        (charge_in(ids, ids.next(), customer, 1, "EUR"), PaymentDecline::CurrencyMismatch),
        (charge(ids, ids.next(), gone, 1), PaymentDecline::AccountClosed),
    ];
    let events: Vec<_> = commands.iter().map(|(command, _)| command.clone()).collect();
    world.orders.send(&events).await;
    for (command, decline) in &commands {
        assert_eq!(read_reply(&world.orders.reply(command).await), Reply::Declined(*decline));
    }
    // Declined is for good: money that comes later changes nothing for the order.
    world.top_up(customer, 100, "later").await.unwrap();
    let (first, _) = &commands[0];
    let retry = flotilla_messaging::Event { id: ids.next(), ..first.clone() };
    world.orders.send(std::slice::from_ref(&retry)).await;
    assert_eq!(read_reply(&world.orders.reply(&retry).await), Reply::Declined(PaymentDecline::InsufficientFunds));
    assert_eq!(world.balance(customer).await, 200);
    assert_eq!(world.count("SELECT count(*) FROM transfers WHERE kind <> 'top_up'").await, 0);
    assert_eq!(world.count("SELECT count(*) FROM charges WHERE state = 'declined'").await, 4);
    world.finish().await;
}

#[tokio::test]
async fn hundreds_of_charges_to_one_account_are_decided_in_batches_and_exactly() {
    let world = World::start().await;
    let customer = world.account(4_000).await;
    let ids = &world.orders.ids;
    let commands: Vec<_> = (0..600).map(|_| charge(ids, ids.next(), customer, 10)).collect();
    world.orders.send(&commands).await;
    let (mut charged, mut declined) = (0, 0);
    for command in &commands {
        match read_reply(&world.orders.reply(command).await) {
            Reply::Charged(10) => charged += 1,
            Reply::Declined(PaymentDecline::InsufficientFunds) => declined += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((charged, declined), (400, 200));
    assert_eq!(world.balance(customer).await, 0);
    let transactions = world.count("SELECT count(DISTINCT xmin::text) FROM charges").await;
    assert!(transactions <= 30, "600 charges took {transactions} transactions");
    assert!(world.service.metrics().contains("flotilla_payments_decisions_total"));
    world.finish().await;
}

#[tokio::test]
async fn two_replicas_charge_each_order_once() {
    let world = World::start().await;
    let settings = crate::support::settings(&world.database, &world.nats, &world.tokens);
    let second = flotilla_testkit::ServiceHarness::start::<flotilla_payments::Payments>(settings).await;
    let (ann, bob) = (world.account(500).await, world.account(500).await);
    let ids = &world.orders.ids;
    let mut commands = Vec::new();
    for _ in 0..200 {
        let customer = if commands.len() % 4 < 2 { ann } else { bob };
        let order = ids.next();
        // Two commands for each order, which may meet in different replicas.
        commands.extend([charge(ids, order, customer, 5), charge(ids, order, customer, 5)]);
    }
    for batch in commands.chunks(20) {
        world.orders.send(batch).await;
    }
    for pair in commands.chunks(2) {
        // Both are answered by one event; the one that came last names its command.
        let what = "an answer to either";
        eventually(what, TIMEOUT, || async { pair.iter().find_map(|command| world.orders.replied(command)) }).await;
    }
    assert_eq!(world.count("SELECT count(*) FROM transfers WHERE kind = 'charge'").await, 200);
    let token = world.tokens.token(ann, flotilla_auth::Role::Customer);
    let account = PaymentServiceClient::new(second.channel_as(&token)).get_account(get(ann)).await.unwrap();
    assert_eq!(account.into_inner().balance.unwrap().units, 0);
    second.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn an_invalid_command_is_a_dead_letter_and_blocks_no_other() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let ids = &world.orders.ids;
    let sound = charge(ids, ids.next(), customer, 1);
    let broken = flotilla_messaging::Event { data: vec![0xff].into(), ..charge(ids, ids.next(), customer, 1) };
    let negative = charge(ids, ids.next(), customer, -1);
    let unknown = flotilla_messaging::Event {
        kind: "flotilla.payments.v9.ChargePayment".into(),
        ..charge(ids, ids.next(), customer, 1)
    };
    world.orders.send(&[broken, negative, unknown, sound.clone()]).await;
    assert_eq!(read_reply(&world.orders.reply(&sound).await), Reply::Charged(1));
    world.counts("SELECT count(*) FROM parked WHERE state = 'dead'", 3).await;
    assert_eq!(world.balance(customer).await, 99);
    world.books_balance().await;
    world.service.stop().await;
}

#[tokio::test]
async fn the_ledger_itself_refuses_postings_that_do_not_balance() {
    let world = World::start().await;
    let customer = world.account(100).await;
    let settings = world.database.settings();
    let registry = flotilla_telemetry::Registry::new();
    let pool = flotilla_postgres::Pool::connect("system", &settings.system_url, &settings, &registry).unwrap();
    for (sql, state) in [
        (
            "INSERT INTO postings (account, transfer_id, amount_minor, currency) \
          VALUES ('house:cash', gen_random_uuid(), 5, 'USD')",
            "23514",
        ),
        ("UPDATE accounts SET balance_minor = -1", "23514"),
        (
            "INSERT INTO transfers (id, kind, request_id, customer_id, amount_minor, currency) \
          SELECT gen_random_uuid(), kind, request_id, customer_id, amount_minor, currency FROM transfers",
            "23505",
        ),
    ] {
        let error = pool.query(sql, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some(state), "{sql}");
    }
    assert_eq!(world.balance(customer).await, 100);
    world.finish().await;
}
