//! A running notification with a database, a broker and callers of its own; the test plays the other services.

use flotilla_auth::Role;
use flotilla_clock::Ids;
use flotilla_messaging::Event;
use flotilla_notification::config::FeedSettings;
use flotilla_notification::{Notification, Settings};
use flotilla_proto::events::{Published, Stream, streams};
use flotilla_proto::identity::v1::UserCreated;
use flotilla_proto::notification::v1::notification_service_client::NotificationServiceClient;
use flotilla_proto::notification::v1::{ListDeliveriesRequest, StreamDeliveriesRequest, StreamDeliveriesResponse};
use flotilla_proto::orders::v1::OrderConfirmed;
use flotilla_proto::payments::v1::PaymentCharged;
use flotilla_rpc::Channel;
use flotilla_service::Service as _;
use flotilla_testkit::{
    Database, ServiceHarness, Stack, Streams, TestIdentity, assert_nothing_left, eventually, stack,
};
use tonic::Streaming;
use uuid::Uuid;

pub use flotilla_testkit::TIMEOUT;

/// Streams with the subject that notification reads.
const STREAMS: [Stream; 3] = [streams::ORDERS, streams::PAYMENTS, streams::IDENTITY];

pub struct World {
    pub service: ServiceHarness,
    pub database: Database,
    pub identity: TestIdentity,
    pub settings: Settings,
    pub ids: Ids,
    others: Streams,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(stack().await, adjust).await
    }

    pub async fn start_on(stack: &Stack, adjust: impl FnOnce(&mut Settings)) -> Self {
        let database = stack.database(Notification::NAME, Vec::new()).await;
        let identity = TestIdentity::start().await;
        let mut settings = Settings {
            common: flotilla_testkit::common_settings(&database, stack.nats_url()),
            calls: identity.call_settings(),
            flags: Default::default(),
            feed: FeedSettings::default(),
        };
        adjust(&mut settings);
        Notification::migrate(&settings).await.unwrap();
        let others = Streams::connect(&settings.common.nats.url).await;
        for stream in STREAMS {
            others.create(stream.name, stream.subjects).await;
        }
        let service = ServiceHarness::start::<Notification>(settings.clone()).await;
        Self { service, database, identity, settings, ids: Ids::system(), others }
    }

    pub fn customer(&self, user: Uuid) -> NotificationServiceClient<Channel> {
        let token = self.identity.token(user, Role::Customer);
        NotificationServiceClient::new(self.service.channel_as(&token))
    }

    /// An event of another service.
    pub fn event<M: prost::Message + Published>(&self, message: &M) -> Event {
        Event::new(self.ids.next(), message, 1, 1, self.ids.now())
    }

    pub fn confirmed(&self, customer: Uuid, order: Uuid) -> Event {
        self.event(&OrderConfirmed {
            order_id: order.to_string(),
            customer_id: customer.to_string(),
            total_minor: 1_234,
            currency_code: "USD".into(),
        })
    }

    pub fn charged(&self, customer: Uuid, order: Uuid) -> Event {
        self.event(&PaymentCharged {
            order_id: order.to_string(),
            customer_id: customer.to_string(),
            amount_minor: 1_234,
            currency_code: "USD".into(),
        })
    }

    pub fn signed_up(&self, customer: Uuid) -> Event {
        self.event(&UserCreated {
            user: format!("users/{customer}"),
            display_name: "Ada".into(),
            role: "ROLE_CUSTOMER".into(),
        })
    }

    /// Publishes events as the relays of their services do.
    pub async fn send(&self, events: &[Event]) {
        self.others.publish(events).await;
    }

    /// Sends events and waits until so many deliveries are recorded.
    pub async fn send_until(&self, events: &[Event], recorded: i64) {
        self.send(events).await;
        self.wait_for(recorded).await;
    }

    pub async fn wait_for(&self, recorded: i64) {
        eventually(&format!("{recorded} deliveries are recorded"), TIMEOUT, || async {
            let found: i64 = self.database.value("SELECT count(*) FROM deliveries", &[]).await;
            if found == recorded { Ok(()) } else { Err(format!("{found} are")) }
        })
        .await;
    }

    /// The texts of a customer's deliveries in their order.
    pub async fn texts(&self, customer: Uuid) -> Vec<String> {
        let request = ListDeliveriesRequest { page_size: 1_000, ..Default::default() };
        let page = self.customer(customer).list_deliveries(request).await.unwrap().into_inner();
        page.deliveries.into_iter().rev().map(|delivery| delivery.text).collect()
    }

    pub async fn listen(&self, customer: Uuid, resume_token: &str) -> Streaming<StreamDeliveriesResponse> {
        let request = StreamDeliveriesRequest { resume_token: resume_token.to_owned() };
        self.customer(customer).stream_deliveries(request).await.unwrap().into_inner()
    }

    /// Everything was published, acked and applied, and every customer's sequences have no gap.
    pub async fn finish(self) {
        let url = &self.settings.common.nats.url;
        assert_nothing_left(&[&self.database], url, &STREAMS.map(|stream| stream.name)).await;
        self.check_sequences().await;
        self.service.stop().await;
    }

    pub async fn check_sequences(&self) {
        let sql = "
            SELECT count(*) FROM (
                SELECT customer_id FROM deliveries GROUP BY customer_id
                HAVING min(sequence) <> 1 OR max(sequence) <> count(*)
            ) AS gaps";
        assert_eq!(self.database.value::<i64>(sql, &[]).await, 0, "sequences have gaps");
    }
}

/// The next so many responses of a feed.
pub async fn take(feed: &mut Streaming<StreamDeliveriesResponse>, count: usize) -> Vec<StreamDeliveriesResponse> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = tokio::time::timeout(TIMEOUT, feed.message()).await;
        taken.push(next.unwrap_or_else(|_| panic!("{} came of {count}", taken.len())).unwrap().unwrap());
    }
    taken
}

/// The sequences of responses.
pub fn sequences(responses: &[StreamDeliveriesResponse]) -> Vec<i64> {
    responses.iter().map(|response| response.delivery.as_ref().unwrap().sequence).collect()
}
