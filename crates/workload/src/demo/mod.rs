//! `fleet demo`: simulates a shop's day with realistic orders, and reports the outcome.

mod basket;
mod shop;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use flotilla_checker::{self as checker, Databases, timeline};
use flotilla_terminal::{Progress, bold};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::Rng as _;

pub use self::{
    basket::{Basket, Baskets},
    shop::Shop,
};
use crate::{client::Api, fleet::Fleet, outcome};

/// All orders must end within this time after the last was placed, even after a crash.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Trailing messages (shipments, notices) must be processed within this time.
const SETTLE_PATIENCE: Duration = Duration::from_secs(30);

/// Options of `fleet demo`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of products in the catalogue.
    #[arg(long, default_value_t = 240)]
    pub products: usize,
    /// Number of customers.
    #[arg(long, default_value_t = 50)]
    pub customers: usize,
    /// Number of orders to place.
    #[arg(long, default_value_t = 2000)]
    pub orders: usize,
    /// Number of orders in flight at a time.
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Seed of all random choices (default: random); it is printed.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Runs the demo; exit code 1 if an invariant is broken.
///
/// # Errors
/// When orders can't be placed or don't end.
pub async fn run(fleet: &Fleet, options: Options) -> Result<ExitCode> {
    run_with(fleet, options, || ()).await
}

/// Runs the demo during another activity; `all_placed` is called when the last order has been placed.
///
/// # Errors
/// When orders can't be placed or don't end.
pub async fn run_with(fleet: &Fleet, options: Options, all_placed: impl FnOnce()) -> Result<ExitCode> {
    let databases = Databases::open(&fleet.stores).await?;
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("seed {seed}: {} products, {} customers, {} orders", options.products, options.customers, options.orders);

    let api = Api::of(fleet)?;
    let mut progress = Progress::new();
    progress.show("creating the catalogue and the customers");
    let operator = api.operator(fleet).await?;
    let shop = Arc::new(Shop::open(&api, &operator, &options, seed).await?);
    let since = outcome::now(&databases).await?;
    let placed = place_all(&shop, &options, seed, &mut progress).await;
    all_placed();
    placed?;
    finish(fleet, &databases, since, &mut progress).await
}

/// Places all orders, with a limited number in flight.
///
/// # Errors
/// When an order is refused, or nobody answers for a minute.
pub async fn place_all(shop: &Arc<Shop>, options: &Options, seed: u64, progress: &mut Progress) -> Result<()> {
    let mut baskets = Baskets::new(options.products, options.customers, seed);
    let mut placed = 0;
    let mut answers = stream::iter((0..options.orders).map(|number| {
        let basket = baskets.next_basket();
        let shop = Arc::clone(shop);
        async move { shop.place(number, basket).await }
    }))
    .buffer_unordered(options.concurrency.max(1));
    while answers.try_next().await.context("can't place an order")?.is_some() {
        placed += 1;
        if placed % 100 == 0 {
            progress.show(&format!("placed {placed} of {}", options.orders));
        }
    }
    Ok(())
}

/// Waits until all orders have ended; prints outcomes, one timeline and the invariants.
async fn finish(
    fleet: &Fleet,
    databases: &Databases,
    since: std::time::SystemTime,
    progress: &mut Progress,
) -> Result<ExitCode> {
    let ended =
        outcome::until_ended(databases, since, END_PATIENCE, |open| progress.show(&format!("{open} orders are open")))
            .await;
    progress.clear();
    outcome::since(databases, since).await?.print();
    ended?;
    let findings = checker::settled(&fleet.stores, SETTLE_PATIENCE, 0).await?;
    if let Some(order) = timeline::richest(databases, since).await? {
        println!("\n{}", bold(&format!("the timeline of orders/{order}")));
        print!("{}", timeline::render(databases, order).await?);
    }
    Ok(checker::report(&findings))
}
