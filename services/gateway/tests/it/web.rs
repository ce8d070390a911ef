//! What browsers and caches rely on: cross-origin leave, tags, packing, the description and its page.

use flate2::read::GzDecoder;
use serde_json::json;
use std::io::Read as _;

use crate::fixture::Fixture;
use crate::http::Reply;

const ORDER: &str = "GET /v1/orders/00000000-0000-7000-8000-000000000001";

fn unpacked(reply: &Reply) -> Vec<u8> {
    assert_eq!(reply.headers["content-encoding"], "gzip");
    let mut plain = Vec::new();
    GzDecoder::new(reply.body.as_ref()).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call_and_read_in_every_protocol() {
    let fixture = Fixture::with(|settings| settings.edge.cors_origins = vec!["https://shop.example".to_owned()]).await;
    for path in ["/v1/orders", "/flotilla.orders.v1.OrderService/PlaceOrder"] {
        let asks = |origin: &str| {
            let call = fixture.call(&format!("OPTIONS {path}")).header("origin", origin);
            call.header("access-control-request-method", "POST").send()
        };
        let leave = asks("https://shop.example").await;
        assert_eq!(leave.status, 204);
        assert_eq!(leave.headers["access-control-allow-origin"], "https://shop.example");
        assert!(!asks("https://evil.example").await.headers.contains_key("access-control-allow-origin"));
    }
    let read = fixture.as_customer(ORDER).header("origin", "https://shop.example").send().await;
    assert_eq!(read.headers["access-control-allow-origin"], "https://shop.example");
    assert!(read.headers["access-control-expose-headers"].to_str().unwrap().contains("etag"));
    let refused = fixture.call(ORDER).header("origin", "https://shop.example").send().await;
    assert_eq!((refused.status.as_u16(), refused.headers.contains_key("access-control-allow-origin")), (401, true));
}

#[tokio::test]
async fn a_client_that_has_the_response_gets_304() {
    let fixture = Fixture::start().await;
    let tag = fixture.as_customer(ORDER).send().await.headers["etag"].to_str().unwrap().to_owned();
    let again = fixture.as_customer(ORDER).header("if-none-match", &tag).send().await;
    assert_eq!((again.status.as_u16(), again.body.len(), again.headers["etag"] == tag.as_str()), (304, 0, true));
    assert_eq!(fixture.as_customer(ORDER).header("if-none-match", "\"other\"").send().await.status, 200);
}

#[tokio::test]
async fn bodies_are_compressed_in_both_directions() {
    let fixture = Fixture::start().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let lines: Vec<_> = (0..50).map(|at| json!({"product": format!("products/p{at}"), "quantity": 1})).collect();
    std::io::Write::write_all(&mut encoder, json!({"lines": lines}).to_string().as_bytes()).unwrap();
    let call = fixture.as_customer("POST /v1/orders").key("k").header("content-type", "application/json");
    let call = call.header("content-encoding", "gzip").header("accept-encoding", "gzip");
    let reply = call.bytes(encoder.finish().unwrap()).send().await;
    let placed: serde_json::Value = serde_json::from_slice(&unpacked(&reply)).unwrap();
    assert_eq!(placed["lines"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn the_description_and_its_page_use_only_the_gateway() {
    let fixture = Fixture::start().await;
    let description = fixture.call("GET /openapi.json").send().await;
    assert_eq!(description.json()["openapi"], "3.1.1");
    let packed = fixture.call("GET /openapi.json").header("accept-encoding", "gzip").send().await;
    assert_eq!(unpacked(&packed), description.body);
    let tag = description.headers["etag"].to_str().unwrap();
    assert_eq!(fixture.call("GET /openapi.json").header("if-none-match", tag).send().await.status, 304);
    for (path, kind) in [
        ("/docs", "text/html"),
        ("/docs/start.js", "text/javascript"),
        ("/docs/swagger-ui.js", "text/javascript"),
        ("/docs/swagger-ui.css", "text/css"),
    ] {
        let reply = fixture.call(&format!("GET {path}")).send().await;
        assert!(reply.status == 200 && reply.headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    }
    assert_eq!(fixture.call("POST /docs").send().await.status, 405);
    assert_eq!(fixture.call("GET /docs/swagger-ui.map").send().await.status, 404);
}
