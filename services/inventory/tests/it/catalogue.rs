//! Products over gRPC, and what the fleet learns of them.

use flotilla_auth::Role;
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{
    BatchGetProductsRequest, DeleteProductRequest, GetProductRequest, ListProductsRequest, PriceChanged, Product,
    ProductChanged, UpdateProductRequest,
};
use flotilla_testkit::refusal;
use futures::{StreamExt as _, stream};
use prost_types::FieldMask;
use tonic::Code;

use crate::world::{World, create, usd};

fn get(id: &str) -> GetProductRequest {
    GetProductRequest { name: format!("products/{id}") }
}

fn update(product: Product, paths: &[&str]) -> UpdateProductRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateProductRequest { product: Some(product), update_mask: Some(FieldMask { paths }) }
}

#[tokio::test]
async fn a_product_is_created_read_updated_and_deleted() {
    let world = World::start().await;
    let mut catalogue = world.catalogue();
    let made = catalogue.create_product(create("tea", 1_250)).await.unwrap().into_inner();
    assert_eq!((made.name.as_str(), made.version), ("products/tea", 1));
    assert!(made.etag.starts_with("\"1-"), "{}", made.etag);
    assert_eq!(made.price, Some(usd(12, 50)));
    assert_eq!(made.create_time, made.update_time);
    assert_eq!(catalogue.get_product(get("tea")).await.unwrap().into_inner(), made);

    let wanted = Product { display_name: "Green tea".into(), price: Some(usd(13, 0)), ..made.clone() };
    let changed = catalogue.update_product(update(wanted, &["price"])).await.unwrap().into_inner();
    assert_eq!((changed.version, changed.price.clone()), (2, Some(usd(13, 0))));
    assert_eq!(changed.display_name, made.display_name, "what the mask leaves out stays");

    catalogue.delete_product(DeleteProductRequest { name: made.name.clone(), etag: changed.etag }).await.unwrap();
    assert_eq!(refusal(catalogue.get_product(get("tea")).await), (Code::NotFound, "NOT_FOUND".into()));
    let again = DeleteProductRequest { name: made.name, etag: String::new() };
    assert_eq!(refusal(catalogue.delete_product(again).await).0, Code::NotFound);
    let taken = catalogue.create_product(create("tea", 1)).await;
    assert_eq!(refusal(taken), (Code::AlreadyExists, "ALREADY_EXISTS".into()), "orders may still name it");
    world.finish().await;
}

#[tokio::test]
async fn every_change_is_published_with_its_version_and_a_new_price_as_another_event() {
    let world = World::start().await;
    let mut catalogue = world.catalogue();
    let made = catalogue.create_product(create("tea", 100)).await.unwrap().into_inner();
    let renamed = Product { display_name: "Green tea".into(), ..made.clone() };
    catalogue.update_product(update(renamed.clone(), &["display_name"])).await.unwrap();
    catalogue
        .update_product(update(Product { etag: String::new(), ..renamed.clone() }, &["display_name"]))
        .await
        .unwrap();
    let dearer = Product { price: Some(usd(2, 0)), etag: String::new(), ..renamed };
    catalogue.update_product(update(dearer, &["price"])).await.unwrap();
    catalogue.delete_product(DeleteProductRequest { name: made.name, etag: String::new() }).await.unwrap();

    let published: Vec<ProductChanged> =
        world.published::<ProductChanged>().await.iter().map(|event| event.decode().unwrap()).collect();
    let versions: Vec<_> =
        published.iter().map(|change| (change.version, change.price_minor, change.deleted)).collect();
    assert_eq!(versions, [(1, 100, false), (2, 100, false), (3, 200, false), (4, 200, true)]);
    assert_eq!(published[1].display_name, "Green tea");
    let prices = world.published::<PriceChanged>().await;
    assert_eq!(prices.len(), 1, "only one change was of the price");
    assert_eq!((prices[0].aggregate.as_str(), prices[0].aggregate_version), ("products/tea", 3));
    world.finish().await;
}

#[tokio::test]
async fn an_outdated_etag_changes_nothing() {
    let world = World::start().await;
    let mut catalogue = world.catalogue();
    let made = catalogue.create_product(create("tea", 100)).await.unwrap().into_inner();
    let newer = Product { display_name: "Newer".into(), ..made.clone() };
    catalogue.update_product(update(newer, &["display_name"])).await.unwrap();
    let late = Product { display_name: "Late".into(), ..made.clone() };
    let refused = catalogue.update_product(update(late, &["display_name"])).await;
    assert_eq!(refusal(refused), (Code::Aborted, "ETAG_MISMATCH".into()));
    let delete = DeleteProductRequest { name: made.name, etag: made.etag };
    assert_eq!(refusal(catalogue.delete_product(delete).await), (Code::Aborted, "ETAG_MISMATCH".into()));
    let now = catalogue.get_product(get("tea")).await.unwrap().into_inner();
    assert_eq!((now.display_name.as_str(), now.version), ("Newer", 2));
    world.finish().await;
}

#[tokio::test]
async fn pages_list_the_whole_catalogue_by_name() {
    let world = World::start().await;
    let ids: Vec<String> = (0..25).map(|number| format!("p{number:02}")).collect();
    stream::iter(&ids).for_each_concurrent(32, |id| async { world.product(id, 0).await }).await;
    world
        .catalogue()
        .delete_product(DeleteProductRequest { name: "products/p07".into(), etag: String::new() })
        .await
        .unwrap();
    let mut public = CatalogServiceClient::new(world.service.channel());
    let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListProductsRequest { page_size: 8, page_token, ..ListProductsRequest::default() };
        let page = public.list_products(request).await.unwrap().into_inner();
        assert!(page.products.len() <= 8);
        seen.extend(page.products.into_iter().map(|product| product.name));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    let wanted: Vec<_> = ids.iter().filter(|id| *id != "p07").map(|id| format!("products/{id}")).collect();
    assert_eq!((seen, pages), (wanted, 3));
    world.finish().await;
}

#[tokio::test]
async fn a_batch_returns_what_exists_in_the_order_asked() {
    let world = World::start().await;
    for id in ["a", "b"] {
        world.product(id, 0).await;
    }
    let names = ["b", "ghost", "a", "b"].map(|id| format!("products/{id}")).to_vec();
    let mut public = CatalogServiceClient::new(world.service.channel());
    let found = public.batch_get_products(BatchGetProductsRequest { names }).await.unwrap().into_inner();
    let found: Vec<_> = found.products.into_iter().map(|product| product.name).collect();
    assert_eq!(found, ["products/b", "products/a", "products/b"]);
    world.finish().await;
}

#[tokio::test]
async fn reads_are_public_and_changes_need_an_operator() {
    let world = World::start().await;
    world.product("tea", 0).await;
    let mut public = CatalogServiceClient::new(world.service.channel());
    assert!(public.get_product(get("tea")).await.is_ok());
    assert_eq!(refusal(public.create_product(create("cup", 1)).await).0, Code::Unauthenticated);
    let customer = world.identity.token(world.ids.next(), Role::Customer);
    let mut customer = CatalogServiceClient::new(world.service.channel_as(&customer));
    assert_eq!(refusal(customer.create_product(create("cup", 1)).await).0, Code::PermissionDenied);
    let delete = DeleteProductRequest { name: "products/tea".into(), etag: String::new() };
    assert_eq!(refusal(customer.delete_product(delete).await).0, Code::PermissionDenied);
    let expired = world.identity.expired_token(world.operator, Role::Operator);
    let mut expired = CatalogServiceClient::new(world.service.channel_as(&expired));
    assert_eq!(refusal(expired.create_product(create("cup", 1)).await).0, Code::Unauthenticated);
    assert_eq!(world.database.value::<i64>("SELECT count(*) FROM products", &[]).await, 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_of_two_hundred_is_imported_by_many_calls_at_once() {
    let world = World::start().await;
    let started = std::time::Instant::now();
    stream::iter(0..200)
        .for_each_concurrent(32, |number| {
            let world = &world;
            async move { world.product(&format!("p{number}"), 10).await }
        })
        .await;
    println!("200 products with stock took {:?}", started.elapsed());
    assert_eq!(world.published::<ProductChanged>().await.len(), 200);
    world.finish().await;
}
