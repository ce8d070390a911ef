//! The process of identity.

use std::process::ExitCode;

/// Less memory than the system's allocator and mimalloc, at the speed of the latter: docs/bench/profiles.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match flotilla_service::runtime(0) {
        Ok(runtime) => runtime.block_on(flotilla_service::run::<flotilla_identity::Identity>(std::env::args().skip(1))),
        Err(error) => {
            eprintln!("identity: the runtime doesn't start: {error}");
            ExitCode::FAILURE
        }
    }
}
