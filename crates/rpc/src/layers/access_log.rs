//! Logs one line for each call, at debug level.

use std::time::Duration;

use tonic::Code;

use crate::details::code_name;

/// Whether the server is at fault.
pub(crate) fn is_server_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::Internal
            | Code::DataLoss
            | Code::Unimplemented
            | Code::Unavailable
            | Code::DeadlineExceeded
    )
}

/// Logs a call that has ended; within its span.
pub(crate) fn ended(span: &tracing::Span, code: Code, took: Duration) {
    if code != Code::Ok {
        span.record("code", code_name(code));
    }
    let _scope = span.enter();
    tracing::debug!(code = code_name(code), took_us = took.as_micros() as u64, "call ended");
}
