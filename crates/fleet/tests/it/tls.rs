//! A fleet with mutual TLS everywhere: its own come in, strangers don't, and certificates change under way.

use std::time::Duration;

use flotilla_fleet::{SERVICES, certs, command::workload, home::state::State};
use flotilla_proto::inventory::v1::{
    BatchGetProductsRequest, ListProductsRequest, catalog_service_client::CatalogServiceClient,
};
use flotilla_rpc::{Channel, ClientSettings, Details, channel, tls::ClientTls};
use flotilla_workload::client::Api;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tonic::Code;

use crate::lifecycle::Own;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const DEMO: [&str; 7] = ["demo", "--products", "8", "--customers", "2", "--orders", "20"];

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_with_tls_serves_only_clients_with_its_certificates() {
    let own = Own::new("tls");
    let up = own.run(&["up", "--tls"]).await;
    assert!(up.success, "{up:?}");
    let state = State::of_running(&own.0).unwrap();
    for service in SERVICES {
        let url = state.url(service).unwrap();
        assert!(url.starts_with("https://") && up.stdout.contains(&url), "{service} isn't shown with TLS: {up:?}");
        assert_closed_to_plaintext(&state.member(service).unwrap().address).await;
    }
    let env = std::fs::read_to_string(own.0.env()).unwrap();
    assert!(env.contains("FLOTILLA_GATEWAY_URL='https://") && env.contains("FLOTILLA_TLS_AUTHORITY="), "{env}");

    let demo = own.run(&DEMO).await;
    assert!(demo.success, "{demo:?}");
    assert_batch_get_is_for_orders_alone(&own, &state).await;
    assert_renewed_without_restart(&own, &state).await;

    let restart = own.run(&["restart"]).await;
    assert!(restart.success && restart.stdout.contains("https://"), "a restart forgets TLS: {restart:?}");
    let again = own.run(&["up"]).await;
    assert!(again.success, "a second up without a wish leaves the fleet as it is: {again:?}");
    let demo = own.run(&DEMO).await;
    assert!(demo.success, "{demo:?}");
    assert!(own.run(&["down"]).await.success);
}

/// Whoever begins with anything but TLS is turned away, in time and without an answer in HTTP.
async fn assert_closed_to_plaintext(address: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    // Reset or closed; a word before it is TLS's own alert (record type 21).
    assert!(ended.is_ok(), "{address} waits on");
    assert!(heard.is_empty() || heard[0] == 21, "{address} answers: {heard:?}");
}

fn service(state: &State, name: &str, identity: &str) -> Channel {
    let tls = certs::settings(state.certificates.as_ref().unwrap(), identity);
    channel(&state.url(name).unwrap(), &ClientSettings { tls: Some(tls), ..ClientSettings::default() }).unwrap()
}

async fn assert_batch_get_is_for_orders_alone(own: &Own, state: &State) {
    let request = || {
        let names = vec!["products/0".to_owned()];
        BatchGetProductsRequest { names }
    };
    let orders = service(state, "inventory", "orders");
    let answer = CatalogServiceClient::new(orders).batch_get_products(request()).await;
    let code = answer.err().map_or(Code::Ok, |status| status.code());
    assert!(matches!(code, Code::Ok | Code::NotFound), "orders may ask: {code:?}");
    for other in ["payments", certs::DEVELOPER] {
        let other = service(state, "inventory", other);
        let refusal = CatalogServiceClient::new(other).batch_get_products(request()).await.unwrap_err();
        assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
        assert_eq!(Details::of(&refusal).reason.as_deref(), Some("PEER_NOT_ALLOWED"));
    }
    // By way of the gateway, which shows its own certificate, nobody gets there either.
    let operator =
        Api::of(&workload::fleet(&own.0).unwrap()).unwrap().operator(&workload::fleet(&own.0).unwrap()).await.unwrap();
    let mut asked = tonic::Request::new(request());
    asked.metadata_mut().insert("authorization", operator.authorization());
    let gateway = Api::of(&workload::fleet(&own.0).unwrap()).unwrap().channel();
    let refusal = CatalogServiceClient::new(gateway).batch_get_products(asked).await.unwrap_err();
    assert!(matches!(refusal.code(), Code::PermissionDenied | Code::Unimplemented), "{refusal}");
}

/// New certificates, by the same authority and by a new one, are shown on new connections; open ones go on.
async fn assert_renewed_without_restart(own: &Own, state: &State) {
    let gateway = Api::of(&workload::fleet(&own.0).unwrap()).unwrap().channel();
    list(&gateway).await;
    for renewal in ["--renew", "--renew-authority"] {
        let before = shown(state).await;
        let renewed = own.run(&["certs", renewal]).await;
        assert!(renewed.success && renewed.stdout.contains("spiffe://flotilla/orders"), "{renewed:?}");
        let deadline = Instant::now() + PATIENCE;
        while shown(state).await == before {
            assert!(Instant::now() < deadline, "orders still shows its old certificate after {renewal}");
            sleep(PAUSE).await;
        }
        list(&gateway).await;
    }
    let after = State::of_running(&own.0).unwrap();
    for (before, after) in state.members.iter().zip(&after.members) {
        assert_eq!(before.pid, after.pid, "{} was restarted", before.name);
    }
    let demo = own.run(&DEMO).await;
    assert!(demo.success, "{demo:?}");
}

async fn list(gateway: &Channel) {
    CatalogServiceClient::new(gateway.clone()).list_products(ListProductsRequest::default()).await.unwrap();
}

/// The certificate that orders shows on a new connection.
async fn shown(state: &State) -> Vec<u8> {
    let files = certs::settings(state.certificates.as_ref().unwrap(), "payments");
    let tcp = TcpStream::connect(&state.member("orders").unwrap().address).await.unwrap();
    let connected = ClientTls::load(&files).unwrap().connect(tcp, "127.0.0.1").await.unwrap();
    connected.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}
