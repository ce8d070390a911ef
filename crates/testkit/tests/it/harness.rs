//! A service in the test process that authenticates its callers.

use flotilla_auth::{AuthSettings, Role};
use flotilla_config::{Setting, Validate};
use flotilla_postgres::{Pool, PostgresSettings};
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::inventory::v1::stock_service_server::{StockService, StockServiceServer};
use flotilla_proto::inventory::v1::{AdjustStockRequest, GetStockRequest, Stock};
use flotilla_rpc::{Access, AccessRules, ClientSettings, Details, Server, ServerSettings, caller};
use flotilla_service::remote::RemoteSettings;
use flotilla_service::{Chassis, Common, Running, Service, ServiceSettings};
use flotilla_telemetry::{Telemetry, TelemetrySettings};
use flotilla_testkit::{ServiceHarness, TestIdentity, eventually, stack};
use tonic::{Request, Response, Status};
use uuid::Uuid;

struct Toy;

#[derive(Clone, Setting)]
struct Settings {
    service: ServiceSettings,
    telemetry: TelemetrySettings,
    remote: RemoteSettings,
    server: ServerSettings,
    auth: AuthSettings,
    postgres: PostgresSettings,
}

impl Validate for Settings {}

impl Service for Toy {
    const NAME: &'static str = "toy";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common {
            service: &settings.service,
            telemetry: &settings.telemetry,
            remote: &settings.remote,
            postgres: Some(&settings.postgres),
            grpc: None,
            client: None,
        }
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut chassis = Chassis::new(Self::NAME, &settings.service, telemetry.registry());
        let pool = Pool::connect("user", &settings.postgres.user_url, &settings.postgres, telemetry.registry())?;
        chassis.check_database("database", &pool);
        let authenticator = chassis.authenticator(&settings.auth, &ClientSettings::default())?;
        let rules = AccessRules::new().allow("/flotilla.inventory.v1.StockService/GetStock", Access::Authenticated);
        let server = Server::new(&settings.server, Some(authenticator), rules, telemetry.registry())
            .add(StockServiceServer::new(Shop));
        chassis.start(server, settings.server.listen).await
    }
}

struct Shop;

#[tonic::async_trait]
impl StockService for Shop {
    async fn get_stock(&self, request: Request<GetStockRequest>) -> Result<Response<Stock>, Status> {
        let name = caller(&request)?.user.to_string();
        Ok(Response::new(Stock { name, ..Stock::default() }))
    }

    async fn adjust_stock(&self, _: Request<AdjustStockRequest>) -> Result<Response<Stock>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn request() -> GetStockRequest {
    GetStockRequest { name: "products/tea/stock".to_owned() }
}

#[tokio::test]
async fn a_service_in_the_test_process_authenticates_its_callers() {
    let identity = TestIdentity::start().await;
    let database = stack().await.database("orders", Vec::new()).await;
    let toy = ServiceHarness::start::<Toy>(Settings {
        service: ServiceSettings::default(),
        telemetry: TelemetrySettings::default(),
        remote: RemoteSettings::default(),
        server: ServerSettings::default(),
        auth: identity.auth_settings(),
        postgres: database.settings(),
    })
    .await;
    let user = Uuid::from_u128(7);

    let known = toy.channel_as(&identity.token(user, Role::Customer));
    let stock = StockServiceClient::new(known).get_stock(request()).await.unwrap();
    assert_eq!(stock.into_inner().name, user.to_string());

    let late = toy.channel_as(&identity.expired_token(user, Role::Customer));
    let status = StockServiceClient::new(late).get_stock(request()).await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("TOKEN_EXPIRED"));
    let status = StockServiceClient::new(toy.channel()).get_stock(request()).await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("TOKEN_MISSING"));

    let session = Uuid::from_u128(70);
    let known = toy.channel_as(&identity.token_of(user, Role::Customer, session));
    StockServiceClient::new(known.clone()).get_stock(request()).await.unwrap();
    identity.end(session);
    eventually("the session is revoked", flotilla_testkit::TIMEOUT, || async {
        let status = StockServiceClient::new(known.clone()).get_stock(request()).await.err().ok_or("accepted")?;
        let reason = Details::of(&status).reason.unwrap_or_default();
        if reason == "SESSION_REVOKED" { Ok(()) } else { Err(reason) }
    })
    .await;

    assert!(toy.metrics().contains("flotilla_rpc_requests_total"));
    toy.stop().await;
}
