//! Logs, traces and metrics of a process.
//!
//! Owns the global subscriber, the export of spans and the metrics registry; [`init`] and [`init_shared`] are the only
//! functions in the workspace that set a global, and only `main` calls them. A process may run several services: each has
//! a registry of its own ([`Telemetry::of_service`]), and [`ServiceScope`] says which service a span or a log line belongs to.
//! Guarantees: a slow reader of the logs never delays the process; without an OTLP endpoint spans cost nothing beyond
//! their log fields; shutting down waits at most two seconds.

mod error;
mod guard;
mod logs;
mod metrics;
mod panics;
mod propagation;
mod sampler;
mod service_scope;
mod settings;
mod span;
#[cfg(test)]
mod subscribed;
mod traces;
mod writer;

pub use error::TelemetryError;
pub use flotilla_redact as redact;
pub use guard::{Telemetry, init, init_shared};
pub use logs::{LogControl, LogRule, LogRuleError, LogScope, LogState, caller_is};
pub use metrics::{
    ExemplarHistogram, ExemplarHistogramVec, Exposition, SampledTrace, Sli, SliEvents, expose, expose_all, render,
};
pub use prometheus::Registry;
pub use propagation::{Parent, current_traceparent, is_sampled, set_parent, write_headers};
pub use service_scope::{InService, ServiceScope, in_current_service, spawn};
pub use settings::{LogFormat, LogOutput, TelemetrySettings, TraceSettings};
pub use span::{
    Entered, Handle, KeyValue, Kind, SPANS, Span, SpanIds, Value, Within, current_ids, event, exported, sampled,
};
