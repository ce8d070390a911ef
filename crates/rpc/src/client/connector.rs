//! Connects to an address: over a pipe to a service of this process, else TCP, with TLS if the URL's scheme requires it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::target::{ChannelError, Target};
use crate::ClientSettings;
use crate::local::LocalLink;
use crate::tls::ClientTls;

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Opens connections. Implementations other than TCP are for tests: in-memory pipes, simulated networks.
pub trait Connector: Send + Sync + 'static {
    /// Connects to `address`, one of those of `target`. May be cancelled at any time.
    ///
    /// # Errors
    /// Nothing accepts connections at the address.
    fn connect(&self, target: &Target, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// Pipes to services of this process; to others TCP, with TLS for `https://`.
#[derive(Debug, Clone)]
pub(crate) struct SystemConnector {
    local: LocalLink,
    tls: Option<Arc<ClientTls>>,
}

impl SystemConnector {
    /// A connector for these targets.
    ///
    /// # Errors
    /// A target requires TLS, and there are no usable certificates.
    pub fn new(targets: &[Arc<Target>], settings: &ClientSettings) -> Result<Self, ChannelError> {
        let local = settings.local.clone();
        let Some(secured) = targets.iter().find(|target| target.is_tls()) else {
            return Ok(Self { local, tls: None });
        };
        let tls = settings.tls.as_ref().ok_or_else(|| ChannelError::NoTls(secured.host().to_owned()))?;
        Ok(Self { local, tls: Some(ClientTls::load(tls)?) })
    }
}

impl Connector for SystemConnector {
    fn connect(&self, target: &Target, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let secured = if target.is_tls() { Some((self.tls.clone(), target.host().to_owned())) } else { None };
        let local = self.local.clone();
        Box::pin(async move {
            if let Some(opened) = local.connect(address).await {
                return Ok(Box::new(opened?) as Box<dyn Io>);
            }
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            match secured {
                None => Ok(Box::new(tcp) as Box<dyn Io>),
                Some((Some(tls), host)) => Ok(Box::new(tls.connect(tcp, &host).await?) as Box<dyn Io>),
                Some((None, _)) => Err(io::Error::new(io::ErrorKind::InvalidInput, "no certificates for https")),
            }
        })
    }
}
