//! A running orders with a database, a broker, a catalogue and callers of its own; the test plays the participants.

use flotilla_auth::Role;
use flotilla_clock::Ids;
use flotilla_config::HumanDuration;
use flotilla_orders::config::{CatalogueSettings, PlacingSettings, SagaSettings, WatchSettings};
use flotilla_orders::{Orders, Settings};
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, Order, OrderState, PlaceOrderLine, PlaceOrderRequest,
};
use flotilla_rpc::Channel;
use flotilla_service::Service as _;
use flotilla_testkit::{Database, ServiceHarness, Stack, TestIdentity, assert_nothing_left, eventually, stack};
use tonic::Status;
use uuid::Uuid;

pub use flotilla_testkit::TIMEOUT;

use crate::catalogue::TestCatalogue;
use crate::participants::Participants;

pub type Client = OrderServiceClient<Channel>;

pub struct World {
    pub service: ServiceHarness,
    pub database: Database,
    pub identity: TestIdentity,
    pub catalogue: TestCatalogue,
    pub others: Participants,
    pub settings: Settings,
    pub ids: Ids,
    pub customer: Uuid,
    token: String,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(stack().await, adjust).await
    }

    /// Without an own wish no step is sent again while a test runs.
    pub async fn start_on(stack: &Stack, adjust: impl FnOnce(&mut Settings)) -> Self {
        let database = stack.database(Orders::NAME, Vec::new()).await;
        let identity = TestIdentity::start().await;
        let catalogue = TestCatalogue::start().await;
        let hour = HumanDuration::from_secs(3_600);
        let mut settings = Settings {
            common: flotilla_testkit::common_settings(&database, stack.nats_url()),
            calls: identity.call_settings(),
            flags: Default::default(),
            catalogue: CatalogueSettings {
                inventory_url: catalogue.url.clone(),
                lookup_timeout: HumanDuration(TIMEOUT),
                ..CatalogueSettings::default()
            },
            placing: PlacingSettings { per_customer: 0.into(), ..PlacingSettings::default() },
            saga: SagaSettings { backoff: hour.into(), backoff_max: hour.into(), ..SagaSettings::default() },
            watch: WatchSettings::default(),
        };
        // In most tests one customer places all orders, many at once.
        settings.common.process.grpc.max_calls_per_user = 0;
        adjust(&mut settings);
        Orders::migrate(&settings).await.unwrap();
        let others = Participants::start(&settings.common.nats.url).await;
        let service = ServiceHarness::start::<Orders>(settings.clone()).await;
        others.listen().await;
        for (id, minor, currency) in
            [("apple", 25, "USD"), ("pear", 100, "USD"), ("tea", 300, "GBP"), ("gold", i64::MAX, "USD")]
        {
            catalogue.put(id, minor, currency);
        }
        let ids = Ids::system();
        let customer = ids.next();
        let token = identity.token(customer, Role::Customer);
        Self { service, database, identity, catalogue, others, settings, ids, customer, token }
    }

    /// Another replica of the service.
    pub async fn replica(&self) -> ServiceHarness {
        ServiceHarness::start::<Orders>(self.settings.clone()).await
    }

    pub fn client(&self) -> Client {
        OrderServiceClient::new(self.service.channel_as(&self.token))
    }

    pub fn client_as(&self, user: Uuid, role: Role) -> Client {
        self.client_of(&self.service, user, role)
    }

    pub fn client_of(&self, service: &ServiceHarness, user: Uuid, role: Role) -> Client {
        OrderServiceClient::new(service.channel_as(&self.identity.token(user, role)))
    }

    /// Places an order under a key.
    pub async fn place(&self, key: &str, lines: &[(&str, i64)]) -> Result<Order, Status> {
        self.client().place_order(request(key, lines)).await.map(tonic::Response::into_inner)
    }

    /// Places an order of two apples under a key of its own.
    pub async fn order(&self) -> Uuid {
        id_of(&self.place(&self.ids.next().to_string(), &[("apple", 2)]).await.unwrap())
    }

    pub async fn get(&self, order: Uuid) -> Order {
        let request = GetOrderRequest { name: name_of(order) };
        self.client().get_order(request).await.unwrap().into_inner()
    }

    pub async fn cancel(&self, order: Uuid) -> Result<Order, Status> {
        self.cancel_version(order, "").await
    }

    pub async fn cancel_version(&self, order: Uuid, etag: &str) -> Result<Order, Status> {
        let request = CancelOrderRequest { name: name_of(order), etag: etag.to_owned() };
        self.client().cancel_order(request).await.map(tonic::Response::into_inner)
    }

    /// Waits until an order is in a state.
    pub async fn until(&self, order: Uuid, state: OrderState) -> Order {
        eventually(&format!("{order} {}", state.as_str_name()), TIMEOUT, || async {
            let found = self.get(order).await;
            if found.state() == state { Ok(found) } else { Err(found.state().as_str_name()) }
        })
        .await
    }

    /// Leads an order to its charge.
    pub async fn charging(&self) -> Uuid {
        let order = self.order().await;
        self.others.wait_for(order, "ReserveStock").await;
        self.others.publish(&[self.others.reserved(order)]).await;
        self.others.wait_for(order, "ChargePayment").await;
        order
    }

    /// Leads an order to its confirmation.
    pub async fn confirmed(&self) -> Uuid {
        let order = self.charging().await;
        self.others.publish(&[self.others.charged(order)]).await;
        self.until(order, OrderState::Confirmed).await;
        order
    }

    pub async fn count(&self, table: &str) -> i64 {
        self.database.value(&format!("SELECT count(*) FROM {table}"), &[]).await
    }

    /// Nothing has been written of any order.
    pub async fn assert_nothing_written(&self) {
        for table in ["orders", "order_lines", "sagas", "saga_journal", "outbox"] {
            assert_eq!(self.count(table).await, 0, "{table}");
        }
    }

    /// Checks that no work is left undone and stops the service.
    pub async fn stop(self) {
        assert_nothing_left(&[&self.database], &self.settings.common.nats.url, &["INVENTORY", "PAYMENTS"]).await;
        self.service.stop().await;
    }
}

pub fn request(key: &str, lines: &[(&str, i64)]) -> PlaceOrderRequest {
    let line = |(id, quantity): &(&str, i64)| PlaceOrderLine { product: format!("products/{id}"), quantity: *quantity };
    PlaceOrderRequest { lines: lines.iter().map(line).collect(), expected_total: None, request_id: key.to_owned() }
}

pub fn name_of(order: Uuid) -> String {
    format!("orders/{order}")
}

pub fn id_of(order: &Order) -> Uuid {
    order.name.strip_prefix("orders/").unwrap().parse().unwrap()
}
