//! Addresses of a database, which hold passwords.

use flotilla_config::{ExposeSecret, SecretString};
use tokio_postgres::Config;

use crate::error::{Error, ErrorKind};

/// Reads an address without ever quoting it.
pub(crate) fn parse_url(url: &SecretString) -> Result<Config, Error> {
    let config: Config = url
        .expose_secret()
        .parse()
        .map_err(|_| Error::new(ErrorKind::Other, "the address of PostgreSQL can't be understood"))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::new(ErrorKind::Other, "the address of PostgreSQL names no host"));
    }
    Ok(config)
}
