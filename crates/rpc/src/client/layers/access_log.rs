//! Logs one line for each outgoing call, at debug level.

use std::time::Duration;

use tonic::Code;

use crate::code_name;

/// Logs a call that has ended.
pub(crate) fn ended(method: &str, code: Code, took: Duration) {
    tracing::debug!(method, code = code_name(code), took_us = took.as_micros() as u64, "call made");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Default, Clone)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() <= tracing::Level::DEBUG
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            self.0.lock().push(format!("{} {event:?}", event.metadata().level()));
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_call_is_one_line_at_debug_level() {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || {
            ended("a/B", Code::NotFound, Duration::from_millis(2));
        });
        let lines = lines.0.lock();
        assert_eq!(lines.len(), 1);
        for part in ["DEBUG", "call made", "a/B", "NOT_FOUND", "2000"] {
            assert!(lines[0].contains(part), "{part} in {}", lines[0]);
        }
    }
}
