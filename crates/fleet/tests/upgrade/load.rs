//! A steady crowd: orders over gRPC and REST, some of them cancelled, some for a product that is a moment old; reads
//! over REST; and one live feed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use flotilla_fleet::command::workload;
use flotilla_money::{Amount, Currency};
use flotilla_workload::{
    client::{Api, Session},
    demo::{self, Baskets, Shop},
};
use http::Method;
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::interval,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::{
    feed::Feed,
    fleet::Fleet,
    rest::{self, Call},
    tally::Tally,
};

const BETWEEN_ORDERS: Duration = Duration::from_millis(50);
const BETWEEN_READS: Duration = Duration::from_millis(40);
/// Orders in flight at the most: a restart of the gateway holds up no more than these.
const IN_FLIGHT: usize = 64;
const SEED: u64 = 7;
const SHOP: demo::Options = demo::Options { products: 30, customers: 6, orders: 0, concurrency: 4, seed: Some(SEED) };

/// Who calls, whom, and what they saw.
pub struct Crowd {
    pub api: Api,
    operator: Session,
    pub shop: Shop,
    address: String,
    pub tally: Tally,
    last_order: Mutex<Option<(usize, String)>>,
}

/// The crowd at work.
pub struct Load {
    stop: CancellationToken,
    orders: JoinHandle<()>,
    reads: JoinHandle<()>,
}

impl Crowd {
    pub async fn gather(fleet: &Fleet) -> Arc<Self> {
        let api = Api::of(&workload::fleet(&fleet.home).unwrap()).unwrap();
        let operator = api.operator(&workload::fleet(&fleet.home).unwrap()).await.unwrap();
        let shop = Shop::open_unlimited(&api, &operator, &SHOP, SEED).await.unwrap();
        let address = fleet.state().member("gateway").unwrap().address.clone();
        let (tally, last_order) = (Tally::default(), Mutex::new(None));
        Arc::new(Self { api, operator, shop, address, tally, last_order })
    }

    /// The newest deliveries of a customer, over REST.
    pub async fn deliveries(&self, customer: usize) -> serde_json::Value {
        let call = Call::get("/v1/notifications?pageSize=200");
        let answer = rest::call(&self.address, self.shop.customer(customer), "rest read", call, &self.tally).await;
        answer.expect("deliveries can be read")
    }

    /// Pays into an account, of which only notification hears.
    pub async fn top_up(&self) {
        let amount = Amount { minor: 100, currency: Currency::parse("USD").unwrap() };
        let (customer, key) = (self.shop.customer(2).user_id(), format!("stir-{}", self.shop.stamp()));
        self.operator.top_up(customer, amount.into(), &key).await.unwrap();
    }

    /// Follows the first customer's feed.
    pub fn follow(self: &Arc<Self>) -> Feed {
        Feed::follow(self.api.clone(), Arc::clone(self), self.tally.clone())
    }

    /// Sends the crowd to work; numbers say which orders are its own.
    pub fn work(self: &Arc<Self>) -> Load {
        let stop = CancellationToken::new();
        let orders = tokio::spawn(Arc::clone(self).place(self.shop.stamp(), stop.clone()));
        let reads = tokio::spawn(Arc::clone(self).read(stop.clone()));
        Load { stop, orders, reads }
    }

    async fn place(self: Arc<Self>, shift: u64, stop: CancellationToken) {
        let mut baskets = Baskets::new(SHOP.products, SHOP.customers, SEED + shift);
        let mut pace = interval(BETWEEN_ORDERS);
        let room = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut orders = JoinSet::new();
        for number in usize::try_from(shift).unwrap() * 1_000_000.. {
            if stop.run_until_cancelled(pace.tick()).await.is_none() {
                break;
            }
            let (crowd, basket) = (Arc::clone(&self), baskets.next_basket());
            let place = Arc::clone(&room).acquire_owned().await.unwrap();
            orders.spawn(async move {
                crowd.one(number, basket).await;
                drop(place);
            });
            while let Some(order) = orders.try_join_next() {
                order.unwrap();
            }
        }
        while let Some(order) = orders.join_next().await {
            order.unwrap();
        }
    }

    async fn one(&self, number: usize, basket: demo::Basket) {
        let customer = basket.customer;
        match number % 20 {
            3 => self.newest_product(number).await,
            5 | 11 | 17 => self.place_by_rest(number).await,
            _ => {
                let began = Instant::now();
                match self.shop.place(number, basket).await {
                    Ok(name) => {
                        self.tally.answered("order", began.elapsed());
                        if number % 20 == 9 {
                            self.cancel(customer, &name).await;
                        }
                        *self.last_order.lock().unwrap_or_else(PoisonError::into_inner) = Some((customer, name));
                    }
                    Err(error) => self.tally.failed("order", format!("{error:#}")),
                }
            }
        }
    }

    /// An order of a product of which orders may not have heard yet: it asks inventory.
    async fn newest_product(&self, number: usize) {
        let id = format!("new-{number}");
        let price = Amount { minor: 250, currency: Currency::parse("USD").unwrap() };
        let began = Instant::now();
        let ordered = async {
            self.operator.create_product(&id, "Fresh", price.into()).await?;
            self.operator.adjust_stock(&id, 10, &format!("stock-{id}")).await?;
            self.shop.customer(number).place_order(vec![(id.clone(), 1)], &format!("order-{id}")).await
        };
        match ordered.await {
            Ok(_) => self.tally.answered("new product, stocked and ordered", began.elapsed()),
            Err(status) => self.tally.failed("new product, stocked and ordered", status),
        }
    }

    async fn cancel(&self, customer: usize, name: &str) {
        let began = Instant::now();
        match self.shop.customer(customer).cancel_order(name).await {
            Ok(_) => self.tally.answered("cancel", began.elapsed()),
            // It was quicker.
            Err(status) if status.code() == Code::FailedPrecondition => self.tally.answered("cancel", began.elapsed()),
            Err(status) => self.tally.failed("cancel", status),
        }
    }

    async fn place_by_rest(&self, number: usize) {
        let lines = self
            .shop
            .two_lines(number)
            .map(|(product, quantity)| json!({"product": format!("products/{product}"), "quantity": quantity}));
        let call = Call {
            method: Method::POST,
            path: "/v1/orders".to_owned(),
            key: Some(format!("rest-{number}")),
            body: Some(json!({"lines": lines})),
        };
        rest::call(&self.address, self.shop.customer(number), "rest order", call, &self.tally).await;
    }

    async fn read(self: Arc<Self>, stop: CancellationToken) {
        let mut pace = interval(BETWEEN_READS);
        for number in 0_usize.. {
            if stop.run_until_cancelled(pace.tick()).await.is_none() {
                break;
            }
            let last = self.last_order.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (customer, path) = match last {
                Some((customer, name)) if number % 2 == 0 => (customer, format!("/v1/{name}")),
                _ => (number, "/v1/notifications?pageSize=20".to_owned()),
            };
            rest::call(&self.address, self.shop.customer(customer), "rest read", Call::get(path), &self.tally).await;
        }
    }
}

impl Load {
    /// Ends it: everything that was begun is answered.
    pub async fn stop(self) {
        self.stop.cancel();
        self.orders.await.unwrap();
        self.reads.await.unwrap();
    }
}
