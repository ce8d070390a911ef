//! Addresses of a database, which hold passwords.

use flotilla_config::{ExposeSecret, SecretString};
use tokio_postgres::Config;

use crate::error::{Error, ErrorKind};

/// Reads an address without ever quoting it.
pub(crate) fn parse_url(url: &SecretString) -> Result<Config, Error> {
    let config: Config = url.expose_secret().parse().map_err(|_| {
        Error::new(
            ErrorKind::Other,
            "invalid address of PostgreSQL; use one such as postgresql://user:password@host:5432/database",
        )
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::new(
            ErrorKind::Other,
            "the address of PostgreSQL has no host; use one such as postgresql://user:password@host:5432/database",
        ));
    }
    Ok(config)
}
