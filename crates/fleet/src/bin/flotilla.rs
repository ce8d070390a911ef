//! All six services in one binary: `flotilla <service> [serve|migrate|healthcheck]`.
//!
//! One link and shared pages; an image of one service holds this binary and its service's name.

use std::process::ExitCode;

use flotilla_service::run;

/// Small, frequent allocations of many tasks: measurably cheaper than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("flotilla: another crypto provider is installed already");
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1);
    let service = args.next().unwrap_or_default();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flotilla: the runtime doesn't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match service.as_str() {
            "gateway" => run::<flotilla_gateway::Gateway>(args).await,
            "identity" => run::<flotilla_identity::Identity>(args).await,
            "inventory" => run::<flotilla_inventory::Inventory>(args).await,
            "orders" => run::<flotilla_orders::Orders>(args).await,
            "payments" => run::<flotilla_payments::Payments>(args).await,
            "notification" => run::<flotilla_notification::Notification>(args).await,
            _ => {
                eprintln!("usage: flotilla <{}> [serve|migrate|healthcheck]", flotilla_fleet::SERVICES.join("|"));
                ExitCode::from(2)
            }
        }
    })
}

/// A runtime of `FLOTILLA_WORKER_THREADS` threads; by default one for every four cores that the process may use.
///
/// Six services share the machine: a second thread on two cores costs an order a tenth more CPU time, spent on handing
/// tasks from thread to thread.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = std::env::var("FLOTILLA_WORKER_THREADS").ok().and_then(|value| value.parse().ok());
    let threads: usize = wanted.unwrap_or(cores / 4).max(1);
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}
