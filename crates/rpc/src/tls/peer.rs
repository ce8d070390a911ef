//! The peer of a connection, identified by its certificate.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use rustls::pki_types::CertificateDer;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::Service;

use crate::connection_use::ConnectionUse;

/// The fleet's own namespace of identities: `spiffe://flotilla/<service>`.
pub const TRUST_DOMAIN: &str = "flotilla";

/// A service of the fleet, verified by its certificate. In the extensions of each request of its connection;
/// absent if the connection isn't mutual TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// The service's name, such as `orders`.
    pub service: String,
}

impl PeerIdentity {
    /// The identity in a certificate, which must name exactly one. Doesn't verify the certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let mut names = certificate.valid_uri_names();
        match (names.next(), names.next()) {
            (Some(uri), None) => Self::parse(uri),
            _ => None,
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        let service = uri.strip_prefix("spiffe://")?.strip_prefix(TRUST_DOMAIN)?.strip_prefix('/')?;
        let fits = (1..=63).contains(&service.len())
            && service.starts_with(|first: char| first.is_ascii_lowercase())
            && service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        fits.then(|| Self { service: service.to_owned() })
    }

    /// The identity as its URI.
    pub fn uri(&self) -> String {
        format!("spiffe://{TRUST_DOMAIN}/{}", self.service)
    }
}

/// The properties of a connection.
#[derive(Debug, Clone)]
pub(crate) struct PeerInfo {
    pub tcp: TcpConnectInfo,
    pub peer: Option<PeerIdentity>,
    pub used: Arc<ConnectionUse>,
}

/// Adds the connection's address and [`PeerIdentity`] to the extensions of each request: handlers get the address in
/// the usual way, and layers the identity.
#[derive(Debug, Clone)]
pub(crate) struct Reveal<S> {
    inner: S,
}

impl<S> Reveal<S> {
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for Reveal<S>
where
    S: Service<Request<Body>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        let extensions = request.extensions_mut();
        if let Some(PeerInfo { tcp, peer, used }) = extensions.remove::<PeerInfo>() {
            extensions.insert(tcp);
            extensions.insert(used);
            if let Some(peer) = peer {
                extensions.insert(peer);
            }
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_one_plain_name_of_the_fleets_own_domain() {
        assert_eq!(PeerIdentity::parse("spiffe://flotilla/orders").unwrap().service, "orders");
        for uri in [
            "spiffe://flotilla/",
            "spiffe://flotilla",
            "spiffe://flotillaorders",
            "spiffe://flotilla/orders/x",
            "spiffe://flotilla/Orders",
            "spiffe://flotilla/-orders",
            "spiffe://flotilla/1",
            "spiffe://flotilla.evil/orders",
            "spiffe://evil/flotilla/orders",
            "https://flotilla/orders",
        ] {
            assert_eq!(PeerIdentity::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn an_identity_reads_back_from_its_uri() {
        let peer = PeerIdentity { service: "orders".to_owned() };
        assert_eq!(PeerIdentity::parse(&peer.uri()), Some(peer));
    }
}
