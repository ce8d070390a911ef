//! One order is one trace: over every service, from the request at the gateway to the notice, with batches by links.
//!
//! The fleet samples nothing by itself here: what is told of is what a test's own request marks as sampled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use flotilla_proto::orders::v1::{
    Order, OrderState, PlaceOrderLine, PlaceOrderRequest, order_service_client::OrderServiceClient,
};
use flotilla_testkit::otlp::{ReceivedSpan, Receiver, tree};
use flotilla_workload::client::Session;
use tonic::Request;

use crate::{
    fleet::{Fleet, fleet},
    http,
};

/// Where the fleet's spans go. On a thread of its own: every test has a runtime of its own, and the fleet outlives
/// them.
pub static COLLECTOR: LazyLock<Receiver> = LazyLock::new(|| {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            tell.send(Receiver::start().await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
});
/// What a test's requests name as their own span.
const CLIENT: &str = "b7ad6b7169203331";
const PLACE: &str = "flotilla.orders.v1.OrderService/PlaceOrder";

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A trace of a test's own.
struct Trace(String);

impl Trace {
    fn new() -> Self {
        Self(format!("{:032x}", 0xf107_u128 << 64 | u128::from(NUMBER.fetch_add(1, Ordering::Relaxed))))
    }

    fn w3c(&self, sampled: bool) -> (&'static str, String) {
        ("traceparent", format!("00-{}-{CLIENT}-0{}", self.0, u8::from(sampled)))
    }

    fn b3(&self) -> (&'static str, String) {
        ("b3", format!("{}-{CLIENT}-1", self.0))
    }

    /// Waits until all that is named has come, and returns the trace's spans and all others.
    async fn wait_for(&self, wanted: &[&str]) -> Story {
        let mut wanted: Vec<&str> = wanted.to_vec();
        wanted.sort_unstable();
        let all = COLLECTOR
            .wait_until(|all| {
                let story = Story::of(&self.0, all);
                let paths = story.paths();
                wanted.iter().all(|path| paths.contains(*path))
            })
            .await;
        Story::of(&self.0, &all)
    }
}

/// The spans of one trace, and those of batches beside it.
struct Story {
    own: Vec<ReceivedSpan>,
    others: Vec<ReceivedSpan>,
}

impl Story {
    fn of(trace: &str, all: &[ReceivedSpan]) -> Self {
        let (own, others) = all.iter().cloned().partition(|span| span.trace_id == trace);
        Self { own, others }
    }

    /// Each span as the way that leads to it: `service kind name`, from the client's on. A redelivery counts once.
    fn paths(&self) -> BTreeSet<String> {
        let by_id: BTreeMap<&str, &ReceivedSpan> = self.own.iter().map(|span| (span.span_id.as_str(), span)).collect();
        let path = |span: &ReceivedSpan| {
            let mut steps = Vec::new();
            let mut next = Some(span);
            while let Some(step) = next {
                steps.push(format!("{} {} {}", step.service, step.kind, step.name));
                let parent = step.parent_id.as_deref();
                next = parent.and_then(|parent| by_id.get(parent).copied());
                if next.is_none() && parent != Some(CLIENT) {
                    steps.push("lost".to_owned());
                }
            }
            steps.reverse();
            steps.join(" > ")
        };
        self.own.iter().map(path).collect()
    }

    fn named(&self, name: &str) -> Vec<&ReceivedSpan> {
        self.own.iter().filter(|span| span.name == name).collect()
    }

    /// The one span of that name that isn't a redelivery's.
    fn only(&self, name: &str) -> &ReceivedSpan {
        let found: Vec<_> =
            self.named(name).into_iter().filter(|span| span.attribute("flotilla.repeat").is_empty()).collect();
        assert_eq!(found.len(), 1, "{name}:\n{}", tree(&self.own));
        found[0]
    }

    /// The batch that names `member` by a link.
    fn batch(&self, service: &str, name: &str, member: &ReceivedSpan) -> &ReceivedSpan {
        let found =
            self.others.iter().find(|span| span.service == service && span.name == name && span.links_to(member));
        found.unwrap_or_else(|| panic!("no {name} of {service} links to {}:\n{}", member.name, tree(&self.others)))
    }
}

/// Places an order within a trace.
async fn place(fleet: &Fleet, customer: &Session, header: (&'static str, String), product: &str) -> Order {
    let key = format!("traced-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let lines = vec![PlaceOrderLine { product: format!("products/{product}"), quantity: 1 }];
    let mut request = Request::new(PlaceOrderRequest { lines, expected_total: None, request_id: key });
    request.metadata_mut().insert("authorization", customer.authorization());
    request.metadata_mut().insert(header.0, header.1.parse().unwrap());
    OrderServiceClient::new(fleet.api.channel()).place_order(request).await.unwrap().into_inner()
}

/// The ways of an order from the request to the saga's first step.
fn beginning() -> (String, String, String) {
    let gateway = format!("gateway server POST /{PLACE}");
    let orders = format!("{gateway} > gateway client {PLACE} > orders server {PLACE}");
    let placed = format!("{orders} > orders internal place order");
    (gateway, orders, placed)
}

#[tokio::test]
async fn an_order_is_one_trace_from_the_request_to_the_notice() {
    one_trace(&fleet().await).await;
}

/// An order on this fleet is one trace, over all services.
pub async fn one_trace(fleet: &Fleet) {
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(2_500, 10).await);
    let trace = Trace::new();
    let order = place(fleet, &customer, trace.w3c(true), &product).await;
    fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;

    let (gateway, orders, placed) = beginning();
    let reserving = format!("{placed} > inventory consumer process ReserveStock");
    let reserved = format!("{reserving} > orders consumer process StockReserved");
    let charging = format!("{reserved} > payments consumer process ChargePayment");
    let charged = format!("{charging} > orders consumer process PaymentCharged");
    let committing = format!("{charged} > inventory consumer process CommitStock");
    let told_of_payment = format!("{charging} > notification consumer process PaymentCharged");
    let told_of_order = format!("{charged} > notification consumer process OrderConfirmed");
    let wanted = [
        gateway.clone(),
        format!("{gateway} > gateway client {PLACE}"),
        orders,
        placed.clone(),
        format!("{reserving} > inventory internal reserve stock"),
        format!("{reserved} > orders internal advance saga"),
        format!("{charging} > payments internal charge payment"),
        format!("{charged} > orders internal advance saga"),
        format!("{committing} > inventory internal commit stock"),
        format!("{told_of_payment} > notification internal record notice"),
        format!("{told_of_order} > notification internal record notice"),
        reserving,
        reserved,
        charging,
        charged,
        committing,
        told_of_payment,
        told_of_order,
    ];
    let story = trace.wait_for(&wanted.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let paths = story.paths();
    assert!(paths.iter().all(|path| !path.starts_with("lost")), "{}", tree(&story.own));
    assert!(story.own.iter().all(|span| span.status.is_none()), "{}", tree(&story.own));

    // What is told of it.
    let request = story.only(&format!("POST /{PLACE}"));
    assert_eq!(request.attribute("http.request.method"), "POST");
    assert_eq!(request.attribute("rpc.response.status_code"), "OK");
    let id = order.name.trim_start_matches("orders/");
    let place = story.only("place order");
    assert_eq!(place.attribute("flotilla.order.id"), id);
    let moves: Vec<_> = story.named("advance saga").into_iter().flat_map(|span| &span.events).collect();
    for (from, to) in [("reserving", "charging"), ("charging", "confirmed")] {
        let is = |name: &str, wanted: &str, event: &flotilla_testkit::otlp::ReceivedEvent| {
            event.attributes.get(name).is_some_and(|state| state == wanted)
        };
        assert!(
            moves.iter().any(|event| event.name == "state" && is("from", from, event) && is("to", to, event)),
            "{moves:#?}"
        );
    }

    assert_batches(&story, place);
    fleet.assert_sound().await;
}

/// Batches stand beside the trace and are linked with it: the transaction that wrote the order, the publication of its
/// command, the batch in which inventory took it.
fn assert_batches(story: &Story, place: &ReceivedSpan) {
    let accepted = story.batch("orders", "accept orders", place);
    let statements: Vec<_> = story.others.iter().filter(|span| span.is_child_of(accepted)).collect();
    for summary in ["BEGIN", "INSERT orders", "INSERT outbox", "COMMIT"] {
        let found = statements.iter().find(|span| span.name == summary);
        let found = found.unwrap_or_else(|| panic!("no {summary} among {}", tree(&story.others)));
        assert_eq!((found.kind, found.attribute("db.system.name")), ("client", "postgresql"));
    }
    let published = story.batch("orders", "publish ORDERS", place);
    assert_eq!((published.kind, published.attribute("messaging.system")), ("producer", "nats"));
    let received = story.batch("inventory", "receive inventory-orders", place);
    assert!(story.only("process ReserveStock").links_to(received), "{}", tree(&story.own));
    assert!(received.attribute("messaging.batch.message_count").parse::<u64>().unwrap() >= 1);
    assert!(story.others.iter().any(|span| span.is_child_of(received) && span.name == "COMMIT"));
}

#[tokio::test]
async fn a_declined_order_shows_why_in_its_trace() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(100).await, fleet.product(2_500, 10).await);
    let trace = Trace::new();
    let order = place(&fleet, &customer, trace.b3(), &product).await;
    fleet.until_state(&customer, &order.name, OrderState::Rejected).await;

    let (_, _, placed) = beginning();
    let charging = format!(
        "{placed} > inventory consumer process ReserveStock > orders consumer process StockReserved > \
         payments consumer process ChargePayment"
    );
    let released = format!(
        "{charging} > orders consumer process PaymentDeclined > inventory consumer process ReleaseStock > \
         orders consumer process StockReleased"
    );
    let story = trace
        .wait_for(&[
            &format!("{charging} > payments internal charge payment"),
            &format!("{released} > orders internal advance saga"),
            &format!("{released} > notification consumer process OrderRejected > notification internal record notice"),
        ])
        .await;
    let charge = story.only("charge payment");
    assert_eq!(charge.status.as_deref(), Some("insufficient_funds"));
    assert_eq!(charge.attribute("error.type"), "declined");
    assert_eq!(charge.events[0].name, "declined");
    let ended =
        story.named("advance saga").into_iter().find(|span| span.attribute("flotilla.order.state") == "rejected");
    assert_eq!(ended.unwrap().status.as_deref(), Some("insufficient_funds"), "{}", tree(&story.own));
    fleet.assert_sound().await;
}

#[tokio::test]
async fn a_request_that_isnt_sampled_leaves_no_span_anywhere() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(2_500, 10).await);
    let (silent, loud) = (Trace::new(), Trace::new());
    let order = place(&fleet, &customer, silent.w3c(false), &product).await;
    fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;
    // Whoever told of the first would have done so before the end of the second.
    let order = place(&fleet, &customer, loud.w3c(true), &product).await;
    fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;
    let (_, _, placed) = beginning();
    let charged = format!(
        "{placed} > inventory consumer process ReserveStock > orders consumer process StockReserved > \
         payments consumer process ChargePayment > orders consumer process PaymentCharged"
    );
    let story = loud.wait_for(&[&format!("{charged} > notification consumer process OrderConfirmed")]).await;
    let all = story.own.iter().chain(&story.others);
    let links = all.clone().flat_map(|span| &span.links).map(|link| &link.trace_id);
    assert!(all.map(|span| &span.trace_id).chain(links).all(|id| *id != silent.0));
    // The journal knows its trace all the same.
    let journalled = format!("SELECT count(*) FROM saga_journal WHERE trace_id = '{}'", silent.0);
    assert!(fleet.number("orders", &journalled).await > 0);
    fleet.assert_sound().await;
}

#[tokio::test]
async fn a_read_has_spans_of_cache_and_database() {
    let fleet = fleet().await;
    let product = fleet.product(2_500, 10).await;
    let trace = Trace::new();
    let (name, traceparent) = trace.w3c(true);
    let address = &fleet.state.member("gateway").unwrap().address;
    let path = format!("/v1/products/{product}");
    let answer = http::send(address, "GET", &path, None, &[(name, &traceparent)], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let gateway = "gateway server GET /v1/{name=products/*}";
    let call = "flotilla.inventory.v1.CatalogService/GetProduct";
    let served = format!("{gateway} > gateway client {call} > inventory server {call}");
    let wanted = [
        gateway.to_owned(),
        format!("{gateway} > gateway client fetch"),
        format!("{served} > inventory client SELECT products"),
    ];
    let story = trace.wait_for(&wanted.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let request = story.only("GET /v1/{name=products/*}");
    assert_eq!((request.attribute("url.path"), request.attribute("http.response.status_code")), (path.as_str(), "200"));
    assert_eq!(story.only("fetch").attribute("db.system.name"), "redis");
}
