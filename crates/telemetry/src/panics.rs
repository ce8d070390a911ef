//! Logs panics like other events, so that secrets in them are masked.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use crate::redact::scrub;

/// Logs all panics from now on, including those that are caught. With `to_stderr`, for processes that don't log to
/// standard output, they are also written to standard error.
pub(crate) fn install_hook(to_stderr: bool) {
    panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let message = scrub(message(info)).into_owned();
        let backtrace = Backtrace::capture();
        // Captured only if RUST_BACKTRACE is set.
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(location, panic = message, backtrace, "panicked");
        if to_stderr {
            eprintln!("panicked at {location}: {message}");
        }
    }));
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("the payload isn't text")
}
