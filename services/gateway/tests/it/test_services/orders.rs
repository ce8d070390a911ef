//! Orders that do as their names say.

use std::pin::Pin;
use std::time::Duration;

use flotilla_proto::orders::v1::order_service_server::OrderService;
use flotilla_proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, OrderLine, OrderState,
    PlaceOrderRequest, WatchOrderRequest, WatchOrderResponse,
};
use flotilla_rpc::{RpcError, invalid, not_found};
use futures::{Stream, StreamExt as _, stream};
use tonic::{Code, Request, Response, Status};

use super::Notes;

pub struct Orders(pub Notes);

type Answer<T> = Result<Response<T>, Status>;

fn order(name: &str) -> Order {
    Order { name: name.to_owned(), state: OrderState::Reserving.into(), etag: "\"1\"".to_owned(), ..Order::default() }
}

/// Three states, the last of them the end.
fn state(number: usize, name: &str) -> Result<WatchOrderResponse, Status> {
    Ok(WatchOrderResponse { order: Some(order(name)), resume_token: number.to_string() })
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Answer<Order> {
        self.0.note("PlaceOrder", &request);
        let request = request.into_inner();
        match request.request_id.as_str() {
            "" => Err(invalid("request_id", "must be given").into()),
            "slow" => std::future::pending().await,
            "busy" => Err(RpcError::new(Code::ResourceExhausted, "OVERLOADED", "busy")
                .retry_after(Duration::from_secs(3))
                .into()),
            "changed" => Err(RpcError::new(Code::Aborted, "TOTAL_CHANGED", "the total has changed")
                .field("expected_total", "is 5 USD now")
                .metadata("total", "5 USD")
                .into()),
            "panic" => panic!("as asked"),
            _ => {
                let line = |line: &flotilla_proto::orders::v1::PlaceOrderLine| OrderLine {
                    product: line.product.clone(),
                    quantity: line.quantity,
                    unit_price: None,
                };
                let lines = request.lines.iter().map(line).collect();
                Ok(Response::new(Order { lines, ..order("orders/00000000-0000-7000-8000-000000000002") }))
            }
        }
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Answer<Order> {
        self.0.note("GetOrder", &request);
        let name = request.into_inner().name;
        if name == "orders/00000000-0000-7000-8000-000000000000" {
            Err(not_found(&name).into())
        } else {
            Ok(Response::new(order(&name)))
        }
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Answer<ListOrdersResponse> {
        self.0.note("ListOrders", &request);
        Ok(Response::new(ListOrdersResponse::default()))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Answer<Order> {
        self.0.note("CancelOrder", &request);
        let request = request.into_inner();
        flotilla_listing::etag::check(&request.etag, 1, "")?;
        Ok(Response::new(order(&request.name)))
    }

    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<WatchOrderResponse, Status>> + Send>>;

    async fn watch_order(&self, request: Request<WatchOrderRequest>) -> Answer<Self::WatchOrderStream> {
        self.0.note("WatchOrder", &request);
        let WatchOrderRequest { name, resume_token } = request.into_inner();
        let seen: usize = match resume_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| Status::from(invalid("resume_token", "is not ours")))?,
        };
        if name == "orders/00000000-0000-7000-8000-000000000000" {
            return Err(not_found(&name).into());
        }
        let ending = name.clone();
        let states = stream::iter((seen + 1..=3).map(move |number| state(number, &name)));
        let stream: Self::WatchOrderStream = match ending.as_str() {
            name if name.ends_with("beef") => Box::pin(states.chain(stream::pending())),
            "orders/00000000-0000-7000-8000-00000000badd" => {
                let failed = RpcError::new(Code::Unavailable, "DATABASE_UNAVAILABLE", "the database is away");
                Box::pin(states.chain(stream::once(async move { Err(failed.into()) })))
            }
            _ => Box::pin(states),
        };
        Ok(Response::new(stream))
    }
}
