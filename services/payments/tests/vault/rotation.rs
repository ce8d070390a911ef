//! Leases that are renewed, credentials that change, a token that is revoked; all without a restart.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flotilla_auth::Role;
use flotilla_proto::google::r#type::Money;
use flotilla_proto::payments::v1::payment_service_client::PaymentServiceClient;
use flotilla_proto::payments::v1::{GetAccountRequest, TopUpAccountRequest};
use flotilla_rpc::{ClientSettings, channel};
use flotilla_testkit::{TestIdentity, stack};
use tokio::task::JoinHandle;
use tonic::Status;
use uuid::Uuid;

use crate::bao::Bao;
use crate::database::Database;
use crate::process::Process;

const APPLIED: &str = "flotilla_config_reloads_total{result=\"applied\"}";
const REFUSED: &str = "flotilla_config_reloads_total{result=\"refused\"}";
const ISSUED: &str = "flotilla_secret_refreshes_total{result=\"issued\",store=\"vault\"}";
const RENEWED: &str = "flotilla_secret_refreshes_total{result=\"renewed\",store=\"vault\"}";

/// A migrated database, whose credentials last so long and can be renewed so far.
async fn database(bao: &Bao, lasts: &str, longest: &str) -> Database {
    let database = Database::start(bao, "payments").await;
    flotilla_postgres::migrate(&database.owner, flotilla_payments::migrations()).await.unwrap();
    database.role("system", lasts, longest).await;
    database.role("user", lasts, longest).await;
    database
}

/// A token that lets payments have its two credentials and nothing else.
async fn token(bao: &Bao, database: &Database) -> String {
    bao.token(&[&format!("{}/creds/system", database.mount), &format!("{}/creds/user", database.mount)]).await
}

async fn start(bao: &Bao, database: &Database, identity: &TestIdentity, folder: &Path) -> Process {
    let (system, user) = (database.reference("system"), database.reference("user"));
    Process::start(
        folder,
        &[
            ("FLOTILLA__POSTGRES__SYSTEM_URL", &system),
            ("FLOTILLA__POSTGRES__USER_URL", &user),
            ("FLOTILLA__NATS__URL", &stack().await.nats_url()),
            ("FLOTILLA__AUTH__IDENTITY_URL", &identity.auth_settings().identity_url),
            ("FLOTILLA__SECRETS__VAULT__TOKEN_PATH", &folder.join("token").to_string_lossy()),
            ("VAULT_ADDR", &bao.address),
        ],
    )
}

/// Calls that read as the user and write as the system, until stopped; any that fails is the result.
fn load(
    url: &str,
    identity: &TestIdentity,
    customer: Uuid,
    stop: &Arc<AtomicBool>,
    calls: &Arc<AtomicU64>,
) -> JoinHandle<Result<(), Status>> {
    // Without retries, so that no failure is hidden.
    let settings = ClientSettings { retry_attempts: 1, ..ClientSettings::default() };
    let as_role = |user, role| {
        let channel = channel(url, &settings).unwrap().with_token(&identity.token(user, role)).unwrap();
        PaymentServiceClient::new(channel)
    };
    let (mut reader, mut writer) = (as_role(customer, Role::Customer), as_role(Uuid::max(), Role::Operator));
    let (stop, calls) = (Arc::clone(stop), Arc::clone(calls));
    tokio::spawn(async move {
        let name = format!("accounts/{customer}");
        while !stop.load(Ordering::Relaxed) {
            let amount = Some(Money { currency_code: "USD".to_owned(), units: 1, nanos: 0 });
            let request_id = format!("top-up-{}", calls.fetch_add(1, Ordering::Relaxed));
            writer.top_up_account(TopUpAccountRequest { name: name.clone(), amount, request_id }).await?;
            reader.get_account(GetAccountRequest { name: name.clone() }).await?;
        }
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_renewed_and_replaced_under_load_and_a_revoked_token_costs_a_reload() {
    let (bao, identity) = (Bao::running(), TestIdentity::start().await);
    let database = database(&bao, "5s", "9s").await;
    let customer = Uuid::from_u128(0x77);
    database.run(&format!("INSERT INTO accounts (customer_id, currency) VALUES ('{customer}', 'USD')")).await;
    let folder = tempfile::tempdir().unwrap();
    let first = token(&bao, &database).await;
    std::fs::write(folder.path().join("token"), &first).unwrap();
    let mut payments = start(&bao, &database, &identity, folder.path()).await;
    payments.until("ready", async |payments| payments.is_ready().await).await;
    assert_eq!(payments.metric(ISSUED).await, 2, "one credential for each role");

    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load = load(&payments.grpc, &identity, customer, &stop, &calls);
    payments.until("leases are renewed", async |payments| payments.metric(RENEWED).await >= 2).await;
    payments.until("credentials are replaced twice", async |payments| payments.metric(ISSUED).await >= 6).await;
    payments.until("they are adopted", async |payments| payments.metric(APPLIED).await >= 2).await;
    let before = calls.load(Ordering::Relaxed);
    payments.until("calls go on", async |_| calls.load(Ordering::Relaxed) > before + 20).await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap().expect("no call failed");
    assert_eq!(payments.metric(REFUSED).await, 0);

    bao.run(&["token", "revoke", &first]).await;
    payments.until("the refusal is counted", async |payments| payments.metric(REFUSED).await >= 1).await;
    let config = payments.config().await;
    let refused = config["refused"].as_str().unwrap_or_default();
    assert!(refused.contains("postgres.system_url: its secret can't be read: Vault refuses the token"), "{config}");
    let version = config["version"].as_u64().unwrap();
    assert!(version >= 3, "what held before holds on: {config}");

    let second = token(&bao, &database).await;
    std::fs::write(folder.path().join("token"), &second).unwrap();
    payments.until("a new token is taken", async |payments| payments.config().await["refused"].is_null()).await;
    payments.until("ready again", async |payments| payments.is_ready().await).await;
    let shown = payments.config().await.to_string();
    assert!(payments.stop().await.success(), "{}", payments.output());
    let output = format!("{}{shown}", payments.output());
    for token in [&first, &second] {
        assert!(!output.contains(token.as_str()), "a token is shown");
    }
    assert!(!output.contains("postgres://v-"), "an address with credentials is shown:\n{output}");
    assert!(payments.output().contains("configuration reload refused"));
    database.stop().await;
}

#[tokio::test]
async fn a_service_that_may_not_have_its_secrets_does_not_start_and_says_why() {
    let (bao, identity) = (Bao::running(), TestIdentity::start().await);
    let database = database(&bao, "1m", "1m").await;
    let folder = tempfile::tempdir().unwrap();
    let token = bao.token(&[&format!("{}/creds/system", database.mount)]).await;
    std::fs::write(folder.path().join("token"), &token).unwrap();
    let mut payments = start(&bao, &database, &identity, folder.path()).await;
    assert!(!payments.ended().await.success());
    let output = payments.output();
    assert!(output.contains("postgres.user_url: its secret can't be read: Vault denies"), "{output}");
    assert!(!output.contains("postgres.system_url"), "{output}");
    assert!(!output.contains(&token), "{output}");
    database.stop().await;
}
