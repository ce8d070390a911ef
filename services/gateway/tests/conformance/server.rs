//! A server of the Connect conformance suite's service behind the gateway's edge, for `make conformance-rpc`.
//!
//! Speaks the suite's protocol: a request on standard input says what to serve, a response on standard output where it
//! is served; then it serves until it is killed.

#![allow(missing_docs, reason = "a program for the suite")]

mod messages;
mod service;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_gateway::Standalone;
use flotilla_gateway::config::EdgeSettings;
use flotilla_rpc::tls::TlsSettings;
use flotilla_rpc::{ClientSettings, ServerSettings};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use messages::{ServerRequest, ServerResponse};
use service::Conformance;

/// Limit of messages where the suite names none.
const LIMIT: usize = 16 * 1024 * 1024;
/// The edge gives each call a deadline; the service knows by this one that the client asked for none.
pub const UNASKED: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let request = ServerRequest::decode(received()?.as_slice())?;
    let limit = match usize::try_from(request.message_receive_limit)? {
        0 => LIMIT,
        limit => limit,
    };
    let service = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", service.local_addr()?);
    let serving =
        tonic::transport::Server::builder().serve_with_incoming(Conformance { limit }, TcpListenerStream::new(service));

    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0").await?;
    let response = ServerResponse {
        host: "127.0.0.1".to_owned(),
        port: port.local_addr()?.port().into(),
        pem_cert: request.server_creds.as_ref().map(|creds| creds.cert.clone()).unwrap_or_default(),
    };
    let mut grpc = ServerSettings { max_message_bytes: limit, ..ServerSettings::default() };
    if let Some(creds) = &request.server_creds {
        grpc.tls = Some(TlsSettings {
            certificate: written(folder.path(), "certificate.pem", &creds.cert)?,
            key: written(folder.path(), "key.pem", &creds.key)?,
            authority: written(folder.path(), "authority.pem", &creds.cert)?,
        });
    }
    let limits =
        EdgeSettings { max_resets: u32::MAX, max_connections_per_address: usize::MAX, ..EdgeSettings::default() };
    let client = ClientSettings { default_deadline: HumanDuration(UNASKED), ..ClientSettings::default() };
    let backends = vec![("conformance", url)];
    let edge = Standalone { pool: pool()?, backends, client, grpc, edge: limits, bare_errors: true };
    send(&response.encode_to_vec())?;
    tokio::select! {
        served = serving => served?,
        served = edge.serve(port, CancellationToken::new()) => served?,
    }
    Ok(())
}

/// The suite's contract.
fn pool() -> anyhow::Result<DescriptorPool> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = [own.join("tests/conformance/proto"), own.join("../../proto")];
    let mut compiler = protox::Compiler::new(roots)?;
    compiler.include_imports(true).open_file("connectrpc/conformance/v1/service.proto")?;
    Ok(DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?)
}

fn written(folder: &Path, name: &str, pem: &[u8]) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, pem)?;
    Ok(path)
}

fn received() -> anyhow::Result<Vec<u8>> {
    let mut length = [0; 4];
    std::io::stdin().read_exact(&mut length)?;
    let mut message = vec![0; usize::try_from(u32::from_be_bytes(length))?];
    std::io::stdin().read_exact(&mut message)?;
    Ok(message)
}

fn send(message: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
    out.write_all(message)?;
    Ok(out.flush()?)
}
