//! `filter` and `order_by` of the catalogue, on a real database.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::{CreateProductRequest, ListProductsRequest, Product, WatchPricesRequest};
use flotilla_testkit::{eventually, fields};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::world::{TIMEOUT, World};

/// A catalogue in which prices in different currencies lie close together.
async fn shop() -> World {
    let world = World::start().await;
    for (id, name, code, units, nanos) in [
        ("lamp", "Desk lamp", "USD", 19, 990_000_000),
        ("tea", "Green TEA", "EUR", 20, 0),
        ("cup", "Tea cup 100%", "JPY", 20, 0),
        ("rug", "It's a \"rug\"", "KWD", 20, 1_000_000),
        ("pen", "Pen", "USD", 0, 500_000_000),
        ("ink", "Ink; DROP TABLE products", "USD", 0, 500_000_000),
        ("gone", "Gone", "USD", 1, 0),
    ] {
        let price = Some(Money { currency_code: code.into(), units, nanos });
        let product = Some(Product { display_name: name.into(), price, ..Product::default() });
        world.catalogue().create_product(CreateProductRequest { product, product_id: id.into() }).await.unwrap();
    }
    let gone =
        flotilla_proto::inventory::v1::DeleteProductRequest { name: "products/gone".into(), etag: String::new() };
    world.catalogue().delete_product(gone).await.unwrap();
    world
}

async fn list(world: &World, filter: &str, order_by: &str, page_size: i32) -> Result<Vec<String>, Status> {
    let mut request =
        ListProductsRequest { page_size, filter: filter.into(), order_by: order_by.into(), page_token: String::new() };
    let mut found = Vec::new();
    loop {
        let page = world.public().list_products(request.clone()).await?.into_inner();
        found.extend(page.products.into_iter().map(|product| product.name.replace("products/", "")));
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn filters_find_what_matches() {
    let world = shop().await;
    for (filter, wanted) in [
        ("", vec!["cup", "ink", "lamp", "pen", "rug", "tea"]),
        ("price < 20.00", vec!["ink", "lamp", "pen"]),
        ("price = 20", vec!["cup", "tea"]),
        ("price > 20 AND price <= 20.001", vec!["rug"]),
        ("display_name:tea", vec!["cup", "tea"]),
        ("display_name:'100%'", vec!["cup"]),
        ("display_name:\"'s a \\\"r\"", vec!["rug"]),
        ("display_name = 'Ink; DROP TABLE products'", vec!["ink"]),
        ("currency_code = USD AND NOT display_name:pen", vec!["ink", "lamp"]),
        ("name = products/tea OR name = products/gone OR name = products/cup", vec!["cup", "tea"]),
        ("name >= products/pen", vec!["pen", "rug", "tea"]),
        ("create_time > 2020-01-01T00:00:00Z AND update_time < '2020-01-01T00:00:00Z'", vec![]),
        ("create_time >= 2020-01-01", vec!["cup", "ink", "lamp", "pen", "rug", "tea"]),
        ("-currency_code = USD AND display_name:* AND (price < 20 OR price >= 20.001)", vec!["rug"]),
    ] {
        assert_eq!(list(&world, filter, "", 0).await.unwrap(), wanted, "{filter}");
    }
    world.finish().await;
}

#[tokio::test]
async fn every_sort_order_lists_all_products_page_by_page() {
    let world = shop().await;
    for (order_by, wanted) in [
        ("", "cup ink lamp pen rug tea"),
        ("name desc", "tea rug pen lamp ink cup"),
        ("price", "ink pen lamp cup tea rug"),
        ("price desc", "rug tea cup lamp pen ink"),
        ("price desc, name", "rug cup tea lamp ink pen"),
        ("price, name desc", "pen ink lamp tea cup rug"),
        ("create_time", "lamp tea cup rug pen ink"),
        ("create_time desc, price", "ink pen rug cup tea lamp"),
    ] {
        let wanted: Vec<&str> = wanted.split(' ').collect();
        for page_size in [1, 2, 4, 1_000] {
            assert_eq!(list(&world, "", order_by, page_size).await.unwrap(), wanted, "{order_by:?} by {page_size}");
        }
    }
    assert_eq!(list(&world, "price < 20", "price desc", 1).await.unwrap(), ["lamp", "pen", "ink"]);
    world.finish().await;
}

#[tokio::test]
async fn nothing_that_a_client_writes_becomes_part_of_a_statement() {
    let world = shop().await;
    let refused = [
        "1=1",
        "true",
        "name",
        "id = 'tea'",
        "deleted_at:*",
        "price_minor < 1",
        "price < (SELECT 1)",
        "price < 1; DROP TABLE products",
        "price < 1) OR (1=1",
        "name = 'products/tea' --",
        "name = 'products/tea' /* */",
        "display_name = $1",
        "lower(display_name) = 'tea'",
        "display_name::text = 'x'",
        "display_name = x || y",
        "price < NaN",
        "price < 1e9",
        "price < '1' OR '1' = '1'",
        "create_time < now()",
        "create_time < infinity",
        "display_name = \"\0\"",
        "display_name = 'x' UNION SELECT 1",
        "name = products/tea AND pg_sleep(10)",
    ];
    for filter in refused {
        let refused = list(&world, filter, "", 0).await.unwrap_err();
        assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["filter".to_owned()]), "{filter}");
    }
    for order_by in [
        "price_minor",
        "id",
        "(SELECT 1)",
        "name; DROP TABLE products",
        "name nulls last",
        "1",
        "name, 1",
        "name collate \"C\"",
        "random()",
        "name desc --",
        "CASE WHEN true THEN name END",
    ] {
        let refused = list(&world, "", order_by, 0).await.unwrap_err();
        assert_eq!(
            (refused.code(), fields(&refused)),
            (Code::InvalidArgument, vec!["order_by".to_owned()]),
            "{order_by}"
        );
    }
    for text in [
        "' OR '1'='1",
        "'; DROP TABLE products; --",
        "\\'; --",
        "$1",
        "%",
        "_",
        "%s",
        "\u{2019} OR 1=1",
        "{}",
        "x' || 'y",
    ] {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        for filter in
            [format!("display_name = \"{quoted}\""), format!("name = \"products/{}\"", quoted.replace('/', ""))]
        {
            assert_eq!(list(&world, &filter, "", 0).await.unwrap(), Vec::<String>::new(), "{filter}");
        }
        let by_part = list(&world, &format!("display_name:\"{quoted}\""), "", 0).await.unwrap();
        assert_eq!(by_part, if text == "%" { vec!["cup"] } else { Vec::new() }, "{text}");
    }
    assert_eq!(world.database.value::<i64>("SELECT count(*) FROM products", &[]).await, 7);
    world.finish().await;
}

/// The products whose present prices a reader with this filter receives.
async fn watched(world: &World, filter: &str) -> BTreeSet<String> {
    let watch = WatchPricesRequest { filter: filter.into(), resume_token: String::new() };
    let mut stream = world.public().watch_prices(watch).await.unwrap().into_inner();
    let mut received = BTreeSet::new();
    while let Ok(next) = timeout(Duration::from_millis(150), stream.message()).await {
        received.insert(next.unwrap().unwrap().product.replace("products/", ""));
    }
    received
}

#[tokio::test]
async fn memory_and_database_filter_alike() {
    let world = shop().await;
    for filter in [
        "price < 20",
        "price <= 20",
        "price = 20.000",
        "price != 20",
        "NOT price > 20",
        "currency_code = USD",
        "currency_code:us",
        "currency_code != USD AND price >= 20.001",
        "name = products/tea OR price < 1",
        "name > products/lamp",
        "-name:*",
        "NOT (name = products/tea OR currency_code = JPY) AND price > 0.5",
        "currency_code > EUR AND currency_code < USD",
    ] {
        let listed: BTreeSet<String> = list(&world, filter, "", 0).await.unwrap().into_iter().collect();
        // The board follows the database by a little.
        eventually(filter, TIMEOUT, || async {
            let received = watched(&world, filter).await;
            if received == listed { Ok(()) } else { Err(format!("{received:?}, not {listed:?}")) }
        })
        .await;
    }
    world.finish().await;
}
