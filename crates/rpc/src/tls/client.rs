//! The client side of TLS.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::reload::Reloading;
use super::settings::{Material, TlsSettings, provider};
use super::{ALPN_HTTP1, ALPN_HTTP2, TlsError, in_time};

/// A connection after its handshake.
pub type ConnectedTls<IO> = TlsStream<IO>;

/// Certificates of a client, reloaded when their files change.
pub struct ClientTls {
    configs: Reloading<Configs>,
}

/// One configuration per protocol.
struct Configs {
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts only the authority, and presents the certificate to servers that request one.
    ///
    /// # Errors
    /// The files can't be read or don't match.
    pub fn load(settings: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { configs: Reloading::load(settings, configs)? }))
    }

    /// Does the TLS handshake with the server `host` (a name or an IP address, as it stands in the URL) over
    /// `connection`, within ten seconds, to speak HTTP/2.
    ///
    /// # Errors
    /// The server's certificate is from another authority or for another host, the server doesn't support HTTP/2, or
    /// the handshake takes too long. A server that refuses this client's certificate may report it only at the first
    /// read.
    pub async fn connect<IO>(&self, connection: IO, host: &str) -> io::Result<ConnectedTls<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = handshake(&self.configs.get().http2, connection, host).await?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server doesn't support HTTP/2"));
        }
        Ok(stream)
    }

    /// As [`connect`](Self::connect), to speak HTTP/1.1.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_http1<IO>(&self, connection: IO, host: &str) -> io::Result<ConnectedTls<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        handshake(&self.configs.get().http1, connection, host).await
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

async fn handshake<IO>(config: &Arc<ClientConfig>, connection: IO, host: &str) -> io::Result<ConnectedTls<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    // IPv6 addresses are in brackets in a URL.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "invalid host name for a certificate"))?;
    in_time(TlsConnector::from(Arc::clone(config)).connect(name, connection)).await
}

fn configs(settings: &TlsSettings, material: Material) -> Result<Configs, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| settings.unusable(&error))?
        .with_root_certificates(material.authorities)
        .with_client_auth_cert(material.chain, material.key)
        .map_err(|error| settings.unusable(&error))?;
    config.resumption = Resumption::disabled();
    let mut http1 = config.clone();
    http1.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(Configs { http2: Arc::new(config), http1: Arc::new(http1) })
}
