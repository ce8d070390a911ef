//! All six services in one binary: `flotilla <service> [serve|migrate|await-migrations|healthcheck]`.
//!
//! It is linked once and its pages are shared; an image of one service contains this binary and the service's name.

use std::process::ExitCode;

use flotilla_service::run;

/// Small, frequent allocations of many tasks: measurably cheaper than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let runtime = match flotilla_service::runtime(NEIGHBOURS) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flotilla: can't start the runtime: {error}");
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
            other => {
                if !other.is_empty() {
                    // The argument isn't echoed: it may be a secret in the wrong place.
                    let refused = flotilla_config::unknown("service", other, flotilla_fleet::SERVICES);
                    eprintln!("flotilla: {}", flotilla_redact::scrub(&refused));
                }
                eprintln!(
                    "usage: flotilla <{}> [serve|migrate|await-migrations|healthcheck]",
                    flotilla_fleet::SERVICES.join("|")
                );
                ExitCode::from(2)
            }
        }
    })
}
