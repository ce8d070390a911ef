//! What orders says on the broker: the saga's commands and the events of an order's way.

use std::time::SystemTime;

use flotilla_messaging::Event;
use flotilla_proto::{
    inventory::v1::{CommitStock, ReleaseStock, ReserveStock, StockLine},
    orders::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected},
    payments::v1::{ChargePayment, RefundPayment},
};
use prost::{Message, Name};
use uuid::Uuid;

use crate::{
    domain::{
        pricing::Priced,
        saga::{Command, Notice},
    },
    storage::sagas::SagaRow,
};

/// Subject of the commands to inventory.
pub const TO_INVENTORY: &str = "flotilla.orders.inventory";
/// Subject of the commands to payments.
pub const TO_PAYMENTS: &str = "flotilla.orders.payments";
/// Subject of what happened to orders.
pub const ORDERS_EVENTS: &str = "flotilla.orders.events";

/// Version of an order that was just placed.
const FIRST_VERSION: i64 = 1;

/// Wraps a message about an order.
fn wrap<M: Message + Name>(
    id: Uuid,
    subject: &'static str,
    message: &M,
    order: Uuid,
    version: i64,
    now: SystemTime,
) -> Event {
    Event::new(id, subject, message, format!("orders/{order}"), version, now)
}

/// The command to hold an order's stock.
#[must_use]
pub fn reserve(id: Uuid, order: Uuid, lines: Vec<StockLine>, version: i64, now: SystemTime) -> Event {
    wrap(id, TO_INVENTORY, &ReserveStock { order_id: order.to_string(), lines }, order, version, now)
}

/// The first two messages of an order: the command to hold its stock, and that it was placed.
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
    [reserve(ids.0, order, lines, FIRST_VERSION, now), wrap(ids.1, ORDERS_EVENTS, &event, order, FIRST_VERSION, now)]
}

/// A command of a saga under way. `lines` are needed by `ReserveStock` alone.
#[must_use]
pub fn command(command: Command, id: Uuid, row: &SagaRow, lines: Vec<StockLine>, now: SystemTime) -> Event {
    let order_id = row.order_id.to_string();
    let (order, version) = (row.order_id, row.version);
    match command {
        Command::ReserveStock => reserve(id, order, lines, version, now),
        Command::ReleaseStock => wrap(id, TO_INVENTORY, &ReleaseStock { order_id }, order, version, now),
        Command::CommitStock => wrap(id, TO_INVENTORY, &CommitStock { order_id }, order, version, now),
        Command::ChargePayment => {
            let message = ChargePayment {
                order_id,
                customer_id: row.customer_id.to_string(),
                amount_minor: row.total_minor,
                currency_code: row.currency.clone(),
            };
            wrap(id, TO_PAYMENTS, &message, order, version, now)
        }
        Command::RefundPayment => {
            let message = RefundPayment { order_id, customer_id: row.customer_id.to_string() };
            wrap(id, TO_PAYMENTS, &message, order, version, now)
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
            wrap(id, ORDERS_EVENTS, &message, order, version, now)
        }
        Notice::Rejected(reason) => {
            let reason = reason.told().as_str_name().to_owned();
            wrap(id, ORDERS_EVENTS, &OrderRejected { order_id, customer_id, reason }, order, version, now)
        }
        Notice::Cancelled => wrap(id, ORDERS_EVENTS, &OrderCancelled { order_id, customer_id }, order, version, now),
    }
}
