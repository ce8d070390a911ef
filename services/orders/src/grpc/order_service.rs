//! `OrderService`: place, get, list, cancel, watch.

use std::time::Duration;

use flotilla_auth::{Caller, Role};
use flotilla_config::Live;
use flotilla_postgres::GroupCommit;
use flotilla_proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, PlaceOrderRequest,
    WatchOrderRequest, WatchOrderResponse, order_service_server::OrderService,
};
use flotilla_rpc::{Deadline, RateLimiter, caller, name};
use flotilla_service::PageKey;
use futures::stream::BoxStream;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{convert, list, place, watch};
use crate::{
    catalogue::Catalogue,
    domain::order,
    error::Error,
    metrics::Metrics,
    placing::Placement,
    saga::Canceller,
    storage::orders::{Reader, Scope},
    switches::Switches,
    watches::Watches,
};

/// How long a change is retried if the call has no deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service.
pub struct OrderApi {
    /// Reads orders.
    pub reader: Reader,
    /// Prices baskets.
    pub catalogue: Arc<Catalogue>,
    /// Accepts orders.
    pub placing: GroupCommit<Placement, order::Order, Error>,
    /// Maximum number of lines of an order.
    pub max_lines: Live<usize>,
    /// Rate limit for each customer.
    pub customers: RateLimiter<Uuid>,
    /// Cancels orders.
    pub canceller: Canceller,
    /// Wakes streams of orders.
    pub watches: Watches,
    /// Signs page tokens.
    pub page_key: PageKey,
    /// The feature flags.
    pub switches: Switches,
    /// The metrics.
    pub metrics: Metrics,
}

/// The orders that a caller may see.
pub(super) fn scope(caller: &Caller) -> Scope {
    match caller.role {
        Role::Customer => Scope::Own(caller.user),
        Role::Operator => Scope::All,
    }
}

/// Parses the id in an order's resource name.
pub(super) fn order_id(value: &str) -> Result<Uuid, Error> {
    Ok(name::parse_uuid("name", "orders", value)?)
}

impl OrderApi {
    /// Reads an order that the caller may see.
    pub(super) async fn find(&self, scope: Scope, id: Uuid) -> Result<crate::domain::order::Order, Error> {
        self.reader.get(scope, id).await?.ok_or(Error::NotFound(id))
    }
}

#[tonic::async_trait]
impl OrderService for OrderApi {
    type WatchOrderStream = BoxStream<'static, Result<WatchOrderResponse, Status>>;

    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = caller(&request)?;
        let order = place::place(self, caller.user, request.get_ref()).await?;
        Ok(Response::new(convert::order(order)))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = caller(&request)?;
        let id = order_id(&request.get_ref().name)?;
        Ok(Response::new(convert::order(self.find(scope(&caller), id).await?)))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(list::list(self, &caller, request.get_ref()).await?))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = caller(&request)?;
        let CancelOrderRequest { name, etag } = request.get_ref();
        let patience = Deadline::at_most(PATIENCE);
        let order = self.canceller.cancel(caller, order_id(name)?, etag, patience).await?;
        Ok(Response::new(convert::order(order)))
    }

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(watch::watch(self, &caller, request.get_ref()).await?))
    }
}
