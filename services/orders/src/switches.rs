//! The feature flags of orders.

use flotilla_flags::{Context, Flags};
use uuid::Uuid;

/// Whether new orders are accepted. Off: `PlaceOrder` fails with `ORDERS_PAUSED`, and accepted orders continue.
const ACCEPT_ORDERS: &str = "accept-orders";

/// The flags of orders.
#[derive(Clone, Debug)]
pub struct Switches {
    flags: Flags,
}

impl Switches {
    /// Evaluates these flags.
    #[must_use]
    pub fn new(flags: Flags) -> Self {
        Self { flags }
    }

    /// Whether a customer may place new orders. True unless the flag disables it.
    pub async fn accept_orders(&self, customer: Uuid) -> bool {
        self.flags.boolean(ACCEPT_ORDERS, &Context::user(customer), true).await
    }
}
