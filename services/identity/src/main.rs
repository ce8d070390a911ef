//! The process of identity.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    flotilla_service::run::<flotilla_identity::Identity>(std::env::args().skip(1)).await
}
