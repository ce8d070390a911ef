//! Calls over the network of one process: no socket, the peer's name as its proof, limits and drain as over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{BatchGetProductsRequest, BatchGetProductsResponse, Product};
use flotilla_rpc::tls::PeerIdentity;
use flotilla_rpc::{AccessRules, Channel, ClientSettings, Details, LocalNetwork, Server, ServerSettings, channel};
use flotilla_telemetry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use crate::catalogue::Catalogue;

const TIMEOUT: Duration = Duration::from_secs(120);

/// Tells who calls and from where, as the name of a product.
fn name_caller(request: &Request<BatchGetProductsRequest>) -> Result<BatchGetProductsResponse, Status> {
    let peer = request.extensions().get::<PeerIdentity>().map_or("nobody", |peer| peer.service.as_str());
    let from = request.remote_addr().map_or("a pipe", |_| "a socket");
    let product = Product { name: format!("{peer} over {from}"), ..Product::default() };
    Ok(BatchGetProductsResponse { products: vec![product] })
}

struct Inventory {
    network: LocalNetwork,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), flotilla_rpc::ServeError>>,
}

impl Inventory {
    async fn start(settings: ServerSettings) -> Self {
        let network = LocalNetwork::default();
        settings.local.join(&network, "inventory");
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        network.expect(address);
        let server =
            Server::new(&settings, None, AccessRules::declared(), &Registry::new()).add(Catalogue(name_caller));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { network, address, shutdown, serving }
    }

    fn as_service(&self, name: &str) -> Channel {
        let settings = ClientSettings::default();
        settings.local.join(&self.network, name);
        self.channel(&settings)
    }

    fn channel(&self, settings: &ClientSettings) -> Channel {
        channel(&format!("http://{}", self.address), settings).unwrap()
    }
}

async fn ask(channel: &Channel) -> Result<String, Status> {
    let request = BatchGetProductsRequest { names: vec!["products/a".to_owned()] };
    let mut client = CatalogServiceClient::new(channel.clone());
    let asked = timeout(TIMEOUT, client.batch_get_products(request));
    Ok(asked.await.expect("an answer in time")?.into_inner().products[0].name.clone())
}

#[tokio::test]
async fn a_service_of_the_process_is_called_over_a_pipe_and_others_over_tcp() {
    let inventory = Inventory::start(ServerSettings::default()).await;
    assert_eq!(ask(&inventory.as_service("orders")).await.unwrap(), "orders over a pipe");
    let outside = inventory.channel(&ClientSettings::default());
    assert_eq!(ask(&outside).await.unwrap(), "nobody over a socket");
}

#[tokio::test]
async fn a_peers_name_counts_also_without_certificates() {
    let inventory = Inventory::start(ServerSettings::default()).await;
    for other in ["payments", "gateway"] {
        let refusal = ask(&inventory.as_service(other)).await.unwrap_err();
        assert_eq!(refusal.code(), Code::PermissionDenied, "{other}: {refusal}");
        assert_eq!(Details::of(&refusal).reason.as_deref(), Some("PEER_NOT_ALLOWED"), "{other}");
    }
}

#[tokio::test]
async fn clients_that_take_all_slots_leave_the_processs_own_services_in() {
    let inventory = Inventory::start(ServerSettings { max_connections: 1, ..ServerSettings::default() }).await;
    let outside = inventory.channel(&ClientSettings::default());
    ask(&outside).await.unwrap();
    assert_eq!(ask(&inventory.as_service("orders")).await.unwrap(), "orders over a pipe");
    assert_eq!(ask(&outside).await.unwrap(), "nobody over a socket", "it wasn't evicted for the pipe");
}

#[tokio::test]
async fn a_drained_server_ends_and_refuses_further_pipes() {
    let inventory = Inventory::start(ServerSettings::default()).await;
    let orders = inventory.as_service("orders");
    ask(&orders).await.unwrap();
    inventory.shutdown.cancel();
    timeout(TIMEOUT, inventory.serving).await.expect("it drains in time").unwrap().unwrap();
    assert_eq!(ask(&orders).await.unwrap_err().code(), Code::Unavailable);
}
