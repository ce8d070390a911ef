//! `fleet fetch`: the servers' binaries, without starting anything.

use anyhow::Result;
use flotilla_servers::{Layout, provision};

use crate::home::Home;

/// Downloads the servers' binaries.
///
/// # Errors
/// If they can't be downloaded or built; the error names the fix.
pub async fn run(home: &Home) -> Result<()> {
    let layout = Layout::open(home.servers())?;
    let binaries = provision(&layout, &|line: &str| println!("{line}")).await?;
    println!("{}", binaries.sources);
    Ok(())
}
