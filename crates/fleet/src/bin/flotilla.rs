//! All six services in one binary: `flotilla <service> [serve|migrate|await-migrations|healthcheck]`.
//!
//! One link and shared pages; an image of one service holds this binary and its service's name.

use std::process::ExitCode;

use flotilla_service::run;

/// Small, frequent allocations of many tasks: measurably cheaper than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Busy services beside each one on this machine: a second thread on two cores costs an order a tenth more CPU time,
/// spent on handing tasks from thread to thread.
const NEIGHBOURS: usize = 3;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("flotilla: another crypto provider is installed already");
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1);
    let service = args.next().unwrap_or_default();
    let runtime = match flotilla_service::runtime(NEIGHBOURS) {
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
