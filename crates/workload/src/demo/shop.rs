//! The shop of a demo: its catalogue, its stock and its customers.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use flotilla_money::{Amount, Currency};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{Options, basket::Basket};
use crate::client::{Api, Session};

/// Calls in flight while the shop is created.
const CONCURRENCY: usize = 16;
/// Sign-ups in flight: password hashing is slow on purpose.
const SIGN_UPS: usize = 4;
/// One in this many customers has little money.
const POOR: usize = 5;
/// One in this many products is scarce.
const SCARCE: usize = 8;

const KINDS: [&str; 12] = [
    "Lantern",
    "Compass",
    "Rope",
    "Sextant",
    "Anchor",
    "Oilskin",
    "Kettle",
    "Chart",
    "Telescope",
    "Hammock",
    "Barometer",
    "Biscuit",
];
const MANNERS: [&str; 10] =
    ["Brass", "Small", "Heavy", "Old", "Folding", "Blue", "Storm", "Captain's", "Harbour", "Northern"];

/// How much stock and money there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    /// Some products are scarce, some customers poor.
    Uneven,
    /// Nothing runs out.
    Unlimited,
}

/// A catalogue with stock, and customers with balances.
pub struct Shop {
    run: String,
    /// What the id of every product begins with; its rank follows.
    prefix: String,
    products: usize,
    calls: AtomicU64,
    placed: AtomicU64,
    customers: Vec<Session>,
}

impl Shop {
    /// Imports the catalogue and signs the customers up; names contain the seed and the time, so that runs don't
    /// collide.
    ///
    /// # Errors
    /// When a call is refused.
    pub async fn open(api: &Api, operator: &Session, options: &Options, seed: u64) -> Result<Self> {
        Self::open_with(api, operator, options, seed, Supply::Uneven).await
    }

    /// The same shop where stock and money never run out: for measurements.
    ///
    /// # Errors
    /// When a call is refused.
    pub async fn open_unlimited(api: &Api, operator: &Session, options: &Options, seed: u64) -> Result<Self> {
        Self::open_with(api, operator, options, seed, Supply::Unlimited).await
    }

    /// A shop of products that exist already, with new customers whose money never runs out: for measurements.
    ///
    /// # Errors
    /// When a call is refused.
    pub async fn open_existing(api: &Api, operator: &Session, options: &Options, prefix: &str) -> Result<Self> {
        let run = name_run(1);
        let customers = sign_up(api, operator, options, &run, Supply::Unlimited).await?;
        let (prefix, products) = (prefix.to_owned(), options.products.max(1));
        Ok(Self { run, prefix, products, calls: AtomicU64::new(0), placed: AtomicU64::new(0), customers })
    }

    async fn open_with(api: &Api, operator: &Session, options: &Options, seed: u64, supply: Supply) -> Result<Self> {
        let uneven = supply == Supply::Uneven;
        let run = name_run(seed);
        let prefix = format!("demo-{run}-");
        let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
        let currency = Currency::parse("USD").context("the currency USD exists")?;
        let products: Vec<_> = (0..options.products.max(1))
            .map(|rank| {
                let price = Amount { minor: random.random_range(150..20_000), currency };
                let units = if uneven && rank % SCARCE == 3 { random.random_range(1..30) } else { 1_000_000_000 };
                (rank, price, units)
            })
            .collect();
        stream::iter(products.iter().map(|(rank, price, units)| {
            let id = format!("{prefix}{rank}");
            let key = format!("opening-{id}");
            async move {
                let name = format!("{} {} no. {rank}", MANNERS[rank % MANNERS.len()], KINDS[rank % KINDS.len()]);
                operator.create_product(&id, &name, (*price).into()).await?;
                operator.adjust_stock(&id, *units, &key).await
            }
        }))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await
        .context("can't import the catalogue")?;

        let customers = sign_up(api, operator, options, &run, supply).await?;
        let products = products.len();
        Ok(Self { run, prefix, products, calls: AtomicU64::new(0), placed: AtomicU64::new(0), customers })
    }

    /// Places one basket's order and returns its resource name.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub async fn place(&self, number: usize, basket: Basket) -> Result<String> {
        let customer = &self.customers[basket.customer % self.customers.len()];
        let lines = basket.lines.iter().map(|(rank, quantity)| (self.product(*rank), *quantity)).collect();
        let order = customer.place_order(lines, &format!("order-{}-{number}", self.run)).await?;
        self.placed.fetch_add(1, Ordering::Relaxed);
        Ok(order.name)
    }

    /// Orders placed so far.
    #[must_use]
    pub fn placed(&self) -> u64 {
        self.placed.load(Ordering::Relaxed)
    }

    /// A unique number for the keys of a measurement.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Two different products, one unit each, for the load generator.
    #[must_use]
    pub fn two_lines(&self, number: usize) -> [(String, i64); 2] {
        let first = number.wrapping_mul(31) % self.products;
        let second = (first + 1 + number % self.products.saturating_sub(1).max(1)) % self.products;
        [(self.product(first), 1), (self.product(second), 1)]
    }

    /// The number of products.
    #[must_use]
    pub fn products(&self) -> usize {
        self.products
    }

    /// The id of a product by its rank.
    #[must_use]
    pub fn product(&self, rank: usize) -> String {
        format!("{}{rank}", self.prefix)
    }

    /// A customer by its index.
    #[must_use]
    pub fn customer(&self, index: usize) -> &Session {
        &self.customers[index % self.customers.len()]
    }
}

/// A name that no other run has.
fn name_run(seed: u64) -> String {
    format!("{seed}-{}", time::OffsetDateTime::now_utc().unix_timestamp())
}

/// Creates the customers of a run and gives them money.
async fn sign_up(api: &Api, operator: &Session, options: &Options, run: &str, supply: Supply) -> Result<Vec<Session>> {
    let currency = Currency::parse("USD").context("the currency USD exists")?;
    stream::iter((0..options.customers.max(1)).map(|number| async move {
        let email = format!("customer-{number}-{run}@example.com");
        let session = api.sign_up(&email, &format!("Customer {number}"), &format!("secret-{run}-{number}")).await?;
        let is_poor = supply == Supply::Uneven && number % POOR == 2;
        let minor = if is_poor { 50_000 } else { 1_000_000_000_000 };
        let key = format!("opening-{}", session.user_id());
        operator.top_up(session.user_id(), Amount { minor, currency }.into(), &key).await?;
        anyhow::Ok(session)
    }))
    .buffered(SIGN_UPS)
    .try_collect()
    .await
    .context("can't create a customer")
}
