//! `fleet replay`: places past orders from CSV files, each as its customer.
//!
//! The orders file is read once for each purpose and never held in memory: to check its rows, to sum up what each
//! customer needs, and to place the orders. An order's rows must be consecutive, and orders must be sorted by time.

mod balance;
mod catalogue;

mod orders;
mod rows;
mod shop;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use flotilla_checker::{self as checker, Databases};
use flotilla_money::Amount;
use flotilla_terminal::{Progress, bad};
use futures::{TryStreamExt as _, stream};
use rand::Rng as _;
use time::OffsetDateTime;
use tokio::time::Instant;

use self::{
    catalogue::Catalogue,
    orders::{OrderFile, Sums},
    shop::Shop,
};
use crate::{
    chaos::{Fault, Injector},
    client::Api,
    fleet::{Fleet, Supervisor},
    outcome,
};

const END_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two orders while services are killed: at full speed, a file would end before the second kill.
const PACE_WITH_CHAOS: Duration = Duration::from_millis(4);
const SETTLE_PATIENCE: Duration = Duration::from_secs(30);

/// Options of `fleet replay`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// CSV file of products: product,name,unit_price,currency,stock.
    #[arg(long)]
    pub products: PathBuf,
    /// CSV file of customers: customer,name,country.
    #[arg(long)]
    pub customers: PathBuf,
    /// CSV file of order lines: order,placed_at,customer,product,quantity.
    #[arg(long)]
    pub orders: PathBuf,
    /// Speed relative to the recorded times, such as 1000, or "max".
    #[arg(long, default_value = "max")]
    pub speed: Speed,
    /// Maximum number of orders to place.
    #[arg(long)]
    pub limit: Option<u64>,
    /// Balance of every customer, such as 1000.00 (default: enough for their orders).
    #[arg(long)]
    pub balance: Option<String>,
    /// Number of orders in flight at a time.
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Kill services at random meanwhile; limits the rate to 250 orders per second.
    #[arg(long)]
    pub chaos: bool,
    /// Seed of the kills (default: random); it is printed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Number of parked messages that were planted on purpose.
    #[arg(long, default_value_t = 0)]
    pub planted: i64,
}

/// How fast time passes in a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as possible.
    Max,
    /// This many times faster than recorded.
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err(format!("invalid speed {text:?}; use a number above 0, or max")),
        }
    }
}

/// Replays the files; exit code 1 if the outcomes don't match them, or an invariant is broken.
///
/// # Errors
/// When a file can't be read, or orders can't be placed or don't end.
pub async fn run(fleet: &Fleet, supervisor: &impl Supervisor, options: Options) -> Result<ExitCode> {
    let databases = Databases::open(&fleet.stores).await?;
    let catalogue = Catalogue::read(&options.products, &options.customers)?;
    let balance = options.balance.as_deref().map(|text| parse_balance(text, &catalogue)).transpose()?;
    let (file, sums) = inspect(&catalogue, &options)?;

    let api = Api::of(fleet)?;
    let mut progress = Progress::new();
    progress.show("importing the catalogue and the customers");
    let operator = api.operator(fleet).await?;
    let shop = Arc::new(Shop::open(&api, &operator, &catalogue, &sums, balance).await?);
    let since = outcome::now(&databases).await?;
    let injector = options.chaos.then(|| {
        let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
        println!("killing services at random, seed {seed}");
        let kills = Fault::kills_of_services(fleet);
        Injector::start(fleet.clone(), supervisor.clone(), kills, Duration::from_millis(300), seed)
    });
    let placed = place_all(&file, &sums, &shop, &options, &mut progress).await;
    if let Some(injector) = injector {
        println!("killed: {}", injector.end().await.join(", "));
    }
    placed?;
    let show = |open| progress.show(&format!("{open} orders are open"));
    let ended = outcome::until_ended(&databases, since, END_PATIENCE, show).await;
    progress.clear();
    ended?;
    let findings = checker::settled(&fleet.stores, SETTLE_PATIENCE, options.planted).await?;
    let whole = balance::compare(&databases, since, &catalogue, &shop, &sums).await?;
    let code = checker::report(&findings);
    Ok(if whole { code } else { ExitCode::FAILURE })
}

fn parse_balance(text: &str, catalogue: &Catalogue) -> Result<Amount> {
    let currency = catalogue.currency().context("the currency USD exists")?;
    let amount = rows::parse_amount(text, currency).map_err(|reason| anyhow!("--balance: {reason}"))?;
    if amount.minor > orders::MOST_MONEY {
        bail!("--balance {text:?} exceeds the maximum of an account");
    }
    Ok(amount)
}

/// Checks every row, reports the bad ones, and sums up the good orders.
fn inspect<'a>(catalogue: &'a Catalogue, options: &Options) -> Result<(OrderFile<'a>, Sums)> {
    let report = |row: &str| eprintln!("{} {row}", bad("bad row:"));
    catalogue.bad_rows.iter().for_each(|row| report(row));
    let file = OrderFile::inspect(&options.orders, catalogue, report)?;
    if file.bad_orders() > 0 {
        eprintln!("{} orders have bad rows and are skipped", file.bad_orders());
    }
    let mut sums = Sums::default();
    for order in file.good_orders(options.limit)? {
        sums.add(&order?)?;
    }
    if sums.orders == 0 {
        bail!("{} contains no valid order", options.orders.display());
    }
    Ok((file, sums))
}

/// Reads the orders again and places each at its time.
async fn place_all(
    file: &OrderFile<'_>,
    sums: &Sums,
    shop: &Arc<Shop>,
    options: &Options,
    progress: &mut Progress,
) -> Result<()> {
    let began = Instant::now();
    let mut first: Option<OffsetDateTime> = None;
    let mut number = 0_u32;
    let calls = stream::iter(file.good_orders(options.limit)?).map_ok(|order| {
        number = number.saturating_add(1);
        let start = *first.get_or_insert(order.placed_at);
        let due = match options.speed {
            Speed::Max if options.chaos => began + PACE_WITH_CHAOS.saturating_mul(number),
            Speed::Max => began,
            Speed::Times(times) => began + ((order.placed_at - start) / times).try_into().unwrap_or(Duration::ZERO),
        };
        let shop = Arc::clone(shop);
        async move {
            tokio::time::sleep_until(due).await;
            let name = order.id.clone();
            shop.place(order).await.with_context(|| format!("can't place order {name}"))
        }
    });
    let mut answers = std::pin::pin!(calls.try_buffer_unordered(options.concurrency.max(1)));
    let mut placed = 0_u64;
    while answers.try_next().await?.is_some() {
        placed += 1;
        if placed.is_multiple_of(100) {
            progress.show(&format!("placed {placed} of {}", sums.orders));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        for wrong in ["0", "-1", "fast", "inf", "NaN"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
