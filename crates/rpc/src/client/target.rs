//! The addresses of a channel's servers: one URL or a list of them.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Scheme};

/// An address can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address of a server is invalid.
    #[error("invalid address of a gRPC server: {0}")]
    Address(String),
    /// The address requires TLS, and the settings have no certificates.
    #[error("{0} needs certificates, and the client's settings have none")]
    NoTls(String),
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
}

/// A server, or the name that several replicas share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    host: String,
    port: u16,
}

impl Target {
    /// Parses `http://a:1`, `https://a:1`, or a list of them; after the first, the scheme may be omitted.
    pub(crate) fn parse(urls: &str) -> Result<Vec<Arc<Self>>, ChannelError> {
        let invalid = || ChannelError::Address(urls.to_owned());
        let scheme = urls.split_once("://").map(|(scheme, _)| scheme).ok_or_else(invalid)?;
        let mut targets = Vec::new();
        for part in urls.split(',').map(str::trim) {
            let target = if part.contains("://") { Self::one(part) } else { Self::one(&format!("{scheme}://{part}")) };
            targets.push(Arc::new(target.ok_or_else(invalid)?));
        }
        Ok(targets)
    }

    fn one(url: &str) -> Option<Self> {
        let uri = Uri::from_str(url).ok()?;
        let scheme = uri.scheme()?.clone();
        let port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let authority = uri.authority()?.clone();
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return None;
        }
        let host = authority.host().to_owned();
        (!host.is_empty()).then(|| Self { scheme, port: authority.port_u16().unwrap_or(port), host, authority })
    }

    /// The host in the URL: a name or an IP address, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the URL requires TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address, if it needs no resolution.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// `uri` with this target's scheme and authority.
    pub(crate) fn place(&self, uri: Uri) -> Uri {
        let mut parts = uri.into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        if parts.path_and_query.is_none() {
            parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        }
        Uri::from_parts(parts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_lists_of_them_are_parsed() {
        let read = |urls| -> Vec<_> {
            let targets = Target::parse(urls).unwrap();
            targets.iter().map(|target| (target.is_tls(), target.host.clone(), target.port)).collect()
        };
        assert_eq!(read("http://127.0.0.1:1"), [(false, "127.0.0.1".to_owned(), 1)]);
        assert_eq!(read("https://orders/"), [(true, "orders".to_owned(), 443)]);
        assert_eq!(read("http://a:1,b:2"), [(false, "a".to_owned(), 1), (false, "b".to_owned(), 2)]);
        assert_eq!(read("http://a:1, http://b"), [(false, "a".to_owned(), 1), (false, "b".to_owned(), 80)]);
    }

    #[test]
    fn an_invalid_address_is_refused() {
        let long = "http://a:1,http://";
        for urls in ["", "not a url", "/path", "ftp://a", "http://", "http://a/b", "http://a?b", "http://u@a", long] {
            assert!(Target::parse(urls).is_err(), "{urls}");
        }
    }

    #[test]
    fn an_ip_address_needs_no_resolving() {
        let literal = |url| Target::parse(url).unwrap()[0].literal();
        assert_eq!(literal("http://127.0.0.1:1"), Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(literal("http://[::1]:1"), Some("[::1]:1".parse().unwrap()));
        assert_eq!(literal("http://localhost:1"), None);
    }

    #[test]
    fn a_request_goes_to_the_target_whatever_its_own_authority() {
        let target = Target::one("http://a:1").unwrap();
        for uri in ["/svc/Method", "https://elsewhere:9/svc/Method"] {
            assert_eq!(target.place(uri.parse().unwrap()), "http://a:1/svc/Method");
        }
    }
}
