//! Rules for peers, over a real server with mutual TLS: the catalogue's batch get is open to orders alone.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{BatchGetProductsRequest, BatchGetProductsResponse};
use flotilla_rpc::tls::{ClientTls, PeerIdentity, TlsSettings};
use flotilla_rpc::{AccessRules, Channel, ClientSettings, Details, Server, ServerSettings, channel};
use flotilla_telemetry::Registry;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Request, Response, Status};

use crate::authority::{Authority, Wanted};
use crate::catalogue::Catalogue;

const TIMEOUT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// Answers with nothing, if it is told who calls and from where.
fn require_caller(request: &Request<BatchGetProductsRequest>) -> Result<BatchGetProductsResponse, Status> {
    if request.extensions().get::<PeerIdentity>().is_none() || request.remote_addr().is_none() {
        return Err(Status::data_loss("nobody knows who calls"));
    }
    Ok(BatchGetProductsResponse::default())
}

struct Inventory {
    authority: Authority,
    address: String,
    _shutdown: DropGuard,
}

impl Inventory {
    async fn start() -> Self {
        let authority = Authority::new();
        let settings = ServerSettings { tls: Some(authority.service("inventory")), ..ServerSettings::default() };
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server =
            Server::new(&settings, None, AccessRules::declared(), &Registry::new()).add(Catalogue(require_caller));
        let shutdown = CancellationToken::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { authority, address, _shutdown: shutdown.drop_guard() }
    }

    fn as_service(&self, name: &str) -> Channel {
        self.with(self.authority.service(name))
    }

    fn with(&self, tls: TlsSettings) -> Channel {
        let settings = ClientSettings { tls: Some(tls), ..ClientSettings::default() };
        channel(&format!("https://{}", self.address), &settings).unwrap()
    }

    /// The certificate that it shows on a new connection.
    async fn shown(&self, client: &Arc<ClientTls>) -> CertificateDer<'static> {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        let connected = client.connect(tcp, "127.0.0.1").await.unwrap();
        connected.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

async fn batch_get(channel: Channel) -> Result<BatchGetProductsResponse, Status> {
    let request = BatchGetProductsRequest { names: vec!["products/a".to_owned()] };
    timeout(TIMEOUT, CatalogServiceClient::new(channel).batch_get_products(request))
        .await
        .expect("an answer in time")
        .map(Response::into_inner)
}

#[tokio::test]
async fn only_orders_may_call_the_catalogues_batch_get() {
    let inventory = Inventory::start().await;
    batch_get(inventory.as_service("orders")).await.unwrap();
    for other in ["payments", "gateway", "developer", "inventory"] {
        let refusal = batch_get(inventory.as_service(other)).await.unwrap_err();
        assert_eq!(refusal.code(), Code::PermissionDenied, "{other}: {refusal}");
        assert_eq!(Details::of(&refusal).reason.as_deref(), Some("PEER_NOT_ALLOWED"), "{other}");
    }
}

#[tokio::test]
async fn a_client_outside_the_fleet_reaches_no_method() {
    let inventory = Inventory::start().await;
    let orders: &[_] = &["spiffe://flotilla/orders"];
    let minutes = time::Duration::minutes;
    let ended = Wanted { file: "ended", uris: orders, begins_in: minutes(-5), ends_in: minutes(-1) };
    let ended = ClientSettings { tls: Some(inventory.authority.issue(&ended)), ..ClientSettings::default() };
    let refused = channel(&format!("https://{}", inventory.address), &ended).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("it expired"), "{refused}");

    let other = Authority::new();
    let foreign = TlsSettings { authority: inventory.authority.service("orders").authority, ..other.service("orders") };
    let refused = batch_get(inventory.with(foreign)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");

    let plain = channel(&format!("http://{}", inventory.address), &ClientSettings::default()).unwrap();
    let refused = batch_get(plain).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
}

#[tokio::test]
async fn a_running_server_reloads_its_certificate_and_open_connections_continue() {
    let inventory = Inventory::start().await;
    let orders = inventory.as_service("orders");
    batch_get(orders.clone()).await.unwrap();
    let client = ClientTls::load(&inventory.authority.service("orders")).unwrap();
    let before = inventory.shown(&client).await;

    inventory.authority.service("inventory");
    let deadline = Instant::now() + TIMEOUT;
    while inventory.shown(&client).await == before {
        assert!(Instant::now() < deadline, "the server still shows its old certificate");
        sleep(PAUSE).await;
    }
    batch_get(orders).await.unwrap();
}

#[tokio::test]
async fn a_client_without_a_handshake_delays_no_other() {
    let inventory = Inventory::start().await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(&inventory.address).await.unwrap());
    }
    batch_get(inventory.as_service("orders")).await.unwrap();
}
