//! The chassis: what every service does in the same way, so that its own code is only its business logic.
//!
//! Owns start-up order, the admin endpoints (`/livez`, `/readyz`, `/startupz`, `/metrics`, `/version`), readiness,
//! signals, drain and the supervision of background tasks, the watcher of the remote source, flags, and the key of page
//! tokens. Guarantees:
//! * A task that ends or panics on its own stops the service with an error, so that its supervisor restarts it.
//! * Readiness fails only for required dependencies; degraded ones are shown and don't fail it.
//! * A shutdown takes at most the grace: not ready, calls drained, tasks ended, telemetry flushed.
//!
//! Several services can run in one process ([`OneProcess`]), from the same code.

mod admin;
mod authenticator;
mod chassis;
mod cli;
mod configuration;
mod errors;
mod faults;
mod flags;
mod healthcheck;
mod heartbeat;
mod infrastructure;
pub mod list;
mod logging;
mod one_process;
mod page_key;
mod readiness;
pub mod remote;
mod running;
mod runtime;
mod schema;
mod sections;
mod service;
mod settings;
mod shared_admin;
mod signals;
mod supervisor;

pub use chassis::Chassis;
pub use cli::run;
pub use configuration::{Configuration, Outcome, Settings};
pub use errors::{internal_error, queue_error, storage_error};
pub use flotilla_secrets::SecretsSettings;
pub use infrastructure::{Infrastructure, migrations_with};
pub use one_process::OneProcess;
pub use page_key::{PageKey, migrations};
pub use readiness::Severity::{Degraded, Required};
pub use readiness::{CheckReport, Readiness, Report, Severity};
pub use running::Running;
pub use runtime::{Runtime, runtime};
pub use sections::{CallSettings, CommonSettings, ProcessSettings};
pub use service::{Common, Migrations, Service};
pub use settings::{Environment, ServiceSettings};
pub use shared_admin::AdminLink;
