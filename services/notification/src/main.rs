//! The process of notification.

use std::process::ExitCode;

/// Small, frequent allocations of many tasks: measurably cheaper than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match flotilla_service::runtime(0) {
        Ok(runtime) => {
            runtime.block_on(flotilla_service::run::<flotilla_notification::Notification>(std::env::args().skip(1)))
        }
        Err(error) => {
            eprintln!("notification: the runtime doesn't start: {error}");
            ExitCode::FAILURE
        }
    }
}
