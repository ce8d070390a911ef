use std::os::unix::fs::PermissionsExt as _;

use flotilla_rpc::tls::{ClientTls, ServerTls};

use super::*;

fn new_home(folder: &tempfile::TempDir) -> Home {
    Home::open(folder.path(), None).unwrap()
}

async fn renew(home: &Home, renewal: Renewal, now: OffsetDateTime) -> Vec<&'static str> {
    Certs::open(home).unwrap().renew(renewal, now).await.unwrap()
}

/// The caller's identity as the server sees it, or why the connection fails.
async fn call(home: &Home, client: &str, server: &str, host: &str) -> std::io::Result<String> {
    let client = ClientTls::load(&settings(&folder(home), client)).unwrap();
    let server = ServerTls::load(&settings(&folder(home), server)).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (connected, accepted) = tokio::join!(client.connect(near, host), server.accept(far));
    connected?;
    Ok(accepted?.peer.unwrap().service)
}

#[tokio::test]
async fn services_know_each_other_by_their_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let home = new_home(&folder);
    let issued = renew(&home, Renewal::Due, OffsetDateTime::now_utc()).await;
    assert_eq!(issued.len(), names().count() + 1, "{issued:?}");
    for host in ["localhost", "127.0.0.1", "[::1]", "inventory"] {
        assert_eq!(call(&home, "orders", "inventory", host).await.unwrap(), "orders", "{host}");
    }
    assert_eq!(call(&home, DEVELOPER, "orders", "localhost").await.unwrap(), DEVELOPER);
    assert!(call(&home, "orders", "inventory", "payments").await.is_err(), "inventory is accepted as payments");
    assert!(call(&home, "orders", DEVELOPER, "localhost").await.is_err(), "the developer is accepted as a server");
}

#[tokio::test]
async fn keys_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = new_home(&folder);
    renew(&home, Renewal::Due, OffsetDateTime::now_utc()).await;
    let certs = super::folder(&home);
    assert_eq!(fs::metadata(&certs).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&certs).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_when_a_third_of_its_life_is_left_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let home = new_home(&folder);
    let made = OffsetDateTime::now_utc();
    renew(&home, Renewal::Due, made).await;
    assert_eq!(renew(&home, Renewal::Due, made + time::Duration::hours(15)).await, Vec::<&str>::new());
    let renewed = renew(&home, Renewal::Due, made + time::Duration::hours(17)).await;
    assert_eq!(renewed, names().collect::<Vec<_>>());
    fs::remove_file(super::folder(&home).join("orders.key")).unwrap();
    assert_eq!(renew(&home, Renewal::Due, made + time::Duration::hours(17)).await, ["orders"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_authority_and_the_one_before_it_are_trusted_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let home = new_home(&folder);
    let now = OffsetDateTime::now_utc();
    renew(&home, Renewal::Due, now).await;
    let certs = super::folder(&home);
    let trusted = || fs::read_to_string(certs.join("authority.pem")).unwrap().matches("BEGIN").count();
    assert_eq!(trusted(), 1);
    let old_orders = fs::read(certs.join("orders.pem")).unwrap();
    let old_key = fs::read(certs.join("orders.key")).unwrap();
    renew(&home, Renewal::Authority, now).await;
    assert_eq!(trusted(), 2);
    assert_eq!(call(&home, "orders", "inventory", "localhost").await.unwrap(), "orders");
    fs::write(certs.join("orders.pem"), old_orders).unwrap();
    fs::write(certs.join("orders.key"), old_key).unwrap();
    assert_eq!(call(&home, "orders", "inventory", "localhost").await.unwrap(), "orders");
    renew(&home, Renewal::Authority, now).await;
    assert_eq!(trusted(), 2, "the one before the last is no longer trusted");
}
