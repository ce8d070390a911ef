//! `fleet certs`: creates, renews and shows the certificates.

use anyhow::Result;
use clap::Args;
use flotilla_terminal::{Table, bold};
use time::OffsetDateTime;

use crate::{
    certs::{AUTHORITY, Certs, Renewal, folder, names},
    home::Home,
};

/// Options of `fleet certs`.
#[derive(Args, Clone, Copy, Debug)]
pub struct Options {
    /// Reissue every certificate, not only those that are missing or expire within 8 hours.
    #[arg(long)]
    pub renew: bool,
    /// Create a new authority and reissue every certificate with it. The previous authority stays trusted until the
    /// next one is created, so that a running fleet continues without interruption.
    #[arg(long)]
    pub renew_authority: bool,
}

/// Issues certificates and prints the table.
///
/// # Errors
/// When a file can't be read or written.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    let renewal = match options {
        Options { renew_authority: true, .. } => Renewal::Authority,
        Options { renew: true, .. } => Renewal::Certificates,
        _ => Renewal::Due,
    };
    let now = OffsetDateTime::now_utc();
    let mut certs = Certs::open(home)?;
    let issued = certs.renew(renewal, now).await?;
    let mut table = Table::new(&["", "identity", ">valid for", ""]);
    for name in [AUTHORITY].into_iter().chain(names()) {
        let identity = if name == AUTHORITY { String::new() } else { format!("spiffe://flotilla/{name}") };
        let left = certs.until(name).map(|until| format!("{:.0} h", (until - now).as_seconds_f64() / 3600.0));
        let fresh = if issued.contains(&name) { "just issued" } else { "" };
        table.row([name.to_owned(), identity, left.unwrap_or_default(), fresh.to_owned()]);
    }
    print!("{}", table.render());
    println!("in {}; run `{}` to use them", bold(&folder(home).display().to_string()), home.command("up --tls"));
    Ok(())
}
