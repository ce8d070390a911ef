//! Who sees what: a customer their own orders, an operator all.

use std::collections::HashSet;

use flotilla_auth::Role;
use flotilla_proto::orders::v1::{CancelOrderRequest, GetOrderRequest, ListOrdersRequest, Order, WatchOrderRequest};
use tonic::Code;

use crate::world::{Client, World, id_of, name_of, request};

async fn all_pages(client: &mut Client, page_size: i32, customer: &str) -> Vec<Order> {
    let mut orders = vec![];
    let mut page_token = String::new();
    for _ in 0..50 {
        let request = ListOrdersRequest { page_size, page_token, customer: customer.to_owned(), ..Default::default() };
        let page = client.list_orders(request).await.unwrap().into_inner();
        assert!(page.orders.len() <= usize::try_from(page_size).unwrap());
        orders.extend(page.orders);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return orders;
        }
    }
    panic!("the pages don't end");
}

#[tokio::test]
async fn the_order_of_another_customer_is_not_found() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stranger = world.client_as(world.ids.next(), Role::Customer);
    for id in [order, world.ids.next()] {
        let name = name_of(id);
        let got = stranger.get_order(GetOrderRequest { name: name.clone() }).await.unwrap_err();
        let cancelled = stranger.cancel_order(CancelOrderRequest { name: name.clone(), etag: String::new() }).await;
        let watched = stranger.watch_order(WatchOrderRequest { name, resume_token: String::new() }).await;
        for status in [got, cancelled.unwrap_err(), watched.err().unwrap()] {
            assert_eq!(status.code(), Code::NotFound);
            assert_eq!(status.message(), format!("orders/{id} does not exist"));
        }
    }
    assert!(all_pages(&mut stranger, 10, "").await.is_empty());
    assert!(all_pages(&mut stranger, 10, &format!("users/{}", world.customer)).await.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn an_operator_sees_and_cancels_any_order() {
    let world = World::start().await;
    let order = world.order().await;
    let mut operator = world.client_as(world.ids.next(), Role::Operator);
    let got = operator.get_order(GetOrderRequest { name: name_of(order) }).await.unwrap().into_inner();
    assert_eq!(id_of(&got), order);
    operator.cancel_order(CancelOrderRequest { name: name_of(order), etag: got.etag }).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn pages_list_every_order_once_newest_first() {
    let world = World::start().await;
    let mut placed = vec![];
    for _ in 0..7 {
        placed.push(name_of(world.order().await));
    }
    let mut stranger = world.client_as(world.ids.next(), Role::Customer);
    let strange = stranger.place_order(request("one", &[("apple", 1)])).await.unwrap().into_inner();
    placed.reverse();
    let names = |orders: Vec<Order>| orders.into_iter().map(|order| order.name).collect::<Vec<_>>();
    assert_eq!(names(all_pages(&mut world.client(), 3, "").await), placed);
    assert_eq!(names(all_pages(&mut world.client(), 7, "").await), placed);

    let mut operator = world.client_as(world.ids.next(), Role::Operator);
    let all: HashSet<String> = names(all_pages(&mut operator, 3, "").await).into_iter().collect();
    assert_eq!(all, placed.iter().cloned().chain([strange.name]).collect());
    let of_customer = format!("users/{}", world.customer);
    assert_eq!(names(all_pages(&mut operator, 3, &of_customer).await), placed);
    assert!(all_pages(&mut world.client(), 3, "").await.iter().all(|order| order.lines.len() == 1));
    world.stop().await;
}

#[tokio::test]
async fn row_level_security_binds_the_user_role_even_without_a_filter() {
    let world = World::start().await;
    let order = world.order().await;
    let registry = flotilla_telemetry::Registry::new();
    let settings = world.database.settings();
    let pool = flotilla_postgres::Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    for sql in [
        "SELECT id FROM orders",
        "SELECT id FROM current_orders",
        "SELECT order_id FROM sagas",
        "SELECT order_id FROM order_lines",
    ] {
        assert_eq!(pool.query_as(world.customer, sql, &[]).await.unwrap().len(), 1, "{sql}");
        assert_eq!(pool.query_as(world.ids.next(), sql, &[]).await.unwrap().len(), 0, "{sql}");
    }
    assert_eq!(pool.query("SELECT id FROM orders", &[]).await.unwrap().len(), 0);
    assert_eq!(pool.query("SELECT * FROM order_lines", &[]).await.unwrap().len(), 0);
    let write = pool.query_as(world.customer, "UPDATE orders SET version = 9 WHERE id = $1", &[&order]).await;
    assert_eq!(write.unwrap_err().sql_state(), Some("42501"));
    for hidden in ["SELECT * FROM sagas", "SELECT * FROM saga_journal"] {
        assert!(pool.query(hidden, &[]).await.is_err(), "{hidden}");
    }
    world.stop().await;
}

#[tokio::test]
async fn orders_are_filtered_and_sorted_as_asked() {
    let world = World::start().await;
    let mut client = world.client();
    for (key, lines) in [("a", [("apple", 5)]), ("b", [("apple", 1)]), ("c", [("apple", 3)])] {
        client.place_order(request(key, &lines)).await.unwrap();
    }
    let mut quantities = async |filter: &str, order_by: &str| {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListOrdersRequest {
                page_size: 1,
                page_token,
                filter: filter.into(),
                order_by: order_by.into(),
                ..Default::default()
            };
            let page = client.list_orders(request).await?.into_inner();
            found.extend(page.orders.iter().map(|order| order.lines[0].quantity));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok::<_, tonic::Status>(found);
            }
        }
    };
    assert_eq!(quantities("", "").await.unwrap(), [3, 1, 5], "newest first");
    assert_eq!(quantities("", "total").await.unwrap(), [1, 3, 5], "page after page in the order asked for");
    assert_eq!(quantities("state = RESERVING", "total desc").await.unwrap(), [5, 3, 1]);
    assert!(quantities("state = CONFIRMED OR total > 1000000.00", "").await.unwrap().is_empty());
    let injection = quantities("state = 'x' OR 1=1; DROP TABLE orders", "").await.unwrap_err();
    assert_eq!(flotilla_testkit::fields(&injection), ["filter"]);
    world.stop().await;
}
