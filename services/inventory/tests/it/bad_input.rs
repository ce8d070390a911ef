//! Bad input over gRPC: each gets a clear error that names the field, and writes nothing.

use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::{
    AdjustStockRequest, BatchGetProductsRequest, CreateProductRequest, DeleteProductRequest, GetProductRequest,
    GetStockRequest, ListProductsRequest, Product, UpdateProductRequest,
};
use flotilla_testkit::fields;
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::world::{World, create, usd};

/// The fields that an `INVALID_ARGUMENT` names.
fn faults<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    fields(&status)
}

fn with(change: impl FnOnce(&mut Product)) -> CreateProductRequest {
    let mut request = create("good", 100);
    change(request.product.as_mut().unwrap());
    request
}

fn price(money: Money) -> CreateProductRequest {
    with(|product| product.price = Some(money))
}

#[tokio::test]
async fn a_bad_product_is_refused_with_every_fault() {
    let world = World::start().await;
    let mut catalogue = world.catalogue();
    let cases: Vec<(CreateProductRequest, &[&str])> = vec![
        (CreateProductRequest { product: None, product_id: "good".into() }, &["product"]),
        (CreateProductRequest { product: None, product_id: String::new() }, &["product", "product_id"]),
        (CreateProductRequest { product_id: "Bad id".into(), ..create("x", 1) }, &["product_id"]),
        (CreateProductRequest { product_id: "x".repeat(64), ..create("x", 1) }, &["product_id"]),
        (with(|product| product.display_name = " ".into()), &["product.display_name"]),
        (with(|product| product.display_name = "x".repeat(201)), &["product.display_name"]),
        (with(|product| product.display_name = "nul\0".into()), &["product.display_name"]),
        (with(|product| product.description = "ä".repeat(2_001)), &["product.description"]),
        (with(|product| product.description = "bell\u{7}".into()), &["product.description"]),
        (with(|product| product.price = None), &["product.price"]),
        (price(usd(-1, 0)), &["product.price"]),
        (price(Money { currency_code: "XXX".into(), units: 1, nanos: 0 }), &["product.price"]),
        (price(Money { currency_code: "USD".into(), units: 1, nanos: -1 }), &["product.price"]),
        (price(Money { currency_code: "USD".into(), units: 0, nanos: 1 }), &["product.price"]),
        (price(Money { currency_code: "JPY".into(), units: 0, nanos: 10_000_000 }), &["product.price"]),
        (price(Money { currency_code: "USD".into(), units: i64::MAX, nanos: 0 }), &["product.price"]),
    ];
    for (request, fields) in cases {
        assert_eq!(faults(catalogue.create_product(request.clone()).await), fields, "{request:?}");
    }
    assert_eq!(world.database.value::<i64>("SELECT count(*) FROM products", &[]).await, 0);
    assert_eq!(world.database.value::<i64>("SELECT count(*) FROM outbox", &[]).await, 0);
    world.finish().await;
}

#[tokio::test]
async fn a_bad_change_is_refused_and_changes_nothing() {
    let world = World::start().await;
    world.product("tea", 0).await;
    let mut catalogue = world.catalogue();
    let change = |product: Product, paths: &[&str]| UpdateProductRequest {
        product: Some(Product { name: "products/tea".into(), ..product }),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
    };
    let nothing = UpdateProductRequest { product: None, update_mask: None };
    assert_eq!(faults(catalogue.update_product(nothing).await), ["product"]);
    let nameless = UpdateProductRequest { product: Some(Product::default()), update_mask: None };
    assert_eq!(faults(catalogue.update_product(nameless).await), ["product.name"]);
    let unknown = change(Product::default(), &["colour", "price"]);
    assert_eq!(faults(catalogue.update_product(unknown).await), ["update_mask", "product.price"]);
    let emptied = change(Product::default(), &["display_name"]);
    assert_eq!(faults(catalogue.update_product(emptied).await), ["product.display_name"]);
    let ghost = Product { name: "products/ghost".into(), display_name: "Boo".into(), ..Product::default() };
    let ghost = UpdateProductRequest { product: Some(ghost), update_mask: None };
    assert_eq!(catalogue.update_product(ghost).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.database.value::<i64>("SELECT version FROM products", &[]).await, 1);
    world.finish().await;
}

#[tokio::test]
async fn an_invalid_name_is_refused_and_an_unknown_one_is_not_found() {
    let world = World::start().await;
    let mut catalogue = world.catalogue();
    let mut client = world.stock_client();
    for name in ["", "products/", "products", "orders/tea", "products/Tea", "products/a/b", "tea", "products/a\0"] {
        let get = GetProductRequest { name: name.into() };
        assert_eq!(faults(catalogue.get_product(get).await), ["name"], "{name:?}");
        let delete = DeleteProductRequest { name: name.into(), etag: String::new() };
        assert_eq!(faults(catalogue.delete_product(delete).await), ["name"], "{name:?}");
        let stock = GetStockRequest { name: format!("{name}/stock") };
        assert_eq!(faults(client.get_stock(stock).await), ["name"], "{name:?}");
    }
    let get = GetProductRequest { name: "products/ghost".into() };
    assert_eq!(catalogue.get_product(get).await.unwrap_err().code(), Code::NotFound);
    let stock = GetStockRequest { name: "products/ghost/stock".into() };
    assert_eq!(client.get_stock(stock).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(faults(client.get_stock(GetStockRequest { name: "products/tea".into() }).await), ["name"]);
    world.finish().await;
}

#[tokio::test]
async fn a_bad_page_or_batch_is_refused() {
    let world = World::start().await;
    for id in ["a", "b", "c"] {
        world.product(id, 0).await;
    }
    let mut catalogue = world.catalogue();
    let negative = ListProductsRequest { page_size: -1, ..ListProductsRequest::default() };
    assert_eq!(faults(catalogue.list_products(negative).await), ["page_size"]);
    let list = |page_size, page_token| ListProductsRequest { page_size, page_token, ..ListProductsRequest::default() };
    let first = catalogue.list_products(list(1, String::new())).await.unwrap();
    let good = first.into_inner().next_page_token;
    let mut forged = good.clone().into_bytes();
    forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
    for page_token in ["rubbish".to_owned(), String::from_utf8(forged).unwrap(), "x".repeat(5_000)] {
        assert_eq!(faults(catalogue.list_products(list(1, page_token)).await), ["page_token"]);
    }
    let rest = catalogue.list_products(list(i32::MAX, good)).await.unwrap();
    assert_eq!(rest.into_inner().products.len(), 2, "a huge page is cut, not refused");

    let batch = |names: Vec<String>| BatchGetProductsRequest { names };
    assert_eq!(faults(catalogue.batch_get_products(batch(Vec::new())).await), ["names"]);
    assert_eq!(faults(catalogue.batch_get_products(batch(vec!["products/a".into(); 1_001])).await), ["names"]);
    let bad = batch(vec!["products/a".into(), "b".into(), "products/C".into()]);
    assert_eq!(faults(catalogue.batch_get_products(bad).await), ["names[1]", "names[2]"]);
    world.finish().await;
}

#[tokio::test]
async fn a_bad_adjustment_is_refused_and_does_not_use_up_its_key() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let good = AdjustStockRequest {
        product: "products/tea".into(),
        delta: 1,
        reason: "test".into(),
        request_id: "key".into(),
    };
    let mut client = world.stock_client();
    let cases = [
        (AdjustStockRequest { delta: 0, ..good.clone() }, "delta"),
        (AdjustStockRequest { delta: i64::MAX, ..good.clone() }, "delta"),
        (AdjustStockRequest { delta: 1_000_000_000_000, ..good.clone() }, "delta"),
        (AdjustStockRequest { reason: "x".repeat(201), ..good.clone() }, "reason"),
        (AdjustStockRequest { reason: "nul\0".into(), ..good.clone() }, "reason"),
        (AdjustStockRequest { request_id: String::new(), ..good.clone() }, "request_id"),
        (AdjustStockRequest { request_id: "x".repeat(129), ..good.clone() }, "request_id"),
        (AdjustStockRequest { request_id: "k\0".into(), ..good.clone() }, "request_id"),
        (AdjustStockRequest { product: "tea".into(), ..good.clone() }, "product"),
    ];
    for (request, field) in cases {
        assert_eq!(faults(client.adjust_stock(request.clone()).await), [field], "{request:?}");
    }
    let least = client.adjust_stock(AdjustStockRequest { delta: i64::MIN, ..good.clone() }).await;
    assert_eq!(least.unwrap_err().code(), Code::FailedPrecondition);
    let ghost = client.adjust_stock(AdjustStockRequest { product: "products/ghost".into(), ..good.clone() }).await;
    assert_eq!(ghost.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.adjust_stock(good).await.unwrap().into_inner().on_hand, 11);
    world.finish().await;
}
