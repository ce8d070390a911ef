//! The `fleet` command.

use std::process::ExitCode;

use clap::Parser as _;

/// The load generator and the checker allocate as the services do.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("fleet: another crypto provider is already installed");
        return ExitCode::FAILURE;
    }
    flotilla_fleet::cli::run(flotilla_fleet::cli::Cli::parse()).await
}
