//! The number of series is bounded by the contracts, whatever clients send.

use std::collections::BTreeSet;

use http::Request;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::toy::{Toy, settings};

/// The series there are, without their values.
fn series(toy: &Toy) -> BTreeSet<String> {
    let metrics = toy.metrics();
    let lines = metrics.lines().filter(|line| line.starts_with("flotilla_rpc_"));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Calls methods that nobody has heard of, no name twice.
async fn flood(toy: &Toy, round: usize) {
    for number in 0..100 {
        let path = match number % 4 {
            0 => format!("/flotilla.inventory.v1.StockService/Method{round}x{number}"),
            1 => format!("/some.Service{round}x{number}/Get"),
            2 => format!("/path{round}x{number}"),
            _ => format!("/flotilla.inventory.v1.StockService/GetStock/{round}x{number}"),
        };
        let request = Request::post(path).header("content-type", "application/grpc").body(Body::empty()).unwrap();
        let response = toy.channel.clone().oneshot(request).await.unwrap();
        assert!(response.headers().contains_key("grpc-status"), "{response:?}");
    }
}

#[tokio::test]
async fn unknown_methods_share_one_series() {
    let toy = Toy::start(settings()).await;
    flood(&toy, 0).await;
    let before = series(&toy);
    flood(&toy, 1).await;
    let after = series(&toy);
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new(), "new names make new series");
    assert!(after.iter().all(|series| !series.contains("0x") && !series.contains("1x")), "{after:?}");
    let unknown = after.iter().filter(|series| series.contains("unknown") && series.contains("requests_total"));
    assert_eq!(unknown.count(), 1, "all of them ended alike");
}
