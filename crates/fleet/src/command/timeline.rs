//! `fleet timeline`: one order's way through the services.

use anyhow::{Context as _, Result};
use flotilla_checker::{Databases, timeline};

use crate::home::{Home, state::State};

/// Prints the timeline of an order of the fleet that is up.
///
/// # Errors
/// When there is no such order.
pub async fn run(home: &Home, order: &str) -> Result<()> {
    let id = order.trim_start_matches("orders/").parse();
    let id = id.with_context(|| format!("{order:?} names no order; write orders/<uuid> or the UUID"))?;
    let databases = Databases::open(&State::of_running(home)?.stores()?).await?;
    print!("{}", timeline::render(&databases, id).await?);
    Ok(())
}
