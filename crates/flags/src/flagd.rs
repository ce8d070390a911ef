//! flagd's own provider, which evaluates in this process the flags that flagd, or a file, provides.

use open_feature_flagd::{FlagdOptions, FlagdProvider, ResolverType};

/// Timeout of connecting to flagd at start-up, in milliseconds.
const DEADLINE_MS: u32 = 2_000;

/// flagd can't be used.
#[derive(Debug, thiserror::Error)]
#[error("flagd at {address}: {cause}")]
pub struct FlagdError {
    address: String,
    cause: String,
}

/// Connects to a flagd, or opens its file: `http://host:port`, `https://host:port`, `file:///path`.
///
/// # Errors
/// The address is invalid, or nothing responds there in time.
pub async fn connect(address: &str) -> Result<FlagdProvider, FlagdError> {
    let failed = |cause: String| FlagdError { address: address.to_owned(), cause };
    let mut options = FlagdOptions { cache_settings: None, deadline_ms: DEADLINE_MS, ..FlagdOptions::default() };
    match address.split_once("://") {
        Some(("file", path)) => {
            options.resolver_type = ResolverType::File;
            options.source_configuration = Some(path.to_owned());
        }
        Some((scheme @ ("http" | "https"), place)) => {
            options.resolver_type = ResolverType::InProcess;
            options.tls = scheme == "https";
            options.target_uri = None;
            let (host, port) = place.rsplit_once(':').ok_or_else(|| failed("the port is missing".to_owned()))?;
            options.host = host.to_owned();
            options.port = port.parse().map_err(|_| failed("the port is not a number".to_owned()))?;
        }
        _ => return Err(failed("not http://, https:// or file:///".to_owned())),
    }
    FlagdProvider::new(options).await.map_err(|error| failed(error.to_string()))
}
