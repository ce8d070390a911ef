//! What clients get wrong: a clear error in the protocol's own form, never a 5xx, and no service is asked.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::{Call, Reply};

const MIB: usize = 1024 * 1024;

fn refused(reply: &Reply, status: u16, reason: &str) -> Value {
    let problem = reply.problem();
    assert_eq!((reply.status.as_u16(), problem["reason"].as_str()), (status, Some(reason)), "{problem}");
    problem
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let fixture = Fixture::start().await;
    let order = |body: Value| fixture.as_customer("POST /v1/orders").json(&body).key("k");
    let cases: Vec<(Call, &str)> = vec![
        (order(json!({"line": []})), "line"),
        (order(json!({"lines": [{"product": "products/a", "quantity": 1, "price": 5}]})), "lines[0].price"),
        (order(json!({"lines": [{"product": 5, "quantity": 1}]})), "lines[0].product"),
        (order(json!({"lines": [{"product": "products/a", "quantity": "many"}]})), "lines[0].quantity"),
        (order(json!({"lines": "all"})), "lines"),
        (order(json!({"expectedTotal": {"units": 1.5}})), "expectedTotal.units"),
        (fixture.as_customer("GET /v1/orders?pageSize=ten"), "pageSize"),
        (fixture.as_customer("GET /v1/orders?size=10"), "size"),
        (fixture.as_operator("PATCH /v1/products/a").json(&json!({"name": "products/b"})), "product.name"),
        (
            fixture.as_customer("PATCH /v1/users/00000000-0000-7000-8000-00000000000a").json(&json!({"role": "KING"})),
            "user.role",
        ),
    ];
    for (call, field) in cases {
        let told = format!("{call:?}");
        let problem = refused(&call.send().await, 400, "INVALID_ARGUMENT");
        assert_eq!(problem["violations"][0]["field"], field, "{told}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(field));
    }
    assert!(fixture.test_services.seen.lock().calls.is_empty(), "no service was asked");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let fixture = Fixture::start().await;
    let order = |content_type: &str, body: Vec<u8>| {
        fixture.as_customer("POST /v1/orders").header("content-type", content_type).bytes(body).key("k")
    };
    let json = "application/json";
    let malformed = refused(&order(json, b"{\"lines\": [,]}".to_vec()).send().await, 400, "MALFORMED_JSON");
    assert!(malformed["detail"].as_str().unwrap().contains("line 1 column 12"), "{malformed}");
    let utf8 = refused(&order(json, b"{\"requestId\": \"\xff\xfe\"}".to_vec()).send().await, 400, "INVALID_UTF8");
    assert!(utf8["detail"].as_str().unwrap().contains("byte 15"), "{utf8}");
    refused(&order("text/plain", b"{}".to_vec()).send().await, 415, "UNSUPPORTED_MEDIA_TYPE");
    refused(&order("application/xml", b"<order/>".to_vec()).send().await, 415, "UNSUPPORTED_MEDIA_TYPE");
    refused(&order(json, b"[]".to_vec()).send().await, 400, "INVALID_ARGUMENT");
    for call in [order(json, vec![b' '; MIB + 1]), order(json, vec![b'['; 5 * MIB])] {
        refused(&call.clone().send().await, 413, "BODY_TOO_LARGE");
        refused(&call.http2().send().await, 413, "BODY_TOO_LARGE");
    }
    let nested = [b"{\"expectedTotal\": ".repeat(200), vec![b'['; 100_000]].concat();
    refused(&order(json, nested).send().await, 400, "MALFORMED_JSON");
    assert!(fixture.test_services.seen.lock().calls.is_empty(), "no service was asked");
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_have_different_errors() {
    let fixture = Fixture::start().await;
    for line in [
        "GET /v1/order",
        "GET /v1/orders/00000000-0000-7000-8000-00000000000a/b",
        "POST /v1/orders/00000000-0000-7000-8000-00000000000a:refund",
        "GET /healthz",
        "GET /metrics",
    ] {
        refused(&fixture.as_customer(line).send().await, 404, "ROUTE_NOT_FOUND");
    }
    let put = fixture.as_customer("PUT /v1/orders/00000000-0000-7000-8000-00000000000a").send().await;
    refused(&put, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(put.headers["allow"], "GET, HEAD");
    let brew = fixture.as_customer("BREW /v1/products/tea").send().await;
    refused(&brew, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(brew.headers["allow"], "DELETE, GET, HEAD, PATCH");
    refused(&fixture.as_customer("GET /v1/orders/%ff").send().await, 400, "INVALID_PATH");
    refused(&fixture.as_customer("POST /").send().await, 405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn callers_without_permission_are_refused_by_the_gateway() {
    let fixture = Fixture::start().await;
    let cases = [
        (fixture.call("GET /v1/orders"), 401, "TOKEN_MISSING"),
        (fixture.call("GET /v1/orders").token(&fixture.expired_token()), 401, "TOKEN_EXPIRED"),
        (fixture.call("GET /v1/orders").token("rubbish"), 401, "TOKEN_INVALID"),
        (fixture.call("GET /v1/orders").header("authorization", "Basic dTpw"), 401, "TOKEN_MISSING"),
        (fixture.call("GET /v1/orders/00000000-0000-7000-8000-000000000001:watch"), 401, "TOKEN_MISSING"),
        (fixture.as_customer("GET /v1/users"), 403, "OPERATOR_REQUIRED"),
        (fixture.as_customer("DELETE /v1/products/tea"), 403, "OPERATOR_REQUIRED"),
    ];
    for (call, status, reason) in cases {
        let reply = call.send().await;
        refused(&reply, status, reason);
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
    assert!(fixture.test_services.seen.lock().calls.is_empty(), "no service was asked");
    let public = fixture.call("GET /v1/products/tea").token(&fixture.expired_token()).send().await;
    assert_eq!(public.status, 200, "a public method asks for no token");
}

#[tokio::test]
async fn a_missing_idempotency_key_is_refused_by_the_service() {
    let fixture = Fixture::start().await;
    let order = json!({"lines": [{"product": "products/a", "quantity": 1}]});
    let reply = fixture.as_customer("POST /v1/orders").json(&order).send().await;
    assert_eq!(refused(&reply, 400, "INVALID_ARGUMENT")["violations"][0]["field"], "request_id");
}

#[tokio::test]
async fn unusual_headers_are_refused_or_ignored() {
    let fixture = Fixture::start().await;
    let call = || fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001");
    refused(&call().header("x-request-timeout", "soon").send().await, 400, "INVALID_TIMEOUT");
    assert_eq!(call().header("prefer", "wait=forever").send().await.status, 200);
    let replaced = call().header("x-request-id", "not sound").send().await;
    assert_ne!(replaced.headers["x-request-id"], "not sound");
    let key = Call::new(fixture.address(), "POST /v1/orders").token(&fixture.customer_token()).json(&json!({}));
    refused(&key.header("idempotency-key", "clé").send().await, 400, "INVALID_HEADER");
}
