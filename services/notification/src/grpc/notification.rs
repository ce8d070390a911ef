//! `flotilla.notification.v1.NotificationService`.

use std::collections::VecDeque;

use flotilla_auth::Caller;
use flotilla_clock::Ids;
use flotilla_listing::page;
use flotilla_listing::{Field, Schema};
use flotilla_proto::notification::v1::notification_service_server::NotificationService;
use flotilla_proto::notification::v1::{
    GetPreferencesRequest, ListDeliveriesRequest, ListDeliveriesResponse, Preferences, StreamDeliveriesRequest,
    StreamDeliveriesResponse, SubscribeRequest, SubscribeResponse, UpdatePreferencesRequest,
};
use flotilla_rpc::{Deadline, caller, invalid};
use flotilla_service::PageKey;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::convert;
use super::live::Live;
use super::preferences;
use super::subscription::{Bounds, Subscription};
use crate::domain::resume::Position;
use crate::error::Error;
use crate::feed::Hub;
use crate::storage::{Feeds, PreferenceStore};

/// Default page size.
const PAGE: u32 = 50;
/// Maximum page size.
const MAX_PAGE: u32 = 1_000;

/// The fields that `ListDeliveries` filters and sorts by. A customer's sequences are ordered by time.
static DELIVERIES: Schema = Schema {
    key: Field::integer("sequence", "d.sequence").internal(),
    fields: &[
        Field::choice(
            "kind",
            "d.kind",
            "DELIVERY_KIND_",
            &[
                ("WELCOME", "welcome"),
                ("ORDER_CONFIRMED", "order_confirmed"),
                ("ORDER_REJECTED", "order_rejected"),
                ("ORDER_CANCELLED", "order_cancelled"),
                ("PAYMENT_CHARGED", "payment_charged"),
                ("PAYMENT_DECLINED", "payment_declined"),
                ("PAYMENT_REFUNDED", "payment_refunded"),
                ("ACCOUNT_TOPPED_UP", "account_topped_up"),
            ],
        ),
        Field::uuid_name("order", "d.order_id", "orders"),
        Field::timestamp("create_time", "d.created_at").sortable(),
    ],
    order: "sequence desc",
};

/// Deliveries over gRPC.
pub struct NotificationApi {
    feeds: Feeds,
    preferences: PreferenceStore,
    page_key: PageKey,
    hub: Hub,
    live_page: u32,
    ids: Ids,
}

impl NotificationApi {
    /// Creates the service with these feeds; live feeds read `live_page` deliveries at a time.
    #[must_use]
    pub fn new(
        feeds: Feeds,
        preferences: PreferenceStore,
        page_key: PageKey,
        hub: Hub,
        live_page: u32,
        ids: Ids,
    ) -> Self {
        Self { feeds, preferences, page_key, hub, live_page, ids }
    }

    /// How long a feed of this call may stay open.
    fn bounds<T>(&self, caller: Caller, request: &Request<T>) -> Bounds {
        let left = caller.expires.duration_since(self.ids.now()).unwrap_or_default();
        Bounds {
            expires: Instant::now() + left,
            deadline: request.extensions().get::<Deadline>().map(|deadline| deadline.0),
        }
    }
}

#[tonic::async_trait]
impl NotificationService for NotificationApi {
    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let user = caller(&request)?.user;
        let request = request.into_inner();
        let size = page::size(request.page_size, PAGE, MAX_PAGE)?;
        let listing = DELIVERIES.parse(&request.filter, &request.order_by)?;
        let tokens = self.page_key.tokens().await.map_err(Error::from)?;
        let page = listing.page(tokens, &["ListDeliveries", &user.to_string()], &request.page_token, size)?;
        let (found, next_page_token) = self.feeds.list(user, &page).await.map_err(Error::from)?;
        let deliveries = found.into_iter().map(convert::delivery).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token }))
    }

    type StreamDeliveriesStream = BoxStream<'static, Result<StreamDeliveriesResponse, Status>>;

    async fn stream_deliveries(
        &self,
        request: Request<StreamDeliveriesRequest>,
    ) -> Result<Response<Self::StreamDeliveriesStream>, Status> {
        let caller = caller(&request)?;
        let position = Position::parse(&request.get_ref().resume_token)
            .ok_or_else(|| invalid("resume_token", "is not a token of this feed"))?;
        let Bounds { expires, deadline } = self.bounds(caller, &request);
        let live = Live {
            feeds: self.feeds.clone(),
            listener: self.hub.listen(caller.user).map_err(Error::from)?,
            position,
            restarted: false,
            page: self.live_page,
            expires,
            deadline,
            ready: VecDeque::new(),
        };
        Ok(Response::new(live.into_stream().boxed()))
    }

    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = caller(&request)?;
        let listener = self.hub.listen(caller.user).map_err(Error::from)?;
        let bounds = self.bounds(caller, &request);
        let feed = Subscription::new(request.into_inner(), self.feeds.clone(), listener, self.live_page, bounds);
        Ok(Response::new(feed.into_stream().boxed()))
    }

    async fn get_preferences(&self, request: Request<GetPreferencesRequest>) -> Result<Response<Preferences>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(preferences::get(&self.preferences, caller, request.get_ref()).await?))
    }

    async fn update_preferences(
        &self,
        request: Request<UpdatePreferencesRequest>,
    ) -> Result<Response<Preferences>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(preferences::update(&self.preferences, caller, request.into_inner()).await?))
    }
}
