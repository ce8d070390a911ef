//! All six services in one binary: `flotilla <service> [serve|migrate|await-migrations|healthcheck]`, or
//! `flotilla all ...` for all of them in one process.
//!
//! It is linked once and its pages are shared; an image of one service contains this binary and the service's name.

use std::process::ExitCode;

use flotilla_gateway::Gateway;
use flotilla_identity::Identity;
use flotilla_inventory::Inventory;
use flotilla_notification::Notification;
use flotilla_orders::Orders;
use flotilla_payments::Payments;
use flotilla_service::{OneProcess, run};

/// Less memory than the system's allocator and mimalloc, at the speed of the latter: docs/bench/profiles.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// All services in one process.
const ALL: &str = "all";

/// Number of other busy services on this machine: a second thread on two cores costs an order 10% more CPU time, spent
/// on moving tasks between threads.
const NEIGHBOURS: usize = 3;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("flotilla: another crypto provider is already installed");
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1);
    let service = args.next().unwrap_or_default();
    let neighbours = if service == ALL { 0 } else { NEIGHBOURS };
    match flotilla_service::runtime(neighbours) {
        Ok(runtime) => runtime.block_on(serve(&service, args)),
        Err(error) => {
            eprintln!("flotilla: can't start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(service: &str, args: impl Iterator<Item = String>) -> ExitCode {
    match service {
        "gateway" => run::<Gateway>(args).await,
        "identity" => run::<Identity>(args).await,
        "inventory" => run::<Inventory>(args).await,
        "orders" => run::<Orders>(args).await,
        "payments" => run::<Payments>(args).await,
        "notification" => run::<Notification>(args).await,
        // The gateway calls all others.
        ALL => {
            let process = OneProcess::new("flotilla").with::<Gateway>().with::<Identity>().with::<Inventory>();
            process.with::<Orders>().with::<Payments>().with::<Notification>().run(args).await
        }
        other => {
            if !other.is_empty() {
                // The argument isn't echoed: it may be a secret in the wrong place.
                let names = flotilla_fleet::SERVICES.into_iter().chain([ALL]);
                let refused = flotilla_config::unknown("service", other, names);
                eprintln!("flotilla: {}", flotilla_redact::scrub(&refused));
            }
            eprintln!(
                "usage: flotilla <{}|{ALL}> [serve|migrate|await-migrations|healthcheck]",
                flotilla_fleet::SERVICES.join("|")
            );
            ExitCode::from(2)
        }
    }
}
