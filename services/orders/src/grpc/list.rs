//! `ListOrders`: newest first, by pages.

use flotilla_proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};
use flotilla_rpc::{Caller, name, page};
use uuid::Uuid;

use super::{
    convert,
    order_service::{OrderApi, scope},
};
use crate::{
    error::Error,
    storage::orders::{Page, Scope},
};

/// Orders of a page where the request doesn't say.
const DEFAULT: u32 = 50;
/// Most orders of a page.
const MOST: u32 = 1_000;

/// A page of the orders that the caller may see.
pub async fn list(api: &OrderApi, caller: &Caller, request: &ListOrdersRequest) -> Result<ListOrdersResponse, Error> {
    let size = page::size(request.page_size, DEFAULT, MOST)?;
    let customer = match request.customer.as_str() {
        "" => None,
        customer => Some(name::parse_uuid("customer", "users", customer)?),
    };
    let scope = scope(caller);
    let tokens = api.page_key.tokens().await?;
    let query = query(scope, customer);
    let below: Option<Uuid> = tokens.resume(&request.page_token, &query)?;
    // One more than asked for tells whether there is a next page.
    let page = Page { customer, below: below.unwrap_or(Uuid::max()), limit: i64::from(size) + 1 };
    let mut orders = api.reader.list(scope, page).await?;
    let next_page_token = tokens.cut(&mut orders, size, &query, |last| last.id);
    Ok(ListOrdersResponse { orders: orders.into_iter().map(convert::order).collect(), next_page_token })
}

/// What tells the query apart from all others.
fn query(scope: Scope, customer: Option<Uuid>) -> String {
    let seen = match scope {
        Scope::Own(user) => user.to_string(),
        Scope::All => String::new(),
    };
    let customer = customer.map_or_else(String::new, |customer| customer.to_string());
    page::fingerprint(&["ListOrders", &seen, &customer])
}
