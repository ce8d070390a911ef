//! TLS and mutual TLS: certificates from PEM files, reloaded without restart; the peer's identity from its certificate.
//!
//! Guarantees:
//! * [`ServerTls::load`] lets nobody in without a certificate of the fleet's authority that names one service
//!   (`spiffe://flotilla/<service>`); [`ServerTls::public`] asks for none.
//! * Between services TLS 1.3 alone is spoken, and sessions are never resumed: each connection proves itself anew.
//! * Changed files are seen by the first handshake a second later. A set that can't be used is logged, and the one
//!   before it stays. Connections that are open are left alone.
//! * Every handshake has a deadline.
//!
//! Owns no task: files are looked at when a connection begins.

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
/// How protocols are named while a connection is made (RFC 7301).
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
        /// Why not.
        error: io::Error,
    },
    /// A file isn't what it should be.
    #[error("{} holds no {what} in PEM", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The certificate, its key and the authority don't make a whole.
    #[error("the certificate {} can't be used: {reason}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
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
