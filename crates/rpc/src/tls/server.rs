//! The server side of TLS.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::reload::Reloading;
use super::settings::{Material, TlsSettings, provider};
use super::{ALPN_HTTP1, ALPN_HTTP2, PeerIdentity, TlsError, in_time};

/// Certificates of a server, reloaded when their files change.
pub struct ServerTls {
    config: Reloading<ServerConfig>,
    /// Whether peers must present a certificate.
    mutual: bool,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct AcceptedTls<IO> {
    /// The stream after the handshake.
    pub stream: TlsStream<IO>,
    /// The peer's identity; always set with [`ServerTls::load`], never with [`ServerTls::public`].
    pub peer: Option<PeerIdentity>,
    /// Whether both sides have agreed on HTTP/2; otherwise it is HTTP/1.1, or what the first bytes show.
    pub is_http2: bool,
}

impl ServerTls {
    /// Mutual TLS for gRPC between services: only HTTP/2, and a peer must present a certificate of the authority that
    /// names a service.
    ///
    /// # Errors
    /// The files can't be read or don't match.
    pub fn load(settings: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { config: Reloading::load(settings, mutual)?, mutual: true }))
    }

    /// TLS for public clients: HTTP/2 or HTTP/1.1, and no certificate is requested.
    ///
    /// # Errors
    /// The files can't be read or don't match.
    pub fn public(settings: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { config: Reloading::load(settings, public)?, mutual: false }))
    }

    /// Does the handshake of a new connection, within ten seconds.
    ///
    /// # Errors
    /// The peer doesn't use TLS, presents no valid certificate, or takes too long.
    pub async fn accept<IO>(&self, connection: IO) -> io::Result<AcceptedTls<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.config.get());
        let stream = in_time(acceptor.accept(connection)).await?;
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(ALPN_HTTP2);
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let peer = shown.and_then(PeerIdentity::of);
        if self.mutual && peer.is_none() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the certificate names no service"));
        }
        Ok(AcceptedTls { stream, peer, is_http2 })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("mutual", &self.mutual).finish_non_exhaustive()
    }
}

fn mutual(settings: &TlsSettings, material: Material) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(material.authorities, provider())
        .build()
        .map_err(|error| settings.unusable(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| settings.unusable(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(material.chain, material.key)
        .map_err(|error| settings.unusable(&error))?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    // A resumed session could outlive the certificate that it was authenticated with.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn public(settings: &TlsSettings, material: Material) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map_err(|error| settings.unusable(&error))?
        .with_no_client_auth()
        .with_single_cert(material.chain, material.key)
        .map_err(|error| settings.unusable(&error))?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(config)
}
