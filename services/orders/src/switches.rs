//! The feature flags of orders.

use flotilla_flags::{Context, Flags};
use uuid::Uuid;

/// Whether new orders are accepted. Off: `PlaceOrder` answers `ORDERS_PAUSED`, and what was accepted goes on.
const ACCEPT_ORDERS: &str = "accept-orders";

/// What is switched on, for whom.
#[derive(Clone, Debug)]
pub struct Switches {
    flags: Flags,
}

impl Switches {
    /// By these flags.
    #[must_use]
    pub fn new(flags: Flags) -> Self {
        Self { flags }
    }

    /// Whether a customer may place new orders. Yes unless a flag says otherwise.
    pub async fn accept_orders(&self, customer: Uuid) -> bool {
        self.flags.boolean(ACCEPT_ORDERS, &Context::user(customer), true).await
    }
}
