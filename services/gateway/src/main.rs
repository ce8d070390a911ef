//! The process of the gateway.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    flotilla_service::run::<flotilla_gateway::Gateway>(std::env::args().skip(1)).await
}
