//! What the edge counts: series bounded by the contracts, and the service level indicators.

use std::collections::BTreeSet;

use serde_json::json;

use crate::fixture::Fixture;

/// The series there are, without their values.
fn series(fixture: &Fixture) -> BTreeSet<String> {
    let metrics = fixture.gateway.metrics();
    // What the gateway asks of its backends, their health first of all, has its own pace.
    let served = |line: &&str| line.starts_with("flotilla_rpc_") && !line.starts_with("flotilla_rpc_client_");
    let ours = |line: &&str| line.starts_with("flotilla_gateway_") || served(line);
    metrics.lines().filter(ours).filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Good and bad events of an indicator.
fn events(fixture: &Fixture, sli: &str) -> (u64, u64) {
    let metrics = fixture.gateway.metrics();
    let count = |result: &str| {
        let series = format!("flotilla_sli_events_total{{result=\"{result}\",sli=\"{sli}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    };
    (count("good"), count("bad"))
}

/// Asks for what isn't there, in every way there is; what can be made up is made up anew in each round.
async fn flood(fixture: &Fixture, round: usize) {
    let made_up = format!("V{round}");
    for verb in ["GET", "POST", "DELETE", made_up.as_str()] {
        for path in ["/NEW", "/v1/orders/NEW", "/v1/NEW/a", "/pkg.NEW/Get", "/flotilla.orders.v1.OrderService/NEW"] {
            let path = path.replace("NEW", &format!("n{round}"));
            for media_type in ["application/grpc-web+proto", "application/connect+json", "application/json", "a/nNEW"] {
                let media_type = media_type.replace("NEW", &round.to_string());
                fixture.call(&format!("{verb} {path}")).header("content-type", &media_type).send().await;
            }
            fixture.call(&format!("{verb} {path}")).header("content-type", "application/grpc").http2().send().await;
        }
    }
}

#[tokio::test]
async fn a_flood_of_unknown_requests_creates_no_new_series() {
    let fixture = Fixture::start().await;
    flood(&fixture, 0).await;
    let before = series(&fixture);
    flood(&fixture, 1).await;
    flood(&fixture, 2).await;
    let after = series(&fixture);
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    let told = after.iter().filter(|series| series.starts_with("flotilla_gateway_requests_total")).count();
    assert!(told <= 40, "{told} series of requests: {after:#?}");
    assert!(after.iter().all(|series| !series.contains("n0") && !series.contains("V0")), "{after:#?}");
}

#[tokio::test]
async fn failures_of_the_fleet_count_and_those_of_clients_do_not() {
    let fixture = Fixture::start().await;
    let order = json!({ "lines": [{ "product": "products/tea", "quantity": "1" }] });
    let accepted = fixture.as_customer("POST /v1/orders").key("k-1").json(&order).send().await;
    assert_eq!(accepted.status, 200, "{:?}", accepted.body);
    assert_eq!(events(&fixture, "availability"), (1, 0));
    let (soon, late) = events(&fixture, "accept_latency");
    assert_eq!(soon + late, 1, "one order was accepted, soon or late");

    // The client's own doing.
    for (line, status) in [("GET /nowhere", 404), ("PUT /v1/orders", 405), ("GET /", 200), ("GET /v1/orders", 401)] {
        assert_eq!(fixture.call(line).send().await.status, status, "{line}");
    }
    let unread = fixture.as_customer("POST /v1/orders").json(&json!({ "lines": 7 })).send().await;
    assert_eq!(unread.status, 400);
    assert_eq!(events(&fixture, "availability"), (1, 0));

    // Nobody is behind payments.
    let path = "GET /v1/accounts/00000000-0000-7000-8000-000000000007";
    assert_eq!(fixture.as_customer(path).send().await.status, 503);
    assert_eq!(events(&fixture, "availability"), (1, 1));
    assert_eq!(events(&fixture, "accept_latency"), (soon, late));
    let metrics = fixture.gateway.metrics();
    assert!(metrics.contains("flotilla_slo_objective_ratio{sli=\"availability\"} 0.999"), "{metrics}");
}
