//! Tests the messages and rows of each decision, without a database.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flotilla_clock::{Clock, OsRandom};

use super::*;
use crate::domain::saga::{Command, Reason};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }
}

fn ids() -> Ids {
    Ids::new(Arc::new(Noon), Arc::new(OsRandom))
}

fn row(ids: &Ids) -> SagaRow {
    SagaRow {
        order_id: ids.next(),
        customer_id: ids.next(),
        currency: "USD".into(),
        total_minor: 1234,
        state: State::Reserving,
        version: 1,
        stock: Some(Sent { command: Command::ReserveStock, id: ids.next() }),
        payment: None,
        attempt: 7,
        journal_bytes: 0,
    }
}

fn decision(ids: &Ids) -> Cause<'static> {
    Cause::Decision { id: ids.next(), traceparent: None }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.rsplit('.').next().unwrap()).collect()
}

#[test]
fn a_step_forward_counts_anew_and_ends_with_a_notice() {
    let ids = ids();
    let row = row(&ids);
    let order = row.order_id;
    let mut batch = Batch::of(&ids, vec![row]);
    let charge = batch.apply(order, Message::StockReserved, decision(&ids)).unwrap();
    assert_eq!(kinds(&charge), ["ChargePayment"]);
    let entry = &batch.entries[&order];
    assert_eq!((entry.row.version, entry.row.attempt, entry.sent_id), (2, 1, Some(charge[0].id)));
    let end = batch.apply(order, Message::PaymentCharged, decision(&ids)).unwrap();
    assert_eq!(kinds(&end), ["CommitStock", "OrderConfirmed"]);
    let entry = &batch.entries[&order];
    assert_eq!((entry.row.version, entry.row.stock.unwrap().id), (3, end[0].id));
    assert_eq!(end[1].aggregate_version, 3);
}

#[test]
fn a_reply_is_the_cause_of_what_follows_and_hands_its_trace_on() {
    let ids = ids();
    let row = row(&ids);
    let order = row.order_id;
    let mut batch = Batch::of(&ids, vec![row.clone()]);
    let mut reply = commands::command(Command::ReserveStock, ids.next(), &row, vec![], ids.now());
    reply.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    let sent = batch.apply(order, Message::StockReserved, Cause::Event(&reply)).unwrap();
    assert_eq!(sent[0].causation_id, Some(reply.id));
    assert_eq!(sent[0].traceparent, reply.traceparent);
}

#[test]
fn a_repeated_undoing_keeps_its_id_and_leaves_the_clock_alone() {
    let ids = ids();
    let row = row(&ids);
    let order = row.order_id;
    let mut batch = Batch::of(&ids, vec![row]);
    let undoing = batch.apply(order, Message::Cancel, decision(&ids)).unwrap();
    assert_eq!(kinds(&undoing), ["ReleaseStock", "RefundPayment"]);
    let mut row = batch.entries[&order].row.clone();
    row.attempt = 3;
    let mut batch = Batch::of(&ids, vec![row]);
    let again = batch.apply(order, Message::ReservationExpired, decision(&ids)).unwrap();
    assert_eq!((kinds(&again), again[0].id), (vec!["ReleaseStock"], undoing[0].id));
    let entry = &batch.entries[&order];
    assert_eq!((entry.sent_id, entry.row.attempt, entry.moved), (None, 3, false));
}

#[test]
fn a_resend_repeats_what_is_awaited_under_its_ids() {
    let ids = ids();
    let row = row(&ids);
    let (order, reserve) = (row.order_id, row.stock.unwrap().id);
    let mut batch = Batch::of(&ids, vec![row]);
    let lines = [StockLine { product_id: "a".into(), quantity: 2 }];
    let again = batch.resend(order, 8, &lines);
    assert_eq!((kinds(&again), again[0].id), (vec!["ReserveStock"], reserve));
    let entry = &batch.entries[&order];
    assert_eq!((entry.row.attempt, entry.sent_id, entry.row.version), (8, Some(reserve), 1));

    let undoing = batch.apply(order, Message::GiveUp, decision(&ids)).unwrap();
    batch.apply(order, Message::StockReleased, decision(&ids)).unwrap();
    let again = batch.resend(order, 2, &[]);
    assert_eq!((kinds(&again), again[0].id), (vec!["RefundPayment"], undoing[1].id));
}

#[test]
fn a_late_hold_of_a_rejected_order_is_released_under_a_new_id() {
    let ids = ids();
    let row = row(&ids);
    let (order, reserve) = (row.order_id, row.stock.unwrap().id);
    let mut batch = Batch::of(&ids, vec![row]);
    let end = batch.apply(order, Message::StockRejected(Reason::OutOfStock), decision(&ids)).unwrap();
    assert_eq!(kinds(&end), ["OrderRejected"]);
    let late = batch.apply(order, Message::StockReserved, decision(&ids)).unwrap();
    assert_eq!(kinds(&late), ["ReleaseStock"]);
    assert_ne!(late[0].id, reserve);
    assert_eq!(batch.entries[&order].row.stock.unwrap().id, late[0].id);
}

#[test]
fn an_order_that_is_not_locked_is_not_known() {
    let ids = ids();
    let mut batch = Batch::of(&ids, vec![]);
    assert!(batch.apply(ids.next(), Message::Cancel, decision(&ids)).is_none());
}
