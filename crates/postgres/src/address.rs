//! Database addresses. They may contain passwords.

use flotilla_config::{ExposeSecret, SecretString};
use tokio_postgres::Config;

use crate::error::{Error, ErrorKind};

/// Parses an address. Errors never quote it.
pub(crate) fn parse_url(url: &SecretString) -> Result<Config, Error> {
    let config: Config = url.expose_secret().parse().map_err(|_| {
        Error::new(
            ErrorKind::Other,
            "invalid PostgreSQL address; use one such as postgresql://user:password@host:5432/database",
        )
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::new(
            ErrorKind::Other,
            "the PostgreSQL address has no host; use one such as postgresql://user:password@host:5432/database",
        ));
    }
    Ok(config)
}
