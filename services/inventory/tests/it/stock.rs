//! Stock as operators adjust it.

use flotilla_auth::Role;
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::inventory::v1::{AdjustStockRequest, DeleteProductRequest, GetStockRequest, StockReserved};
use flotilla_testkit::refusal;
use futures::future::join_all;
use tonic::Code;

use crate::world::World;

fn stock_of(id: &str) -> GetStockRequest {
    GetStockRequest { name: format!("products/{id}/stock") }
}

#[tokio::test]
async fn an_adjustment_counts_once_for_each_request_id() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let first = world.adjust("tea", 5, "key").await.unwrap();
    assert_eq!((first.on_hand, first.reserved, first.available), (15, 0, 15));
    world.adjust("tea", -3, "other").await.unwrap();
    assert_eq!(world.adjust("tea", 5, "key").await.unwrap(), first, "a repeat gives the same answer");
    assert_eq!(world.level("tea").await, (12, 0));
    let reused = world.adjust("tea", 6, "key").await;
    assert_eq!(refusal(reused), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED".into()));
    world.product("cup", 0).await;
    assert_eq!(world.adjust("cup", 6, "key").await.unwrap().on_hand, 6, "a key belongs to one product");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repeats_of_an_adjustment_count_once() {
    let world = World::start().await;
    world.product("tea", 0).await;
    let answers = join_all((0..20).map(|_| world.adjust("tea", 5, "key"))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().on_hand == 5));
    assert_eq!(world.level("tea").await, (5, 0));
    world.finish().await;
}

#[tokio::test]
async fn reserved_stock_cannot_be_removed() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let _: StockReserved = world.ask(&world.reserve(world.ids.next(), &[("tea", 6)])).await;
    let refused = world.adjust("tea", -5, "too much").await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "INSUFFICIENT_STOCK".into()));
    let taken = world.adjust("tea", -4, "too much").await.unwrap();
    assert_eq!((taken.on_hand, taken.available), (6, 0), "a refusal burns no key");
    let seen = world.stock_client().get_stock(stock_of("tea")).await.unwrap().into_inner();
    assert_eq!(seen, taken);
    world.finish().await;
}

#[tokio::test]
async fn the_stock_of_a_deleted_product_stays_on_the_books() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let delete = DeleteProductRequest { name: "products/tea".into(), etag: String::new() };
    world.catalogue().delete_product(delete).await.unwrap();
    assert_eq!(world.adjust("tea", -10, "written off").await.unwrap().on_hand, 0);
    assert_eq!(world.stock_client().get_stock(stock_of("tea")).await.unwrap().into_inner().on_hand, 0);
    world.finish().await;
}

#[tokio::test]
async fn stock_needs_an_operator() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let customer = world.identity.token(world.ids.next(), Role::Customer);
    let mut customer = StockServiceClient::new(world.service.channel_as(&customer));
    assert_eq!(refusal(customer.get_stock(stock_of("tea")).await).0, Code::PermissionDenied);
    let adjust = AdjustStockRequest {
        product: "products/tea".into(),
        delta: 1,
        reason: String::new(),
        request_id: "mine".into(),
    };
    assert_eq!(refusal(customer.adjust_stock(adjust).await).0, Code::PermissionDenied);
    assert_eq!(world.level("tea").await, (10, 0));
    world.finish().await;
}

#[tokio::test]
async fn an_adjustment_is_recorded_with_its_operator_and_reason() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let sql =
        "SELECT count(*) FROM stock_adjustments WHERE adjusted_by = $1 AND reason = 'test' AND on_hand_after = 10";
    assert_eq!(world.database.value::<i64>(sql, &[&world.operator]).await, 1);
    world.finish().await;
}
