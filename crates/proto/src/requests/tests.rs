use prost::Message as _;
use tonic_types::StatusExt as _;

use super::*;
use crate::inventory::v1::{BatchGetProductsRequest, CreateProductRequest, ImportRow, ListProductsRequest, Product};
use crate::notification::v1::{Preferences, UpdatePreferencesRequest};
use crate::orders::v1::{GetOrderRequest, ListOrdersRequest, PlaceOrderLine, PlaceOrderRequest};
use crate::payments::v1::ListPostingsRequest;

fn wrong<M: Message + Name>(message: &M) -> Vec<(String, String)> {
    violations(message).into_iter().map(|found| (found.field, found.description)).collect()
}

fn fields<M: Message + Name>(message: &M) -> Vec<String> {
    wrong(message).into_iter().map(|(field, _)| field).collect()
}

fn line(product: &str, quantity: i64) -> PlaceOrderLine {
    PlaceOrderLine { product: product.to_owned(), quantity }
}

fn order(lines: Vec<PlaceOrderLine>) -> PlaceOrderRequest {
    PlaceOrderRequest { lines, request_id: "r-1".to_owned(), ..PlaceOrderRequest::default() }
}

#[test]
fn a_good_request_passes() {
    assert_eq!(wrong(&order(vec![line("products/lamp", 1), line("products/desk_2-x", 1_000_000)])), []);
    assert_eq!(wrong(&ListProductsRequest::default()), []);
}

#[test]
fn every_field_at_fault_is_named_at_once() {
    let bad = PlaceOrderRequest {
        lines: vec![line("products/lamp", 1), line("lamp", 0)],
        request_id: String::new(),
        ..PlaceOrderRequest::default()
    };
    let expected = [
        ("lines[1].product", "must be products/{product}"),
        ("lines[1].quantity", "must be from 1 to 1000000"),
        ("request_id", "must be set"),
    ];
    assert_eq!(wrong(&bad), expected.map(|(field, text)| (field.to_owned(), text.to_owned())));
}

#[test]
fn a_request_id_is_printable() {
    let with = |id: &str| PlaceOrderRequest { request_id: id.to_owned(), ..order(vec![line("products/lamp", 1)]) };
    assert_eq!(wrong(&with(&"\u{fc}".repeat(128))), []);
    assert_eq!(wrong(&with("a\0b")), [("request_id".to_owned(), "must not have control characters".to_owned())]);
    assert_eq!(
        wrong(&with(&"k".repeat(129))),
        [("request_id".to_owned(), "must have at most 128 characters".to_owned())]
    );
}

#[test]
fn counts_of_items_are_bounded() {
    assert_eq!(wrong(&order(vec![])), [("lines".to_owned(), "must have at least 1 item".to_owned())]);
    let many = order(vec![line("products/lamp", 1); 1_001]);
    assert_eq!(wrong(&many), [("lines".to_owned(), "must have at most 1000 items".to_owned())]);
    let names = BatchGetProductsRequest { names: vec!["products/a".to_owned(), "nonsense".to_owned()] };
    assert_eq!(fields(&names), ["names[1]"]);
}

#[test]
fn lengths_are_counted_in_characters() {
    let product = |name: String| CreateProductRequest {
        product: Some(Product { display_name: name, ..Product::default() }),
        product_id: "lamp".to_owned(),
    };
    assert_eq!(fields(&product("ö".repeat(200))), [] as [&str; 0]);
    assert_eq!(fields(&product("ö".repeat(201))), ["product.display_name"]);
}

#[test]
fn a_field_that_may_be_absent_is_checked_where_it_is_set() {
    assert_eq!(fields(&ListOrdersRequest::default()), [] as [&str; 0]);
    let bad = ListOrdersRequest { customer: "users/me".to_owned(), page_size: -1, ..ListOrdersRequest::default() };
    assert_eq!(fields(&bad), ["page_size", "customer"]);
    let missing = CreateProductRequest { product: None, product_id: "lamp".to_owned() };
    assert_eq!(wrong(&missing), [("product".to_owned(), "must be set".to_owned())]);
}

#[test]
fn a_name_is_told_by_the_shape_of_its_resource() {
    let text = |found: Vec<(String, String)>| found.into_iter().map(|(_, text)| text).collect::<String>();
    assert_eq!(text(wrong(&GetOrderRequest { name: "orders/1".to_owned() })), "must be orders/{order}");
    let parent = ListPostingsRequest { parent: "users/1".to_owned(), ..ListPostingsRequest::default() };
    assert_eq!(text(wrong(&parent)), "must be accounts/{account}");
}

#[test]
fn enums_are_known_set_and_unique_packed_or_not() {
    let update = |kinds: Vec<i32>| UpdatePreferencesRequest {
        preferences: Some(Preferences { muted_kinds: kinds, ..Preferences::default() }),
        update_mask: None,
    };
    assert_eq!(fields(&update(vec![1, 2])), [] as [&str; 0]);
    assert_eq!(fields(&update(vec![0, 99])), ["preferences.muted_kinds[0]", "preferences.muted_kinds[1]"]);
    assert_eq!(fields(&update(vec![1, 1])), ["preferences.muted_kinds"]);
    // The same, one number a field: older writers do so.
    let inner = [0x10, 1, 0x10, 99];
    let mut unpacked = vec![0x0a, u8::try_from(inner.len()).unwrap()];
    unpacked.extend_from_slice(&inner);
    let status = RequestRules::of::<UpdatePreferencesRequest>().check(&unpacked).unwrap_err();
    assert!(status.message().starts_with("preferences.muted_kinds[1]:"), "{status:?}");
}

#[test]
fn a_message_in_two_parts_is_refused() {
    let product = |name: &str| Product { display_name: name.to_owned(), ..Product::default() };
    let one = CreateProductRequest { product: Some(product("a")), product_id: "lamp".to_owned() };
    let two = CreateProductRequest { product: Some(product("b")), product_id: String::new() };
    let parts = [one.encode_to_vec(), two.encode_to_vec()].concat();
    let status = RequestRules::of::<CreateProductRequest>().check(&parts).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("product: must not be given twice"), "{status:?}");
}

#[test]
fn a_status_carries_the_fields() {
    let status = RequestRules::of::<PlaceOrderRequest>().check(&order(vec![]).encode_to_vec()).unwrap_err();
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "INVALID_ARGUMENT");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "lines");
}

#[test]
fn rows_are_judged_by_themselves() {
    assert_eq!(fields(&ImportRow { product_id: "Lamp!".to_owned(), ..ImportRow::default() }), ["product_id", "price"]);
    // Their stream's requests are not: a wrong row must not end the stream.
    let request = crate::inventory::v1::ImportProductsRequest { row: Some(ImportRow::default()), ..Default::default() };
    assert!(RequestRules::of::<crate::inventory::v1::ImportProductsRequest>().check(&request.encode_to_vec()).is_ok());
}

#[test]
fn garbage_is_left_to_the_decoder() {
    for garbage in [&[0xff_u8][..], &[0x0a, 0x7f], &[0x0b], &[0x80; 11], &[0x0a, 0x80, 0x80]] {
        let _ = RequestRules::of::<PlaceOrderRequest>().check(garbage);
    }
}

#[test]
fn a_response_is_not_checked() {
    assert!(RequestRules::of::<Product>().check(&[]).is_ok());
    assert!(RequestRules::of::<Product>().0.is_none());
}

#[test]
fn millions_of_empty_items_are_refused_before_they_are_decoded() {
    use crate::identity::v1::UpdateUserRequest;
    // An empty path of a field mask takes two bytes here and 24 in memory.
    let paths = [0x0a, 0x00].repeat(2_000_000);
    let mut request = vec![0x12];
    prost::encoding::encode_varint(paths.len() as u64, &mut request);
    request.extend(paths);
    let status = RequestRules::of::<UpdateUserRequest>().check(&request).unwrap_err();
    assert!(status.message().contains("update_mask.paths: must have at most 1000 items"), "{}", status.message());
}

#[test]
fn every_repeated_field_of_a_request_is_bounded() {
    let pool = descriptors::pool().unwrap();
    let plans = Plans::compile(&pool).unwrap();
    for input in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).map(|method| method.input())
    {
        let ruled: Vec<_> =
            plans.index(input.full_name()).into_iter().flat_map(|place| plans.repeated(place)).collect();
        let unbounded = ruled.iter().find(|(_, most)| *most == u64::MAX);
        assert_eq!(unbounded, None, "{}", input.full_name());
        let repeated = input.fields().filter(prost_reflect::FieldDescriptor::is_list).count();
        assert_eq!(repeated, ruled.len(), "{}", input.full_name());
    }
}

#[test]
fn what_stands_behind_a_group_is_checked_too() {
    // An unknown field 1000: a group with a field and a nested group, which decoders skip.
    let group = [0xc3, 0x3e, 0x08, 0x01, 0x13, 0x14, 0xc4, 0x3e];
    let bad = order(vec![line("products/lamp", 0)]).encode_to_vec();
    let good = order(vec![line("products/lamp", 1)]).encode_to_vec();
    let behind = [&good[..], &group, &bad[..]].concat();
    assert!(PlaceOrderRequest::decode(&behind[..]).is_ok(), "a decoder takes it");
    let status = RequestRules::of::<PlaceOrderRequest>().check(&behind).unwrap_err();
    assert!(status.message().contains("lines[1].quantity"), "{}", status.message());
    assert!(RequestRules::of::<PlaceOrderRequest>().check(&[&group, &good[..]].concat()).is_ok());
}
