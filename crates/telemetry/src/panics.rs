//! Logs panics: a log line like any other, so that secrets in it are masked.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use crate::redact::scrub;

/// Logs panics from now on, also those that are caught. Where the logs don't go to standard output (`aside`), standard
/// error gets them as well.
pub(crate) fn log_them(aside: bool) {
    panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let message = scrub(message(info)).into_owned();
        let backtrace = Backtrace::capture();
        // Only where RUST_BACKTRACE asks for it.
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(location, panic = message, backtrace, "panicked");
        if aside {
            eprintln!("panicked at {location}: {message}");
        }
    }));
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("something other than text")
}
