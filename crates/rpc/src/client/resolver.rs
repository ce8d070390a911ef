//! Resolves names to addresses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use futures::future::BoxFuture;

/// Resolves the addresses of a name. Implemented for closures, so that tests can move servers.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `host`, each with a port (`port` if the name's records have none).
    ///
    /// # Errors
    /// The name has none, or no name server can be reached.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

impl<F, Fut> Resolver for F
where
    F: Fn(&str, u16) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(self(host, port))
    }
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}
