//! TLS and mutual TLS: certificates from PEM files, reloaded without restart; the peer's identity from its certificate.
//!
//! Guarantees:
//! * [`ServerTls::load`] requires a certificate of the fleet's authority that names one service
//!   (`spiffe://flotilla/<service>`); [`ServerTls::public`] requests none.
//! * Services use only TLS 1.3 among themselves, without session resumption: each connection is authenticated anew.
//! * Changed files take effect at the first handshake a second later. Files that can't be used are logged, and the
//!   previous ones stay in use. Open connections aren't affected.
//! * Every handshake has a deadline.
//!
//! It has no task: files are checked when a connection begins.

mod client;
mod peer;
mod reload;
mod server;
mod settings;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use client::{ClientTls, ConnectedTls};
pub use peer::{PeerIdentity, TRUST_DOMAIN};
pub(crate) use peer::{PeerInfo, Reveal};
pub use server::{AcceptedTls, ServerTls};
pub use settings::TlsSettings;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Protocol names in the handshake (ALPN, RFC 7301).
const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{} can't be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A file doesn't contain what is expected.
    #[error("{} contains no {what} in PEM format", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The certificate, its key and the authority don't match.
    #[error("the certificate {} can't be used: {reason}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// Runs a handshake within its deadline.
async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")),
    }
}
