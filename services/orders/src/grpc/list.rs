//! `ListOrders`: pages, newest first by default.

use flotilla_auth::Caller;
use flotilla_listing::page;
use flotilla_listing::{Field, Schema};
use flotilla_proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};
use flotilla_rpc::name;
use uuid::Uuid;

use super::{
    convert,
    order_service::{OrderApi, scope},
};
use crate::{error::Error, storage::orders::Scope};

/// Default page size.
const DEFAULT: u32 = 50;
/// Maximum page size.
const MOST: u32 = 1_000;

/// The names of states in the API and in rows.
const STATES: &[(&str, &str)] = &[
    ("RESERVING", "reserving"),
    ("CHARGING", "charging"),
    ("COMPENSATING", "compensating"),
    ("CONFIRMED", "confirmed"),
    ("REJECTED", "rejected"),
    ("CANCELLED", "cancelled"),
];
/// The names of reasons in the API and in rows.
const REASONS: &[(&str, &str)] = &[
    ("OUT_OF_STOCK", "out_of_stock"),
    ("UNKNOWN_PRODUCT", "unknown_product"),
    ("INSUFFICIENT_FUNDS", "insufficient_funds"),
    ("PAYMENT_DECLINED", "payment_declined"),
    ("CANCELLED", "cancelled"),
    ("RESERVATION_EXPIRED", "reservation_expired"),
    ("TIMED_OUT", "timed_out"),
];

/// The fields that `ListOrders` filters and sorts by. Ids are ordered by time, so the newest orders have the greatest.
static ORDERS: Schema = Schema {
    key: Field::uuid_name("name", "o.id", "orders").internal(),
    fields: &[
        Field::choice("state", "o.state", "ORDER_STATE_", STATES),
        Field::choice("reason", "o.reason", "ORDER_REASON_", REASONS),
        Field::money("total", "o.total_minor", "o.currency").sortable(),
        Field::text("currency_code", "o.currency"),
        Field::timestamp("create_time", "o.created_at").sortable(),
        Field::timestamp("end_time", "o.ended_at"),
    ],
    order: "name desc",
};

/// A page of the orders that the caller may see.
pub async fn list(api: &OrderApi, caller: &Caller, request: &ListOrdersRequest) -> Result<ListOrdersResponse, Error> {
    let size = page::size(request.page_size, DEFAULT, MOST)?;
    let customer = match request.customer.as_str() {
        "" => None,
        customer => Some(name::parse_uuid("customer", "users", customer)?),
    };
    let scope = scope(caller);
    let listing = ORDERS.parse(&request.filter, &request.order_by)?;
    let tokens = api.page_key.tokens().await?;
    let seen = match scope {
        Scope::Own(user) => user.to_string(),
        Scope::All => String::new(),
    };
    let of = customer.as_ref().map_or_else(String::new, Uuid::to_string);
    let page = listing.page(tokens, &["ListOrders", &seen, &of], &request.page_token, size)?;
    let (orders, next_page_token) = api.reader.list(scope, customer, &page).await?;
    Ok(ListOrdersResponse { orders: orders.into_iter().map(convert::order).collect(), next_page_token })
}

#[cfg(test)]
mod tests {
    use flotilla_proto::orders::v1::{OrderReason, OrderState};

    use super::*;
    use crate::domain::saga::{Reason, State};

    #[test]
    fn every_state_and_reason_can_be_asked_for() {
        let states = (1..).map_while(|number| OrderState::try_from(number).ok()).map(|state| state.as_str_name());
        let reasons = (1..).map_while(|number| OrderReason::try_from(number).ok()).map(|reason| reason.as_str_name());
        let (states, reasons): (Vec<_>, Vec<_>) = (states.collect(), reasons.collect());
        assert!(states.len() == 6 && reasons.len() == 7);
        let asked = states.iter().map(|state| format!("state = {state}"));
        for filter in asked.chain(reasons.iter().map(|reason| format!("reason = {reason}"))) {
            assert!(ORDERS.filter(&filter).is_ok(), "{filter}");
        }
        // The stored names, which the saga uses.
        for (asked, stored) in REASONS {
            assert!(Reason::parse(stored).is_some() || State::Cancelled.end_reason() == Some(stored), "{asked}");
        }
        let named = [State::Reserving, State::Charging, State::Confirmed, State::Cancelled].map(State::name);
        let rest = ["compensating", "rejected"];
        assert!(STATES.iter().all(|(_, stored)| named.contains(stored) || rest.contains(stored)));
    }
}
