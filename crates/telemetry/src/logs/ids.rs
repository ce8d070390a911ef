//! Adds `trace_id` and `span_id` to every log line within a trace.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Lines formatted by `F`, with the ids added.
pub(super) struct WithIds<F> {
    pub inner: F,
    pub json: bool,
}

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(ids) = crate::current_ids() else { return self.inner.format_event(context, writer, event) };
        let mut line = String::with_capacity(512);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let (trace, span) = (ids.trace(), ids.span());
        let whole = line.trim_end_matches('\n');
        let end = &line[whole.len()..];
        match whole.strip_suffix('}').filter(|_| self.json) {
            Some(open) => write!(writer, "{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}{end}"),
            None => write!(writer, "{whole} trace_id={trace} span_id={span}{end}"),
        }
    }
}
