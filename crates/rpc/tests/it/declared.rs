//! The policies of the contracts: each method has one, and a server lets nobody past it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use flotilla_auth::{AuthSettings, Authenticator, Role, StaticKeys, TokenSigner};
use flotilla_proto::policy::{self, Access};
use flotilla_rpc::{AccessRules, Details, Server, ServerSettings};
use flotilla_telemetry::Registry;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

/// Services of the fleet that answer everything with nothing.
macro_rules! stubs {
    ($($stub:ident = $name:literal),* $(,)?) => {
        const STUBS: &[&str] = &[$($name),*];

        $(#[derive(Clone)]
        struct $stub;

        impl NamedService for $stub {
            const NAME: &'static str = $name;
        }

        impl Service<http::Request<Body>> for $stub {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = Ready<Result<Self::Response, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: http::Request<Body>) -> Self::Future {
                ready(Ok(Status::ok("reached").into_http()))
            }
        })*

        fn with_stubs(server: Server) -> Server {
            server$(.add($stub))*
        }
    };
}

stubs! {
    Auth = "flotilla.identity.v1.AuthService",
    Users = "flotilla.identity.v1.UserService",
    Catalogue = "flotilla.inventory.v1.CatalogService",
    StockRoom = "flotilla.inventory.v1.StockService",
    Notifications = "flotilla.notification.v1.NotificationService",
    Orders = "flotilla.orders.v1.OrderService",
    Payments = "flotilla.payments.v1.PaymentService",
}

/// Who knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visitor {
    Nobody,
    Customer,
    Operator,
}

fn signer() -> TokenSigner {
    let auth = AuthSettings::default();
    TokenSigner::from_seed(&[3; 32], "k", &auth.issuer, &auth.audience).unwrap()
}

/// How every method answers to `visitor`: code and reason.
async fn knock(rules: AccessRules, visitor: Visitor) -> Vec<(&'static policy::MethodPolicy, Code, String)> {
    let (auth, signer) = (AuthSettings::default(), signer());
    let authenticator = Authenticator::new(&auth, std::sync::Arc::new(StaticKeys::new([signer.verifying_key()])));
    let server = Server::new(&ServerSettings::default(), Some(authenticator), rules, &Registry::new());
    let service = with_stubs(server).into_service(&CancellationToken::new()).unwrap();
    let role = match visitor {
        Visitor::Nobody => None,
        Visitor::Customer => Some(Role::Customer),
        Visitor::Operator => Some(Role::Operator),
    };
    let token = role.map(|role| format!("Bearer {}", crate::toy::token(&signer, role)));
    let mut answers = Vec::new();
    for method in policy::methods() {
        let mut request = http::Request::post(&method.path).body(Body::empty()).unwrap();
        if let Some(token) = &token {
            request.headers_mut().insert(http::header::AUTHORIZATION, token.parse().unwrap());
        }
        let response = service.clone().oneshot(request).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        answers.push((method, status.code(), Details::of(&status).reason.unwrap_or_default()));
    }
    answers
}

#[test]
fn the_stubs_cover_all_services_of_the_fleet() {
    let described: BTreeSet<_> = policy::methods().iter().map(|method| method.service.as_str()).collect();
    assert_eq!(described, STUBS.iter().copied().collect());
}

#[tokio::test]
async fn a_server_allows_only_the_callers_that_the_contract_names() {
    for visitor in [Visitor::Nobody, Visitor::Customer, Visitor::Operator] {
        for (method, code, reason) in knock(AccessRules::declared(), visitor).await {
            let expected = match (method.access, visitor) {
                (None, _) => panic!("{} has no policy", method.path),
                // Without certificates the network keeps strangers away from these.
                (Some(Access::Public | Access::Peer), _) => (Code::Ok, ""),
                (Some(_), Visitor::Nobody) => (Code::Unauthenticated, "TOKEN_MISSING"),
                (Some(Access::Operator), Visitor::Customer) => (Code::PermissionDenied, "OPERATOR_REQUIRED"),
                (Some(_), _) => (Code::Ok, ""),
            };
            assert_eq!((code, reason.as_str()), expected, "{} for {visitor:?}", method.path);
        }
    }
}

#[tokio::test]
async fn a_server_without_rules_denies_every_call() {
    for (method, code, reason) in knock(AccessRules::new(), Visitor::Operator).await {
        assert_eq!((code, reason.as_str()), (Code::PermissionDenied, "METHOD_NOT_ALLOWED"), "{}", method.path);
    }
}
