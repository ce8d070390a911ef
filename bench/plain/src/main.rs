//! The fleet's job done the plain way, as tutorials do it: one message and one transaction at a time. Accepts orders of two
//! lines, reserves their stock, charges them, confirms them and writes a notice, by five loops over the same PostgreSQL and
//! JetStream. `make bench-plain` runs it beside the fleet.
//!
//! Each step commits and then publishes, so a crash in between loses a message: a program that lost nothing would need an
//! outbox as well, and be slower.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use async_nats::{
    ConnectOptions,
    jetstream::{self, consumer::pull, stream},
};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls, Statement};
use uuid::Uuid;

const SCHEMA: &str = include_str!("../schema.sql");
const DATABASE: &str = "flotilla_plain";
const STREAM: &str = "PLAIN";
/// Orders being accepted at once.
const CALLERS: usize = 32;
/// Loops of each consumer.
const CONSUMERS: usize = 4;
const PRODUCTS: i32 = 1_000;
const CUSTOMERS: u128 = 1_000;

/// What the steps tell each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Event {
    id: Uuid,
    order: Uuid,
    customer: Uuid,
    total_minor: i64,
    lines: Vec<(i32, i64)>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let seconds: u64 =
        env::args().nth(1).map_or(Ok(10), |text| text.parse()).context("usage: bench-plain [SECONDS]")?;
    let database = env::var("FLOTILLA_ORDERS_DATABASE_URL").context("source the fleet's env file first")?;
    let nats = env::var("FLOTILLA_NATS_URL").context("source the fleet's env file first")?;
    let database = prepare(&database).await?;
    let jetstream = jetstream::new(log_in(&nats).await?);
    let _ = jetstream.delete_stream(STREAM).await;
    let subjects = vec!["plain.>".to_owned()];
    jetstream.create_stream(stream::Config { name: STREAM.to_owned(), subjects, ..stream::Config::default() }).await?;

    let settled = Arc::new(AtomicU64::new(0));
    let mut consumers = JoinSet::new();
    for _ in 0..CONSUMERS {
        for step in [Step::Reserve, Step::Charge, Step::Confirm, Step::Notify] {
            let (client, jetstream, settled) = (connect(&database).await?, jetstream.clone(), Arc::clone(&settled));
            consumers.spawn(async move { step.run(client, jetstream, &settled).await });
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, jetstream, stop) = (connect(&database).await?, jetstream.clone(), Arc::clone(&stop));
        callers.spawn(async move { accept(client, jetstream, &stop).await });
    }
    // The first seconds fill the pipeline.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (began, before) = (Instant::now(), settled.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let orders = settled.load(Ordering::Relaxed) - before;
    println!("plain: {:.0} orders settled/s", orders as f64 / began.elapsed().as_secs_f64());
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    consumers.shutdown().await;
    jetstream.delete_stream(STREAM).await?;
    Ok(())
}

/// Connects to the broker with the name and the password in its URL.
async fn log_in(url: &str) -> Result<async_nats::Client> {
    let address: async_nats::ServerAddr = url.parse()?;
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        _ => ConnectOptions::new(),
    };
    Ok(options.connect(address).await?)
}

/// Creates the database with stock and money for everybody.
async fn prepare(url: &str) -> Result<Config> {
    let mut config: Config = url.parse()?;
    let admin = connect(&config).await?;
    let there = admin.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
    if there.is_none() {
        admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    }
    config.dbname(DATABASE);
    let client = connect(&config).await?;
    client.batch_execute(SCHEMA).await?;
    let stock = "INSERT INTO stock SELECT product, 1000000000 FROM generate_series(1, $1) AS product";
    client.execute(stock, &[&PRODUCTS]).await?;
    for customer in 1..=CUSTOMERS {
        client.execute("INSERT INTO accounts VALUES ($1, 1000000000000)", &[&Uuid::from_u128(customer)]).await?;
    }
    Ok(config)
}

async fn connect(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn publish(jetstream: &jetstream::Context, step: &str, event: &Event) -> Result<()> {
    jetstream.publish(format!("plain.{step}"), serde_json::to_vec(event)?.into()).await?.await?;
    Ok(())
}

/// Accepts orders one after the other until `stop`.
async fn accept(mut client: Client, jetstream: jetstream::Context, stop: &AtomicBool) -> Result<()> {
    let order =
        client.prepare("INSERT INTO orders (id, customer_id, state, total_minor) VALUES ($1, $2, 'reserving', $3)");
    let order = order.await?;
    let line = client.prepare("INSERT INTO order_lines VALUES ($1, $2, $3)").await?;
    while !stop.load(Ordering::Relaxed) {
        let id = Uuid::now_v7();
        let random = id.as_u128();
        let product = i32::try_from(random % 500).unwrap_or_default() + 1;
        let customer = Uuid::from_u128(random % CUSTOMERS + 1);
        let event = Event {
            id: Uuid::now_v7(),
            order: id,
            customer,
            total_minor: 4_200,
            lines: vec![(product, 1), (product + 500, 2)],
        };
        let tx = client.transaction().await?;
        tx.execute(&order, &[&id, &customer, &event.total_minor]).await?;
        for (product, quantity) in &event.lines {
            tx.execute(&line, &[&id, product, quantity]).await?;
        }
        tx.commit().await?;
        publish(&jetstream, "placed", &event).await?;
    }
    Ok(())
}

/// What is done to an order by one consumer.
#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve,
    Charge,
    Confirm,
    Notify,
}

impl Step {
    /// What it consumes, and what it publishes.
    fn subjects(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Reserve => ("placed", Some("reserved")),
            Self::Charge => ("reserved", Some("charged")),
            Self::Confirm => ("charged", Some("confirmed")),
            Self::Notify => ("confirmed", None),
        }
    }

    /// Its statements, prepared once for each connection.
    fn statements(self) -> &'static [&'static str] {
        match self {
            Self::Reserve => &[
                "INSERT INTO reservations VALUES ($1, 'held')",
                "UPDATE stock SET reserved = reserved + $2 WHERE product_id = $1",
                "INSERT INTO reservation_lines VALUES ($1, $2, $3)",
            ],
            Self::Charge => &[
                "UPDATE accounts SET balance_minor = balance_minor - $2 WHERE customer_id = $1",
                "INSERT INTO charges VALUES ($1, $2, $3)",
                "INSERT INTO postings VALUES ($1, $2, $3)",
            ],
            Self::Confirm => &[
                "UPDATE orders SET state = 'confirmed', ended_at = now() WHERE id = $1",
                "UPDATE reservations SET state = 'committed' WHERE order_id = $1",
                "UPDATE stock SET on_hand = on_hand - $2, reserved = reserved - $2 WHERE product_id = $1",
            ],
            Self::Notify => {
                &["INSERT INTO notices (event_id, customer_id, body) VALUES ($1, $2, 'Your order is confirmed.')"]
            }
        }
    }

    /// Consumes messages one after the other for ever.
    async fn run(self, mut client: Client, jetstream: jetstream::Context, settled: &AtomicU64) -> Result<()> {
        let (consumed, published) = self.subjects();
        let config = pull::Config {
            durable_name: Some(format!("plain-{consumed}")),
            filter_subject: format!("plain.{consumed}"),
            ..pull::Config::default()
        };
        let consumer = jetstream.create_consumer_on_stream(config, STREAM).await?;
        let mut messages = consumer.messages().await?;
        let mut prepared = vec![client.prepare("INSERT INTO inbox VALUES ($1, $2) ON CONFLICT DO NOTHING").await?];
        for sql in self.statements() {
            prepared.push(client.prepare(sql).await?);
        }
        while let Some(message) = messages.next().await {
            let message = message?;
            let event: Event = serde_json::from_slice(&message.payload)?;
            self.apply(&mut client, &prepared, &event).await?;
            if let Some(published) = published {
                publish(&jetstream, published, &Event { id: Uuid::now_v7(), ..event }).await?;
            }
            message.ack().await.map_err(anyhow::Error::from_boxed)?;
            if matches!(self, Self::Confirm) {
                settled.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// One transaction: nothing if the event was applied before.
    async fn apply(self, client: &mut Client, prepared: &[Statement], event: &Event) -> Result<()> {
        let tx = client.transaction().await?;
        let (consumer, _) = self.subjects();
        let (seen, sql) = prepared.split_first().context("no statements")?;
        if tx.execute(seen, &[&consumer, &event.id]).await? == 0 {
            return Ok(());
        }
        let Event { order, customer, total_minor, lines, .. } = event;
        match self {
            Self::Reserve => {
                tx.execute(&sql[0], &[order]).await?;
                for (product, quantity) in lines {
                    tx.execute(&sql[1], &[product, quantity]).await?;
                    tx.execute(&sql[2], &[order, product, quantity]).await?;
                }
            }
            Self::Charge => {
                tx.execute(&sql[0], &[customer, total_minor]).await?;
                tx.execute(&sql[1], &[order, customer, total_minor]).await?;
                for (account, amount) in [("customer", -total_minor), ("sales", *total_minor)] {
                    tx.execute(&sql[2], &[order, &account, &amount]).await?;
                }
            }
            Self::Confirm => {
                tx.execute(&sql[0], &[order]).await?;
                tx.execute(&sql[1], &[order]).await?;
                for (product, quantity) in lines {
                    tx.execute(&sql[2], &[product, quantity]).await?;
                }
            }
            Self::Notify => drop(tx.execute(&sql[0], &[&event.id, customer]).await?),
        }
        tx.commit().await?;
        Ok(())
    }
}
