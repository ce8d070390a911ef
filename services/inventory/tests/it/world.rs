//! A running inventory with a database, a broker and callers of its own; the test plays orders.

use flotilla_auth::Role;
use flotilla_clock::Ids;
use flotilla_inventory::config::HoldSettings;
use flotilla_inventory::{Inventory, Settings};
use flotilla_messaging::Event;
use flotilla_proto::events::{Published, streams};
use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::inventory::v1::{
    AdjustStockRequest, CommitStock, CreateProductRequest, Product, ReleaseStock, ReserveStock, Stock, StockLine,
    UpdateProductRequest,
};
use flotilla_rpc::Channel;
use flotilla_service::Service as _;
use flotilla_testkit::{
    Database, ServiceHarness, Stack, Streams, TestIdentity, assert_nothing_left, assert_outbox_published, eventually,
    stack,
};
use tonic::Status;
use uuid::Uuid;

pub use flotilla_testkit::TIMEOUT;

pub struct World {
    pub service: ServiceHarness,
    pub database: Database,
    pub identity: TestIdentity,
    pub settings: Settings,
    pub ids: Ids,
    pub operator: Uuid,
    orders: Streams,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(stack().await, adjust).await
    }

    /// On servers that the test may stop.
    pub async fn start_on(stack: &Stack, adjust: impl FnOnce(&mut Settings)) -> Self {
        let database = stack.database(Inventory::NAME, Vec::new()).await;
        let identity = TestIdentity::start().await;
        let mut settings = Settings {
            common: flotilla_testkit::common_settings(&database, stack.nats_url()),
            calls: identity.call_settings(),
            hold: HoldSettings::default(),
            imports: Default::default(),
            prices: Default::default(),
            cache: Default::default(),
        };
        adjust(&mut settings);
        Inventory::migrate(&settings).await.unwrap();
        let orders = Streams::connect(&settings.common.nats.url).await;
        orders.create(streams::ORDERS.name, streams::ORDERS.subjects).await;
        let service = ServiceHarness::start::<Inventory>(settings.clone()).await;
        let ids = Ids::system();
        let operator = ids.next();
        Self { service, database, identity, settings, ids, operator, orders }
    }

    pub fn as_operator(&self) -> Channel {
        self.service.channel_as(&self.identity.token(self.operator, Role::Operator))
    }

    pub fn catalogue(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.as_operator())
    }

    /// Whoever has no token.
    pub fn public(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.service.channel())
    }

    /// Sets a product's price, in cents.
    pub async fn set_price(&self, id: &str, cents: i32) {
        let price = Some(usd(i64::from(cents / 100), cents % 100));
        let product = Product { name: format!("products/{id}"), price, ..Product::default() };
        self.catalogue()
            .update_product(UpdateProductRequest { product: Some(product), update_mask: None })
            .await
            .unwrap();
    }

    pub fn stock_client(&self) -> StockServiceClient<Channel> {
        StockServiceClient::new(self.as_operator())
    }

    /// Adds a product with that many units.
    pub async fn product(&self, id: &str, units: i64) {
        self.catalogue().create_product(create(id, 100)).await.unwrap();
        if units > 0 {
            self.adjust(id, units, &format!("first {id}")).await.unwrap();
        }
    }

    pub async fn adjust(&self, product: &str, delta: i64, request_id: &str) -> Result<Stock, Status> {
        let request = AdjustStockRequest {
            product: format!("products/{product}"),
            delta,
            reason: "test".to_owned(),
            request_id: request_id.to_owned(),
        };
        self.stock_client().adjust_stock(request).await.map(tonic::Response::into_inner)
    }

    /// On hand and reserved.
    pub async fn level(&self, product: &str) -> (i64, i64) {
        let sql = "SELECT on_hand, reserved FROM stock WHERE product_id = $1";
        let rows = self.database.query(sql, &[&product]).await;
        (rows[0].get(0), rows[0].get(1))
    }

    pub async fn state(&self, order: Uuid) -> String {
        self.database.value("SELECT state FROM reservations WHERE order_id = $1", &[&order]).await
    }

    pub fn reserve(&self, order: Uuid, lines: &[(&str, i64)]) -> Event {
        let lines = lines
            .iter()
            .map(|(product, quantity)| StockLine { product_id: (*product).to_owned(), quantity: *quantity });
        self.command(order, &ReserveStock { order_id: order.to_string(), lines: lines.collect() })
    }

    pub fn release(&self, order: Uuid) -> Event {
        self.command(order, &ReleaseStock { order_id: order.to_string() })
    }

    pub fn commit(&self, order: Uuid) -> Event {
        self.command(order, &CommitStock { order_id: order.to_string() })
    }

    pub fn command<M: prost::Message + Published>(&self, order: Uuid, message: &M) -> Event {
        self.event(order, 0, message)
    }

    pub fn event<M: prost::Message + Published>(
        &self,
        key: impl std::fmt::Display,
        version: i64,
        message: &M,
    ) -> Event {
        Event::new(self.ids.next(), message, key, version, self.ids.now())
    }

    /// Publishes commands as the relay of orders does.
    pub async fn send(&self, commands: &[Event]) {
        self.orders.publish(commands).await;
    }

    /// Every event of this type that inventory has published, in the order of the outbox.
    pub async fn published<M: prost::Name>(&self) -> Vec<Event> {
        self.database.outbox_of::<M>().await
    }

    /// Every reply to a command, repeats included.
    pub async fn answers(&self, command: &Event) -> Vec<Event> {
        let all = self.database.outbox().await.into_iter();
        all.filter(|event| event.causation_id == Some(command.id)).collect()
    }

    /// Sends a command and waits for its answer.
    pub async fn ask<M: prost::Message + prost::Name + Default>(&self, command: &Event) -> M {
        self.send(std::slice::from_ref(command)).await;
        let answer =
            eventually("an answer", TIMEOUT, || async { self.answers(command).await.into_iter().next() }).await;
        assert!(answer.is::<M>(), "{} came instead", answer.kind);
        answer.decode().unwrap()
    }

    pub async fn wait_for_state(&self, order: Uuid, state: &str) {
        let sql = "SELECT count(*) FROM reservations WHERE order_id = $1 AND state = $2";
        eventually(&format!("the reservation is {state}"), TIMEOUT, || async {
            self.database.value::<i64>(sql, &[&order, &state]).await == 1
        })
        .await;
    }

    /// Everything was published, acked and applied, and the books balance.
    pub async fn finish(self) {
        assert_nothing_left(&[&self.database], &self.settings.common.nats.url, &["ORDERS", "INVENTORY"]).await;
        self.check_books().await;
        self.service.stop().await;
    }

    /// As [`finish`](Self::finish) where something was meant to be parked.
    pub async fn finish_with_parked(self, count: i64) {
        assert_outbox_published(&self.database).await;
        assert_eq!(self.database.value::<i64>("SELECT count(*) FROM parked", &[]).await, count);
        self.check_books().await;
        self.service.stop().await;
    }

    async fn check_books(&self) {
        let sql = "
            WITH line AS (
                SELECT l.product_id, r.state, l.quantity
                FROM reservation_lines l JOIN reservations r USING (order_id)
            )
            SELECT product_id FROM stock s
            WHERE reserved <> (SELECT coalesce(sum(quantity), 0) FROM line l
                               WHERE l.product_id = s.product_id AND state = 'held')
               OR on_hand + (SELECT coalesce(sum(quantity), 0) FROM line l
                             WHERE l.product_id = s.product_id AND state = 'committed')
                  <> (SELECT coalesce(sum(delta), 0) FROM stock_adjustments a WHERE a.product_id = s.product_id)";
        let broken: Vec<String> = self.database.query(sql, &[]).await.iter().map(|row| row.get(0)).collect();
        assert!(broken.is_empty(), "the books of {broken:?} don't balance");
    }
}

pub fn usd(units: i64, cents: i32) -> Money {
    Money { currency_code: "USD".to_owned(), units, nanos: cents * 10_000_000 }
}

/// A request for a product that costs so many cents.
pub fn create(id: &str, cents: i32) -> CreateProductRequest {
    CreateProductRequest {
        product: Some(Product {
            display_name: format!("The {id}"),
            price: Some(usd(i64::from(cents / 100), cents % 100)),
            ..Product::default()
        }),
        product_id: id.to_owned(),
    }
}
