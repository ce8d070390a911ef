//! Tables of requests and the messages that they become.

use flotilla_proto::identity::v1::{Role, UpdateUserRequest};
use flotilla_proto::inventory::v1::{
    AdjustStockRequest, CreateProductRequest, DeleteProductRequest, ListProductsRequest, UpdateProductRequest,
};
use flotilla_proto::orders::v1::{CancelOrderRequest, PlaceOrderRequest, WatchOrderRequest};
use serde_json::{Value, json};

use super::*;
use crate::routes::{Found, Path, RouteTable};

struct Call<'a> {
    line: &'a str,
    headers: Headers<'a>,
    body: Option<Value>,
}

fn call(line: &str) -> Call<'_> {
    Call { line, headers: Headers::default(), body: None }
}

impl<'a> Call<'a> {
    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn key(mut self, key: &'a str) -> Self {
        self.headers.idempotency_key = Some(key);
        self
    }

    fn if_match(mut self, tag: &'a str) -> Self {
        self.headers.if_match = Some(tag);
        self
    }

    fn message(self) -> Result<Bytes, Refusal> {
        let table = RouteTable::from_pool(&flotilla_proto::descriptors::pool().unwrap()).unwrap();
        let (verb, target) = self.line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = Path::parse(path).unwrap();
        let Found::Binding(index) = table.find(&verb.parse().unwrap(), &path) else { panic!("{}", self.line) };
        let body = self.body.map(|body| body.to_string());
        let input = Input { segments: &path.segments, query, headers: self.headers, body: body.as_deref() };
        super::message(table.schema(), table.binding(index), input)
    }

    fn read<M: prost::Message + Default>(self) -> M {
        M::decode(self.message().unwrap()).unwrap()
    }

    fn refused(self) -> Vec<(String, String)> {
        let Refusal::Violations(violations) = self.message().unwrap_err() else { panic!("no violations") };
        violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
    }
}

#[test]
fn an_order_is_read_from_its_body_and_its_header() {
    let lines = json!([{"product": "products/tea", "quantity": 2}, {"product": "products/cup", "quantity": "3"}]);
    let order: PlaceOrderRequest = call("POST /v1/orders").body(json!({"lines": lines})).key("k1").read();
    assert_eq!(order.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(order.request_id, "k1");
}

#[test]
fn a_header_may_repeat_its_field_but_not_contradict_it() {
    let order: PlaceOrderRequest = call("POST /v1/orders").body(json!({"requestId": "mine"})).key("mine").read();
    assert_eq!(order.request_id, "mine");
    let order: PlaceOrderRequest = call("POST /v1/orders").body(json!({"requestId": ""})).key("mine").read();
    assert_eq!(order.request_id, "mine", "an empty field isn't set");
    let refused = call("POST /v1/orders").body(json!({"requestId": "mine"})).key("other").refused();
    let text = r#"contradicts the header Idempotency-Key, which says "other""#;
    assert_eq!(refused, [("requestId".to_owned(), text.to_owned())]);
}

#[test]
fn path_query_and_body_meet_in_one_message() {
    let stock: AdjustStockRequest =
        call("POST /v1/products/tea:adjustStock").body(json!({"delta": "-5", "reason": "broken"})).key("k").read();
    assert_eq!((stock.product.as_str(), stock.delta, stock.request_id.as_str()), ("products/tea", -5, "k"));
    let created: CreateProductRequest = call("POST /v1/products?productId=tea")
        .body(json!({"displayName": "Tea", "price": {"currencyCode": "USD", "units": "4", "nanos": 500000000}}))
        .read();
    assert_eq!(created.product_id, "tea");
    assert_eq!(created.product.unwrap().price.unwrap().nanos, 500_000_000);
    let listed: ListProductsRequest = call("GET /v1/products?page_size=7&pageToken=x").read();
    assert_eq!((listed.page_size, listed.page_token.as_str()), (7, "x"));
}

#[test]
fn a_patch_without_a_mask_takes_it_from_the_body() {
    let update: UpdateProductRequest =
        call("PATCH /v1/products/tea").body(json!({"display_name": "T", "name": "products/tea", "version": 3})).read();
    assert_eq!(update.update_mask.unwrap().paths, ["display_name"]);
    let update: UpdateProductRequest =
        call("PATCH /v1/products/tea?updateMask=price").body(json!({"displayName": "T"})).if_match("\"3\"").read();
    assert_eq!(update.update_mask.unwrap().paths, ["price"]);
    let product = update.product.unwrap();
    assert_eq!((product.name.as_str(), product.etag.as_str()), ("products/tea", "\"3\""));
    let user: UpdateUserRequest = call("PATCH /v1/users/u").body(json!({"role": "ROLE_OPERATOR"})).read();
    assert_eq!(user.user.unwrap().role(), Role::Operator);
}

#[test]
fn if_match_becomes_the_tag_and_a_star_asks_for_none() {
    let delete: DeleteProductRequest = call("DELETE /v1/products/tea").if_match("\"3\"").read();
    assert_eq!(delete.etag, "\"3\"");
    let cancel: CancelOrderRequest = call("POST /v1/orders/o:cancel").if_match("*").read();
    assert_eq!((cancel.name.as_str(), cancel.etag.as_str()), ("orders/o", ""));
}

#[test]
fn the_last_event_resumes_a_stream() {
    let mut resumed = call("GET /v1/orders/o:watch");
    resumed.headers.last_event_id = Some("7");
    assert_eq!(resumed.read::<WatchOrderRequest>().resume_token, "7");
    let mut both = call("GET /v1/orders/o:watch?resumeToken=4");
    both.headers = Headers { last_event_id: Some("7"), event_stream: true, ..Headers::default() };
    let request = both.read::<WatchOrderRequest>();
    assert_eq!((request.resume_token.as_str(), request.name.as_str()), ("7", "orders/o"));
}

#[test]
fn invalid_input_is_named() {
    let order = |body| call("POST /v1/orders").body(body);
    for (call, field, description) in [
        (order(json!({"lines": [{"product": "p", "qty": 1}]})), "lines[0].qty", "unknown field"),
        (order(json!({"lines": [{"quantity": "x"}]})), "lines[0].quantity", "invalid digit"),
        (order(json!({"lines": [{"quantity": 1.5}]})), "lines[0].quantity", "integer"),
        (order(json!({"lines": [{"quantity": true}]})), "lines[0].quantity", "invalid type"),
        (order(json!({"lines": [{"quantity": 9_223_372_036_854_775_808_u64}]})), "lines[0].quantity", "range"),
        (order(json!({"lines": {}})), "lines", "list"),
        (order(json!({"requestId": 5})), "requestId", "string"),
        (order(json!([])), "", "JSON object"),
        (call("PATCH /v1/users/u").body(json!({"role": "KING"})), "user.role", "KING"),
        (call("PATCH /v1/users/u").body(json!({"name": "users/other"})), "user.name", "path"),
        (call("PATCH /v1/users/u").body(json!({"nick": "x"})), "user.nick", "unknown field"),
        (call("GET /v1/orders?pageSize=many"), "pageSize", "invalid digit"),
        (call("GET /v1/orders?page_size=99999999999"), "page_size", "too large"),
        (call("GET /v1/orders?limit=5"), "limit", "unknown query parameter"),
        (call("GET /v1/orders").body(json!({})), "", "no body"),
    ] {
        let line = call.line.to_owned();
        let refused = call.refused();
        assert_eq!(refused[0].0, field, "{line}: {refused:?}");
        assert!(refused[0].1.contains(description), "{line}: {refused:?}");
    }
}
