//! Requests to a store over HTTP/1.1, with TLS for `https`. Each uses its own connection, because they are minutes apart.
//!
//! Guarantees: a request and its response take no longer than the deadline; a response is no longer than
//! [`MAX_RESPONSE`]; errors name the address and the reason, never what was sent or received.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Maximum size of a response, which no secret reaches.
const MAX_RESPONSE: usize = 1024 * 1024;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestError {
    message: String,
    /// Whether a retry may succeed.
    pub retriable: bool,
}

impl RequestError {
    fn transient(message: String) -> Self {
        Self { message, retriable: true }
    }

    fn permanent(message: String) -> Self {
        Self { message, retriable: false }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RequestError {}

/// Sends requests to absolute addresses. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    tls: Arc<ClientConfig>,
    deadline: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that trusts the CAs in the file `ca`, or else the system's.
    pub fn new(ca: Option<&Path>, deadline: Duration) -> Result<Self, RequestError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| RequestError::permanent(format!("TLS can't be set up: {error}")))?
            .with_root_certificates(authorities(ca)?)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), deadline })
    }

    /// Sends a request whose target is an absolute URL, and reads the whole response.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RequestError> {
        let place = Place::of(request.uri())?;
        let answer = tokio::time::timeout(self.deadline, self.exchange(&place, request)).await;
        answer.unwrap_or_else(|_| Err(RequestError::transient(format!("{place} didn't respond in time"))))
    }

    async fn exchange(&self, place: &Place, request: Request<Bytes>) -> Result<Response<Bytes>, RequestError> {
        let unreachable = |error: std::io::Error| match error.kind() {
            // Retrying doesn't make a certificate trusted.
            std::io::ErrorKind::InvalidData => RequestError::permanent(format!("{place} isn't trusted: {error}")),
            _ => RequestError::transient(format!("{place} can't be reached: {error}")),
        };
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(unreachable)?;
        if !place.tls {
            return exchange_over(place, stream, request).await;
        }
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| RequestError::permanent(format!("{place} is not a valid name for a certificate")))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        exchange_over(place, connector.connect(name, stream).await.map_err(unreachable)?, request).await
    }
}

/// Exchanges one request and its response over a new connection.
async fn exchange_over<S>(place: &Place, stream: S, request: Request<Bytes>) -> Result<Response<Bytes>, RequestError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| RequestError::transient(format!("{place} closed the connection: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let exchange = async move {
        let response = sender.send_request(relative(place, request)?).await.map_err(broken)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE).collect().await;
        let body = body.map_err(|_| {
            RequestError::transient(format!("{place} closed the connection, or its response is too long"))
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    tokio::pin!(exchange);
    // The connection is driven here, so that it ends with the request.
    tokio::select! {
        answer = &mut exchange => answer,
        ended = connection => match ended {
            // Closed after the response, the rest of which is in memory.
            Ok(()) => exchange.await,
            Err(error) => Err(broken(error)),
        },
    }
}

/// The request as sent over the connection: the target without the host, which is a header.
fn relative(place: &Place, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, RequestError> {
    let malformed = || RequestError::permanent(format!("a request to {place} can't be built"));
    let (mut parts, body) = request.into_parts();
    if !parts.headers.contains_key(HOST) {
        let host = parts.uri.authority().ok_or_else(malformed)?.as_str();
        parts.headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| malformed())?);
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    parts.uri = target.parse().map_err(|_| malformed())?;
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// The server that a request is sent to.
struct Place {
    host: String,
    port: u16,
    tls: bool,
}

impl Place {
    fn of(uri: &Uri) -> Result<Self, RequestError> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                return Err(RequestError::permanent(
                    "the address of a store must begin with https:// or http://".to_owned(),
                ));
            }
        };
        let host =
            uri.host().ok_or_else(|| RequestError::permanent("the address of a store has no host".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, RequestError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        // Unreadable ones are skipped; a server whose certificate needs them is then not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unusable = |what: &dyn fmt::Display| {
        RequestError::permanent(format!("the CA file {} can't be used: {what}", file.display()))
    };
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() { Err(unusable(&"it has no certificates")) } else { Ok(roots) }
}

/// A header value that is marked as sensitive.
#[cfg_attr(not(any(feature = "vault", feature = "cluster")), allow(dead_code, reason = "AWS signs its requests"))]
pub(crate) fn secret_header(text: &str) -> Result<HeaderValue, RequestError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| RequestError::permanent("the token has characters that are not allowed in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str) -> Result<String, String> {
        let place = Place::of(&address.parse().unwrap()).map_err(|error| error.to_string())?;
        Ok(format!("{place} {}", place.tls))
    }

    #[test]
    fn an_address_determines_host_port_and_tls() {
        assert_eq!(place("https://vault/v1").unwrap(), "vault:443 true");
        assert_eq!(place("http://127.0.0.1:8200/v1").unwrap(), "127.0.0.1:8200 false");
        assert_eq!(place("https://[::1]:8200/").unwrap(), "::1:8200 true");
        assert!(place("ftp://vault/").is_err());
        assert!(place("/v1").is_err());
    }

    #[test]
    fn a_token_is_not_in_a_headers_debug_text() {
        let header = secret_header("hvs.secret").unwrap();
        assert!(!format!("{header:?}").contains("hvs"));
        assert!(!secret_header("a\nb").unwrap_err().to_string().contains("a\nb"));
    }

    #[tokio::test]
    async fn a_server_that_accepts_but_never_responds_times_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let client = Client::new(None, Duration::from_millis(50)).unwrap();
        let error = client.send(Request::get(address).body(Bytes::new()).unwrap()).await.unwrap_err();
        assert!(error.retriable);
        assert!(error.to_string().contains("in time"), "{error}");
    }
}
