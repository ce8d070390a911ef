//! Logs, traces and metrics of a process.
//!
//! Owns the one subscriber, the export of spans and the metrics registry; [`init`] is the only function of the
//! workspace that sets a global and is called by `main` alone. Guarantees: a slow reader of the logs never holds up the
//! process; without an OTLP endpoint spans cost nothing beyond their log fields; shutting down waits at most two
//! seconds.

mod error;
mod guard;
mod logs;
mod metrics;
mod propagation;
mod settings;
mod traces;
mod writer;

pub use error::TelemetryError;
pub use guard::{Telemetry, init};
pub use metrics::render;
pub use prometheus::Registry;
pub use propagation::{current_traceparent, set_parent};
pub use settings::{LogFormat, TelemetrySettings};
