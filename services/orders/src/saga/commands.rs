//! The messages that orders publishes: the saga's commands and the order events.

use std::time::SystemTime;

use flotilla_messaging::Event;
use flotilla_proto::{
    inventory::v1::{CommitStock, ReleaseStock, ReserveStock, StockLine},
    orders::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected},
    payments::v1::{ChargePayment, RefundPayment},
};
use uuid::Uuid;

use crate::{
    domain::{
        pricing::Priced,
        saga::{Command, Notice},
    },
    storage::sagas::SagaRow,
};

/// Version of a new order.
const FIRST_VERSION: i64 = 1;

/// The command to hold an order's stock.
#[must_use]
pub fn reserve(id: Uuid, order: Uuid, lines: Vec<StockLine>, version: i64, now: SystemTime) -> Event {
    Event::new(id, &ReserveStock { order_id: order.to_string(), lines }, order, version, now)
}

/// The first two messages of an order: the command to hold its stock, and `OrderPlaced`.
#[must_use]
pub fn placed(ids: (Uuid, Uuid), order: Uuid, customer: Uuid, priced: &Priced, now: SystemTime) -> [Event; 2] {
    let line = |line: &crate::domain::pricing::PricedLine| StockLine {
        product_id: line.product_id.clone(),
        quantity: line.quantity,
    };
    let lines = priced.lines.iter().map(line).collect();
    let event = OrderPlaced {
        order_id: order.to_string(),
        customer_id: customer.to_string(),
        total_minor: priced.total.minor,
        currency_code: priced.total.currency.code().to_owned(),
    };
    [reserve(ids.0, order, lines, FIRST_VERSION, now), Event::new(ids.1, &event, order, FIRST_VERSION, now)]
}

/// A command of a running saga. Only `ReserveStock` needs `lines`.
#[must_use]
pub fn command(command: Command, id: Uuid, row: &SagaRow, lines: Vec<StockLine>, now: SystemTime) -> Event {
    let order_id = row.order_id.to_string();
    let (order, version) = (row.order_id, row.version);
    match command {
        Command::ReserveStock => reserve(id, order, lines, version, now),
        Command::ReleaseStock => Event::new(id, &ReleaseStock { order_id }, order, version, now),
        Command::CommitStock => Event::new(id, &CommitStock { order_id }, order, version, now),
        Command::ChargePayment => {
            let message = ChargePayment {
                order_id,
                customer_id: row.customer_id.to_string(),
                amount_minor: row.total_minor,
                currency_code: row.currency.clone(),
            };
            Event::new(id, &message, order, version, now)
        }
        Command::RefundPayment => {
            let message = RefundPayment { order_id, customer_id: row.customer_id.to_string() };
            Event::new(id, &message, order, version, now)
        }
    }
}

/// The event of an order's end.
#[must_use]
pub fn notice(notice: Notice, id: Uuid, row: &SagaRow, now: SystemTime) -> Event {
    let (order_id, customer_id) = (row.order_id.to_string(), row.customer_id.to_string());
    let (order, version) = (row.order_id, row.version);
    match notice {
        Notice::Confirmed => {
            let message = OrderConfirmed {
                order_id,
                customer_id,
                total_minor: row.total_minor,
                currency_code: row.currency.clone(),
            };
            Event::new(id, &message, order, version, now)
        }
        Notice::Rejected(reason) => {
            let reason = reason.to_proto().as_str_name().to_owned();
            Event::new(id, &OrderRejected { order_id, customer_id, reason }, order, version, now)
        }
        Notice::Cancelled => Event::new(id, &OrderCancelled { order_id, customer_id }, order, version, now),
    }
}
