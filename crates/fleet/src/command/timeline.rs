//! `fleet timeline`: the path of one order through the services.

use anyhow::{Context as _, Result};
use flotilla_checker::{Databases, timeline};

use crate::home::{Home, state::State};

/// Prints the timeline of an order of the running fleet.
///
/// # Errors
/// When there is no such order.
pub async fn run(home: &Home, order: &str) -> Result<()> {
    let id = order.trim_start_matches("orders/").parse();
    let id = id.with_context(|| format!("invalid order {order:?}; use orders/<uuid> or the UUID"))?;
    let databases = Databases::open(&State::of_running(home)?.stores()?).await?;
    print!("{}", timeline::render(&databases, id).await?);
    Ok(())
}
