//! The process of orders.

use std::process::ExitCode;

/// Small, frequent allocations of many tasks: measurably cheaper than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match flotilla_service::runtime(0) {
        Ok(runtime) => runtime.block_on(flotilla_service::run::<flotilla_orders::Orders>(std::env::args().skip(1))),
        Err(error) => {
            eprintln!("orders: the runtime doesn't start: {error}");
            ExitCode::FAILURE
        }
    }
}
