//! Adds `trace_id` and `span_id` to every log line within a trace, and in a process that runs several services, `service`
//! to every line of one of them.

use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::service_scope::ServiceScope;

/// The field with the service's name.
const SERVICE: &str = "service";

/// Lines formatted by `F`, with the ids and the service added.
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
        let added = self.added(event)?;
        if added.is_empty() {
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::with_capacity(512);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let whole = line.trim_end_matches('\n');
        let end = &line[whole.len()..];
        match whole.strip_suffix('}').filter(|_| self.json) {
            Some(open) => write!(writer, "{open}{added}}}{end}"),
            None => write!(writer, "{whole}{added}{end}"),
        }
    }
}

impl<F> WithIds<F> {
    /// What is added to the line of an event.
    fn added(&self, event: &Event<'_>) -> Result<String, fmt::Error> {
        let mut added = String::new();
        // An event that names its service itself keeps that.
        let named = || event.metadata().fields().field(SERVICE).is_some();
        if let Some(service) = ServiceScope::current().name().filter(|_| !named()) {
            self.add(&mut added, SERVICE, &service)?;
        }
        if let Some(ids) = crate::current_ids() {
            self.add(&mut added, "trace_id", &ids.trace())?;
            self.add(&mut added, "span_id", &ids.span())?;
        }
        Ok(added)
    }

    fn add(&self, added: &mut String, name: &str, value: &dyn fmt::Display) -> fmt::Result {
        if self.json { write!(added, ",\"{name}\":\"{value}\"") } else { write!(added, " {name}={value}") }
    }
}
