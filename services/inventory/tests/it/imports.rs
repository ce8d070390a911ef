//! Imports: rows judged one by one, applied by chunks, with a progress that survives the stream.

use flotilla_auth::Role;
use flotilla_config::HumanDuration;
use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{
    DeleteProductRequest, GetImportRequest, GetProductRequest, Import, ImportProductsRequest, ImportRow, ImportState,
    PriceChanged, ProductChanged,
};
use flotilla_testkit::{ServiceHarness, eventually, refusal};
use futures::channel::mpsc::{Sender, channel};
use futures::{SinkExt as _, stream};
use tokio::task::JoinHandle;
use tonic::{Code, Response, Status};

use crate::world::{TIMEOUT, World, usd};

fn row(product: &str, name: &str, cents: i32) -> ImportRow {
    ImportRow {
        product_id: product.into(),
        display_name: name.into(),
        description: String::new(),
        price: Some(usd(i64::from(cents / 100), cents % 100)),
    }
}

fn request(row: ImportRow) -> ImportProductsRequest {
    ImportProductsRequest { row: Some(row), import_id: "spring".into() }
}

async fn import(world: &World, rows: Vec<ImportRow>) -> Import {
    let rows = stream::iter(rows.into_iter().map(request).collect::<Vec<_>>());
    world.catalogue().import_products(rows).await.unwrap().into_inner()
}

async fn progress(world: &World) -> Import {
    let get = GetImportRequest { name: "imports/spring".into() };
    world.catalogue().get_import(get).await.unwrap().into_inner()
}

fn counts(import: &Import) -> (i64, i64, i64, i64, i64) {
    (import.received, import.created, import.updated, import.unchanged, import.rejected)
}

fn rejected_rows(import: &Import) -> Vec<(i64, &str, &str, &str)> {
    let rows = import.rejected_rows.iter();
    rows.map(|row| (row.line, row.product_id.as_str(), row.field.as_str(), row.reason.as_str())).collect()
}

/// A stream whose rows the test sends one by one.
struct Feed {
    rows: Sender<ImportProductsRequest>,
    call: JoinHandle<Result<Response<Import>, Status>>,
}

impl Feed {
    fn open(world: &World) -> Self {
        let (rows, stream) = channel(0);
        let mut catalogue = world.catalogue();
        Self { rows, call: tokio::spawn(async move { catalogue.import_products(stream).await }) }
    }

    async fn send(&mut self, rows: impl IntoIterator<Item = ImportRow>) {
        for row in rows {
            self.rows.send(request(row)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_rows_are_imported_and_the_bad_ones_are_reported() {
    let world = World::start().await;
    world.product("p5", 0).await;
    let mut rows: Vec<ImportRow> = (0..10_000).map(|n| row(&format!("p{n}"), &format!("Product {n}"), n)).collect();
    rows[0].price = None;
    rows[7].product_id = "Not an id".into();
    rows[499].price = Some(Money { currency_code: "XXX".into(), units: 1, nanos: 0 });
    rows[500].price = Some(usd(-1, 0));
    rows[501].display_name = "bell\u{7}".into();
    rows[502].price = Some(Money { currency_code: "USD".into(), units: 0, nanos: 1 });
    rows[9_999].display_name = String::new();
    let started = std::time::Instant::now();
    let done = import(&world, rows.clone()).await;
    println!("10000 rows took {:?}", started.elapsed());
    assert_eq!(counts(&done), (10_000, 9_992, 1, 0, 7));
    let wanted = vec![
        (1, "p0", "price", "INVALID_FIELD"),
        (8, "Not an id", "product_id", "INVALID_FIELD"),
        (500, "p499", "price.currency_code", "UNKNOWN_CURRENCY"),
        (501, "p500", "price", "NEGATIVE_PRICE"),
        (502, "p501", "display_name", "INVALID_TEXT"),
        (503, "p502", "price.nanos", "PRICE_TOO_FINE"),
        (10_000, "p9999", "display_name", "MISSING_DISPLAY_NAME"),
    ];
    assert_eq!(rejected_rows(&done), wanted);
    assert!(done.rejected_rows.iter().all(|row| !row.description.is_empty()));
    assert_eq!((done.state(), done.end_time.is_some()), (ImportState::Completed, true));
    assert_eq!(progress(&world).await, done, "the report is kept");
    assert_eq!(world.database.value::<i64>("SELECT count(*) FROM stock", &[]).await, 9_993, "each has its stock row");
    assert_eq!(world.published::<ProductChanged>().await.len(), 1 + 9_993);
    assert_eq!(world.published::<PriceChanged>().await.len(), 1, "p5 costs five cents now");

    let again = import(&world, rows).await;
    assert_eq!(counts(&again), (10_000, 0, 0, 9_993, 7), "an import that is repeated changes nothing");
    assert_eq!(rejected_rows(&again), wanted);
    assert_eq!(world.published::<ProductChanged>().await.len(), 1 + 9_993, "and publishes nothing");
    world.finish().await;
}

#[tokio::test]
async fn later_rows_win_and_absent_fields_are_kept() {
    let world = World::start_with(|settings| settings.imports.chunk = 3).await;
    world.product("tea", 0).await;
    world.product("old", 0).await;
    world
        .catalogue()
        .delete_product(DeleteProductRequest { name: "products/old".into(), etag: String::new() })
        .await
        .unwrap();
    let rows = vec![
        row("cup", "Cup", 100),
        row("cup", "", 200),
        row("tea", "", 150),
        row("cup", "Mug", 300),
        row("old", "Old", 1),
        row("tea", "", 150),
        row("cup", "", 300),
    ];
    let done = import(&world, rows).await;
    assert_eq!(counts(&done), (7, 1, 3, 2, 1));
    assert_eq!(rejected_rows(&done), [(5, "old", "product_id", "PRODUCT_DELETED")]);
    let get = |id: &str| GetProductRequest { name: format!("products/{id}") };
    let cup = world.public().get_product(get("cup")).await.unwrap().into_inner();
    assert_eq!((cup.display_name.as_str(), cup.price, cup.version), ("Mug", Some(usd(3, 0)), 2), "one version a chunk");
    let tea = world.public().get_product(get("tea")).await.unwrap().into_inner();
    assert_eq!((tea.display_name.as_str(), tea.price), ("The tea", Some(usd(1, 50))));
    world.finish().await;
}

#[tokio::test]
async fn an_aborted_stream_leaves_its_rows_applied_and_reports_it() {
    let world = World::start_with(|settings| settings.imports.chunk = 10).await;
    let mut feed = Feed::open(&world);
    feed.send((0..25).map(|n| row(&format!("p{n}"), "Product", n))).await;
    eventually("progress shows while it runs", TIMEOUT, || async {
        let Ok(import) = world.catalogue().get_import(GetImportRequest { name: "imports/spring".into() }).await else {
            return Err("not begun".to_owned());
        };
        let import = import.into_inner();
        assert_eq!(import.state(), ImportState::Running);
        if import.received == 25 { Ok(()) } else { Err(format!("{} rows", import.received)) }
    })
    .await;
    let other = stream::iter([request(row("x", "X", 1))]);
    assert_eq!(refusal(world.catalogue().import_products(other).await), (Code::Aborted, "IMPORT_RUNNING".into()));

    feed.send((25..28).map(|n| row(&format!("p{n}"), "Product", n))).await;
    feed.call.abort();
    drop(feed);
    let left = eventually("it has broken off", TIMEOUT, || async {
        let import = progress(&world).await;
        if import.state() == ImportState::BrokenOff { Ok(import) } else { Err(format!("{import:?}")) }
    })
    .await;
    assert!(left.received >= 25 && left.received == left.created && left.end_time.is_some(), "{left:?}");
    let products: i64 = world.database.value("SELECT count(*) FROM products", &[]).await;
    assert_eq!(products, left.created, "the rows before are applied, and no other");

    let whole = import(&world, (0..30).map(|n| row(&format!("p{n}"), "Product", n)).collect()).await;
    assert_eq!(counts(&whole), (30, 30 - left.created, 0, left.created, 0), "sent again it goes on from there");
    world.finish().await;
}

#[tokio::test]
async fn a_stream_that_stalls_or_never_ends_is_aborted() {
    let world = World::start_with(|settings| {
        settings.imports.idle = HumanDuration::from_millis(300);
        settings.imports.max_rows = 3;
    })
    .await;
    let mut feed = Feed::open(&world);
    feed.send([row("a", "A", 1)]).await;
    assert_eq!(refusal(feed.call.await.unwrap()), (Code::DeadlineExceeded, "IMPORT_IDLE".into()));
    let rows = stream::iter((0..4).map(|n| request(row(&format!("p{n}"), "P", n))).collect::<Vec<_>>());
    eventually("the silent one is closed", TIMEOUT, || async {
        progress(&world).await.state() == ImportState::BrokenOff
    })
    .await;
    let refused = world.catalogue().import_products(rows).await;
    assert_eq!(refusal(refused), (Code::OutOfRange, "IMPORT_TOO_LARGE".into()));
    let left = eventually("the large one is closed", TIMEOUT, || async {
        let import = progress(&world).await;
        if import.state() == ImportState::BrokenOff { Ok(import) } else { Err(format!("{import:?}")) }
    })
    .await;
    assert_eq!(counts(&left), (3, 3, 0, 0, 0));
    world.finish().await;
}

#[tokio::test]
async fn an_import_whose_process_died_shows_as_aborted_and_can_be_sent_again() {
    let world = World::start().await;
    let sql = "INSERT INTO imports (id, run, started_by, received, created, touched_at)
               VALUES ('spring', $1, $1, 5, 5, now() - interval '10 minutes')";
    world.database.query(sql, &[&world.ids.next()]).await;
    let dead = progress(&world).await;
    assert_eq!((dead.state(), dead.received, dead.end_time.is_some()), (ImportState::BrokenOff, 5, true));
    let done = import(&world, vec![row("a", "A", 1)]).await;
    assert_eq!((done.state(), counts(&done)), (ImportState::Completed, (1, 1, 0, 0, 0)));
    world.finish().await;
}

#[tokio::test]
async fn a_drain_aborts_imports_and_keeps_the_rows_so_far() {
    let world = World::start().await;
    let replica = ServiceHarness::start::<flotilla_inventory::Inventory>(world.settings.clone()).await;
    let (mut rows, stream) = channel(0);
    let token = world.identity.token(world.operator, Role::Operator);
    let mut catalogue = CatalogServiceClient::new(replica.channel_as(&token));
    let call = tokio::spawn(async move { catalogue.import_products(stream).await });
    for n in 0..5 {
        rows.send(request(row(&format!("p{n}"), "P", n))).await.unwrap();
    }
    eventually("it runs", TIMEOUT, || async {
        world.catalogue().get_import(GetImportRequest { name: "imports/spring".into() }).await.is_ok()
    })
    .await;
    replica.stop().await;
    assert_eq!(refusal(call.await.unwrap()), (Code::Unavailable, "SERVER_DRAINING".into()));
    let left = progress(&world).await;
    assert_eq!((left.state(), left.created), (ImportState::BrokenOff, 5));
    world.finish().await;
}

#[tokio::test]
async fn imports_need_an_operator_and_may_be_empty() {
    let world = World::start().await;
    let customer = world.identity.token(world.ids.next(), Role::Customer);
    let mut customer = CatalogServiceClient::new(world.service.channel_as(&customer));
    let rows = || stream::iter([request(row("a", "A", 1))]);
    assert_eq!(refusal(customer.import_products(rows()).await).0, Code::PermissionDenied);
    assert_eq!(refusal(world.public().import_products(rows()).await).0, Code::Unauthenticated);
    let get = || GetImportRequest { name: "imports/spring".into() };
    assert_eq!(refusal(customer.get_import(get()).await).0, Code::PermissionDenied);
    assert_eq!(refusal(world.catalogue().get_import(get()).await), (Code::NotFound, "NOT_FOUND".into()));

    let empty = world.catalogue().import_products(stream::empty()).await.unwrap().into_inner();
    assert_eq!((empty.state(), counts(&empty)), (ImportState::Completed, (0, 0, 0, 0, 0)));
    let unnamed = ImportProductsRequest { row: None, import_id: String::new() };
    let unnamed = world.catalogue().import_products(stream::iter([unnamed])).await.unwrap().into_inner();
    assert_eq!(rejected_rows(&unnamed), [(1, "", "row", "MISSING_ROW")]);
    assert_ne!(unnamed.name, empty.name);
    let named = ImportProductsRequest { row: None, import_id: "Not an id".into() };
    assert_eq!(refusal(world.catalogue().import_products(stream::iter([named])).await).0, Code::InvalidArgument);
    tokio::time::timeout(TIMEOUT, world.finish()).await.unwrap();
}
