//! The notification service as a process of its own.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    flotilla_service::run::<flotilla_notification::Notification>(std::env::args().skip(1)).await
}
