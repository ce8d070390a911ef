//! Statements: newest first, page by page, one's own alone.

use flotilla_proto::payments::v1::{ListPostingsRequest, Posting, TransferKind};
use flotilla_testkit::reason;
use tonic::Code;
use uuid::Uuid;

use crate::support::{World, charge, refund, usd};

fn list(account: Uuid, page_size: i32, page_token: &str) -> ListPostingsRequest {
    ListPostingsRequest {
        parent: format!("accounts/{account}"),
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_statement_shows_every_kind_of_posting_newest_first() {
    let world = World::start().await;
    let customer = world.account(1_000).await;
    let (ids, order) = (&world.orders.ids, world.orders.ids.next());
    for command in [charge(ids, order, customer, 250), refund(ids, order, customer)] {
        world.orders.send(std::slice::from_ref(&command)).await;
        world.orders.reply(&command).await;
    }
    let page = world.customer(customer).list_postings(list(customer, 0, "")).await.unwrap().into_inner();
    assert_eq!(page.next_page_token, "");
    let shown: Vec<_> = page.postings.iter().map(|posting| (posting.kind(), posting.amount.clone().unwrap())).collect();
    assert_eq!(
        shown,
        [(TransferKind::Refund, usd(250)), (TransferKind::Charge, usd(-250)), (TransferKind::TopUp, usd(1_000))]
    );
    let orders: Vec<_> = page.postings.iter().map(|posting| posting.order.clone()).collect();
    assert_eq!(orders, [format!("orders/{order}"), format!("orders/{order}"), String::new()]);
    assert!(page.postings.iter().all(|posting| posting.create_time.is_some()));
    let prefix = format!("accounts/{customer}/postings/");
    assert!(page.postings.iter().all(|posting| posting.name.starts_with(&prefix)));
    world.finish().await;
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat_while_postings_are_added() {
    let world = World::start().await;
    let customer = world.account(0).await;
    for number in 0..25 {
        world.top_up(customer, number + 1, &format!("key-{number}")).await.unwrap();
    }
    let mut client = world.customer(customer);
    let (mut shown, mut page_token) = (Vec::<Posting>::new(), String::new());
    loop {
        let page = client.list_postings(list(customer, 10, &page_token)).await.unwrap().into_inner();
        assert!(page.postings.len() <= 10);
        shown.extend(page.postings);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        world.top_up(customer, 999, &format!("late-{}", shown.len())).await.unwrap();
    }
    let amounts: Vec<_> = shown.iter().map(|posting| posting.amount.clone().unwrap()).collect();
    let expected: Vec<_> = (1..=25).rev().map(usd).collect();
    assert_eq!(amounts, expected);
    let empty = world.account(0).await;
    let page = world.customer(empty).list_postings(list(empty, 10, "")).await.unwrap().into_inner();
    assert!(page.postings.is_empty() && page.next_page_token.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_page_token_is_valid_only_for_its_own_statement() {
    let world = World::start().await;
    let (ann, bob) = (world.account(100).await, world.account(100).await);
    world.top_up(ann, 1, "more").await.unwrap();
    let page = world.customer(ann).list_postings(list(ann, 1, "")).await.unwrap().into_inner();
    let status = world.customer(bob).list_postings(list(bob, 1, &page.next_page_token)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_ARGUMENT"));
    assert!(world.operator().list_postings(list(ann, 1, &page.next_page_token)).await.is_ok());
    world.finish().await;
}

#[tokio::test]
async fn a_statement_is_filtered_and_sorted_as_asked() {
    let world = World::start().await;
    let customer = world.account(1_000).await;
    let (ids, order) = (&world.orders.ids, world.orders.ids.next());
    for command in [charge(ids, order, customer, 250), charge(ids, ids.next(), customer, 100)] {
        world.orders.send(std::slice::from_ref(&command)).await;
        world.orders.reply(&command).await;
    }
    let mut client = world.customer(customer);
    let mut amounts = async |filter: &str, order_by: &str| {
        let request = ListPostingsRequest { filter: filter.into(), order_by: order_by.into(), ..list(customer, 0, "") };
        let page = client.list_postings(request).await?.into_inner();
        Ok::<_, tonic::Status>(page.postings.into_iter().map(|posting| posting.amount.unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(amounts("kind = CHARGE", "amount").await.unwrap(), [usd(-250), usd(-100)]);
    assert_eq!(amounts("amount <= -2.50 OR kind = TOP_UP", "amount desc").await.unwrap(), [usd(1_000), usd(-250)]);
    assert_eq!(amounts(&format!("order = orders/{order}"), "").await.unwrap(), [usd(-250)]);
    let refused = amounts("balance > 1", "").await.unwrap_err();
    assert_eq!(flotilla_testkit::fields(&refused), ["filter"]);
    world.finish().await;
}

#[tokio::test]
async fn anothers_statement_is_not_found() {
    let world = World::start().await;
    let (ann, bob) = (world.account(100).await, world.account(100).await);
    assert_eq!(world.customer(ann).list_postings(list(bob, 0, "")).await.unwrap_err().code(), Code::NotFound);
    let unknown = Uuid::from_u128(7);
    assert_eq!(world.operator().list_postings(list(unknown, 0, "")).await.unwrap_err().code(), Code::NotFound);
    let seen = world.operator().list_postings(list(bob, 0, "")).await.unwrap().into_inner();
    assert_eq!(seen.postings.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn row_level_security_hides_others_and_the_house_from_the_user_role() {
    let world = World::start().await;
    let (ann, bob) = (world.account(100).await, world.account(100).await);
    let settings = world.database.settings();
    let registry = flotilla_telemetry::Registry::new();
    let pool = flotilla_postgres::Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    for sql in ["SELECT FROM accounts", "SELECT FROM postings", "SELECT FROM transfers"] {
        assert_eq!(pool.query_as(ann, sql, &[]).await.unwrap().len(), 1, "{sql}");
        assert!(pool.query(sql, &[]).await.unwrap().is_empty(), "{sql}");
    }
    for customer in [ann, bob] {
        let declined = "INSERT INTO charges (order_id, customer_id, state, amount_minor, currency, decline)
            VALUES (gen_random_uuid(), $1, 'declined', 1, 'USD', 'PAYMENT_DECLINE_REFUSED')";
        world.database.query(declined, &[&customer]).await;
    }
    assert_eq!(pool.query_as(ann, "SELECT FROM charges", &[]).await.unwrap().len(), 1);
    for forbidden in [
        "UPDATE charges SET state = 'tombstone'",
        "UPDATE accounts SET balance_minor = 1000000",
        "DELETE FROM postings",
    ] {
        let error = pool.query_as(ann, forbidden, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some("42501"), "{forbidden}");
    }
    world.finish().await;
}
