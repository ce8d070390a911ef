//! The accepting end.

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

/// Certificates of a server, as fresh as their files.
pub struct ServerTls {
    config: Reloading<ServerConfig>,
    /// Whether peers must say who they are.
    mutual: bool,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct AcceptedTls<IO> {
    /// What is said from here on.
    pub stream: TlsStream<IO>,
    /// Who is at the other end; always there with [`ServerTls::load`], never with [`ServerTls::public`].
    pub peer: Option<PeerIdentity>,
    /// Whether both ends have agreed on HTTP/2; else it is HTTP/1.1, or whatever the first bytes tell.
    pub is_http2: bool,
}

impl ServerTls {
    /// Mutual TLS for gRPC between services: HTTP/2 alone, and a peer must show a certificate of the authority that names a
    /// service.
    ///
    /// # Errors
    /// The files can't be read or don't fit together.
    pub fn load(settings: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { config: Reloading::load(settings, mutual)?, mutual: true }))
    }

    /// TLS for everybody: HTTP/2 or HTTP/1.1, and no certificate is asked for.
    ///
    /// # Errors
    /// The files can't be read or don't fit together.
    pub fn public(settings: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { config: Reloading::load(settings, public)?, mutual: false }))
    }

    /// Shakes hands with who has just connected, within ten seconds.
    ///
    /// # Errors
    /// The other end doesn't speak TLS, shows no fitting certificate, or takes too long.
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
    // A resumed session would outlive the certificate that it was begun with.
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
