//! A cancelled call stops its work, down to the statement in the database.

use std::time::Duration;

use flotilla_postgres::{Pool, PostgresSettings};
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::inventory::v1::stock_service_server::{StockService, StockServiceServer};
use flotilla_proto::inventory::v1::{AdjustStockRequest, GetStockRequest, Stock};
use flotilla_rpc::{Access, AccessRules, ClientSettings, Server, ServerSettings, channel};
use flotilla_service::storage_error;
use flotilla_telemetry::Registry;
use flotilla_testkit::{Database, eventually, stack};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

const TIMEOUT: Duration = flotilla_testkit::TIMEOUT;
const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE datname = $1 AND state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";

/// Runs a statement that takes a minute.
struct Slow(Pool);

#[tonic::async_trait]
impl StockService for Slow {
    async fn get_stock(&self, _: Request<GetStockRequest>) -> Result<Response<Stock>, Status> {
        let work = async {
            let tx = self.0.begin_as(Uuid::nil()).await?;
            tx.query("SELECT pg_sleep(60)", &[]).await?;
            tx.commit().await
        };
        work.await.map_err(storage_error)?;
        Ok(Response::new(Stock::default()))
    }

    async fn adjust_stock(&self, _: Request<AdjustStockRequest>) -> Result<Response<Stock>, Status> {
        Err(Status::unimplemented(""))
    }
}

async fn until_running(database: &Database, count: i64) {
    eventually("statements run, or have ended", TIMEOUT, || async {
        database.value::<i64>(RUNNING, &[&database.name]).await == count
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_or_timed_out_call_leaves_no_statement_behind() {
    let database = stack().await.database("inventory", Vec::new()).await;
    let postgres = PostgresSettings { statement_timeout: Duration::from_secs(50).into(), ..database.settings() };
    let registry = Registry::new();
    let pool = Pool::connect("user", &postgres.user_url, &postgres, &registry).unwrap();
    let rules = AccessRules::new().allow("/flotilla.inventory.v1.StockService/GetStock", Access::Public);
    let settings = ServerSettings { default_deadline: Duration::from_secs(40).into(), ..ServerSettings::default() };
    let server = Server::new(&settings, None, rules, &registry).add(StockServiceServer::new(Slow(pool)));
    let listener = TcpListener::bind(settings.listen).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
    let client = StockServiceClient::new(channel(&url, &ClientSettings::default()).unwrap());
    let ask = |timeout| {
        let mut client = client.clone();
        let mut request = Request::new(GetStockRequest { name: "products/tea/stock".to_owned() });
        request.set_timeout(timeout);
        tokio::spawn(async move { client.get_stock(request).await })
    };

    // The client cancels.
    let call = ask(Duration::from_secs(40));
    until_running(&database, 1).await;
    call.abort();
    until_running(&database, 0).await;

    // The deadline passes.
    let status = ask(Duration::from_millis(700)).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    until_running(&database, 0).await;

    shutdown.cancel();
    serving.await.unwrap().unwrap();
}
