//! The process of orders.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    flotilla_service::run::<flotilla_orders::Orders>(std::env::args().skip(1)).await
}
