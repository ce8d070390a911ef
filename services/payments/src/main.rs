//! The process of payments.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    flotilla_service::run::<flotilla_payments::Payments>(std::env::args().skip(1)).await
}
