//! Converts orders for clients.

use flotilla_listing::etag;
use flotilla_money::Amount;
use flotilla_proto::orders::v1::{self as proto, OrderLine};
use prost_types::Timestamp;

use crate::domain::{
    names::{order_reason, order_state},
    order::Order,
};

/// An order as its protobuf message.
pub fn order(order: Order) -> proto::Order {
    let currency = order.currency();
    let line = |line: crate::domain::pricing::PricedLine| OrderLine {
        product: format!("products/{}", line.product_id),
        quantity: line.quantity,
        unit_price: Some(Amount { minor: line.unit_price_minor, currency }.into()),
    };
    proto::Order {
        name: format!("orders/{}", order.id),
        customer: format!("users/{}", order.customer_id),
        state: order_state(&order.state).into(),
        reason: order_reason(order.reason.as_deref()).into(),
        lines: order.lines.into_iter().map(line).collect(),
        total: Some(order.total.into()),
        create_time: Some(Timestamp::from(order.created_at)),
        end_time: order.ended_at.map(Timestamp::from),
        etag: etag::of(order.version, &order.state),
    }
}
