//! `fleet fetch`: the servers' binaries, without starting anything.

use anyhow::Result;
use flotilla_servers::{Layout, provision};

use crate::home::Home;

/// Gets the servers' binaries.
///
/// # Errors
/// When they can't be had; the text says what to do.
pub async fn run(home: &Home) -> Result<()> {
    let layout = Layout::open(home.servers())?;
    let binaries = provision(&layout, &|line: &str| println!("{line}")).await?;
    println!("{}", binaries.sources);
    Ok(())
}
