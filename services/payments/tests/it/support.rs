//! A running payments between peers that stand for orders and identity, and clients in every role.

use flotilla_auth::Role;
use flotilla_clock::Ids;
use flotilla_messaging::{Event, StreamSpec};
use flotilla_payments::{Payments, Settings};
use flotilla_proto::{
    events::streams,
    google::r#type::Money,
    identity::v1::{UserCreated, UserDeleted},
    payments::v1::{
        Account, ChargePayment, GetAccountRequest, PaymentCharged, PaymentDecline, PaymentDeclined, PaymentRefunded,
        RefundPayment, TopUpAccountRequest, payment_service_client::PaymentServiceClient,
    },
};
use flotilla_rpc::Channel;
use flotilla_testkit::{Database, ServiceHarness, TestIdentity, assert_nothing_left, eventually, stack};
use tonic::Status;
use uuid::Uuid;

pub use flotilla_testkit::TIMEOUT;

use crate::peer::Peer;

/// One payments on a database and streams of its own.
pub struct World {
    pub database: Database,
    pub service: ServiceHarness,
    pub orders: Peer,
    pub identity: Peer,
    pub tokens: TestIdentity,
    pub nats: String,
}

impl World {
    pub async fn start() -> Self {
        let database = stack().await.database("payments", flotilla_payments::migrations()).await;
        let nats = stack().await.nats_url();
        let tokens = TestIdentity::start().await;
        let service = ServiceHarness::start::<Payments>(settings(&database, &nats, &tokens)).await;
        let orders = Peer::start("orders", StreamSpec::of(&streams::ORDERS), "orders-payments", &nats).await;
        let identity =
            Peer::start("identity", StreamSpec::of(&streams::IDENTITY), "notification-payments", &nats).await;
        Self { database, service, orders, identity, tokens, nats }
    }

    pub fn operator(&self) -> PaymentServiceClient<Channel> {
        self.client(Uuid::max(), Role::Operator)
    }

    pub fn customer(&self, user: Uuid) -> PaymentServiceClient<Channel> {
        self.client(user, Role::Customer)
    }

    fn client(&self, user: Uuid, role: Role) -> PaymentServiceClient<Channel> {
        PaymentServiceClient::new(self.service.channel_as(&self.tokens.token(user, role)))
    }

    /// A user whose account is open, with a balance in cents.
    pub async fn account(&self, balance: i64) -> Uuid {
        let user = self.identity.ids.next();
        self.identity.send(&[user_created(&self.identity.ids, user)]).await;
        if balance > 0 {
            self.top_up(user, balance, "opening").await.unwrap();
        } else {
            self.customer(user).get_account(get(user)).await.unwrap();
        }
        user
    }

    pub async fn top_up(&self, user: Uuid, cents: i64, request_id: &str) -> Result<Account, Status> {
        let request = TopUpAccountRequest {
            name: format!("accounts/{user}"),
            amount: Some(usd(cents)),
            request_id: request_id.into(),
        };
        self.operator().top_up_account(request).await.map(tonic::Response::into_inner)
    }

    /// The balance in cents, as the customer sees it.
    pub async fn balance(&self, user: Uuid) -> i64 {
        let account = self.customer(user).get_account(get(user)).await.unwrap().into_inner();
        let balance = account.balance.unwrap();
        assert_eq!(balance.currency_code, "USD");
        balance.units * 100 + i64::from(balance.nanos) / 10_000_000
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.database.value(sql, &[]).await
    }

    pub async fn counts(&self, sql: &str, expected: i64) {
        eventually(sql, TIMEOUT, || async {
            let count = self.count(sql).await;
            if count == expected { Ok(()) } else { Err(format!("{count} instead of {expected}")) }
        })
        .await;
    }

    /// The ledger's own sums: each transfer's postings to zero, each balance as posted and not negative.
    pub async fn books_balance(&self) {
        let unbalanced =
            "SELECT count(*) FROM (SELECT FROM postings GROUP BY transfer_id HAVING sum(amount_minor) <> 0) t";
        assert_eq!(self.count(unbalanced).await, 0);
        let orphans = "SELECT count(*) FROM transfers t
            WHERE (SELECT count(*) FROM postings p WHERE p.transfer_id = t.id) <> 2";
        assert_eq!(self.count(orphans).await, 0);
        let astray = "SELECT count(*) FROM accounts a WHERE balance_minor < 0 OR balance_minor <>
            coalesce((SELECT sum(amount_minor) FROM postings p WHERE p.customer_id = a.customer_id), 0)";
        assert_eq!(self.count(astray).await, 0);
    }

    /// Stops the service; fails if the books don't balance or anything is left undone.
    pub async fn finish(self) {
        self.books_balance().await;
        let databases = [&self.orders.database, &self.identity.database, &self.database];
        assert_nothing_left(&databases, &self.nats, &["ORDERS", "IDENTITY", "PAYMENTS"]).await;
        self.service.stop().await;
    }
}

pub fn settings(database: &Database, nats: &str, tokens: &TestIdentity) -> Settings {
    Settings {
        common: flotilla_testkit::common_settings(database, nats),
        calls: tokens.call_settings(),
        currency: "USD".to_owned(),
    }
}

pub fn usd(cents: i64) -> Money {
    let nanos = i32::try_from(cents % 100).unwrap() * 10_000_000;
    Money { currency_code: "USD".into(), units: cents / 100, nanos }
}

pub fn get(user: Uuid) -> GetAccountRequest {
    GetAccountRequest { name: format!("accounts/{user}") }
}

pub fn user_created(ids: &Ids, user: Uuid) -> Event {
    let message = UserCreated { user: format!("users/{user}"), display_name: "Ann".into(), role: "customer".into() };
    Event::new(ids.next(), &message, user, 1, ids.now())
}

pub fn user_deleted(ids: &Ids, user: Uuid) -> Event {
    let message = UserDeleted { user: format!("users/{user}") };
    Event::new(ids.next(), &message, user, 2, ids.now())
}

pub fn charge(ids: &Ids, order: Uuid, customer: Uuid, cents: i64) -> Event {
    charge_in(ids, order, customer, cents, "USD")
}

pub fn charge_in(ids: &Ids, order: Uuid, customer: Uuid, minor: i64, currency: &str) -> Event {
    let message = ChargePayment {
        order_id: order.to_string(),
        customer_id: customer.to_string(),
        amount_minor: minor,
        currency_code: currency.into(),
    };
    Event::new(ids.next(), &message, order, 1, ids.now())
}

pub fn refund(ids: &Ids, order: Uuid, customer: Uuid) -> Event {
    let message = RefundPayment { order_id: order.to_string(), customer_id: customer.to_string() };
    Event::new(ids.next(), &message, order, 1, ids.now())
}

/// A reply, in short.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Charged(i64),
    Declined(PaymentDecline),
    Refunded(Option<i64>),
}

pub fn read_reply(reply: &Event) -> Reply {
    if reply.is::<PaymentCharged>() {
        Reply::Charged(reply.decode::<PaymentCharged>().unwrap().amount_minor)
    } else if reply.is::<PaymentDeclined>() {
        Reply::Declined(reply.decode::<PaymentDeclined>().unwrap().decline())
    } else {
        let refunded: PaymentRefunded = reply.decode().unwrap();
        Reply::Refunded(refunded.charged.then_some(refunded.amount_minor))
    }
}
