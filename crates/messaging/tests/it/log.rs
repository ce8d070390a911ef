//! Captures the warnings that this thread logs.
//!
//! One subscriber serves the whole process: with one subscriber a thread, tracing would cache for all threads whether a
//! callsite is enabled, as the first thread found it.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static INSTALLED: Once = Once::new();

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The warnings of messaging on this thread since it was created.
pub struct Warnings(());

impl Warnings {
    pub fn catch() -> Self {
        INSTALLED.call_once(|| {
            tracing::subscriber::set_global_default(Catching).unwrap();
            tracing::callsite::rebuild_interest_cache();
        });
        LINES.with(|lines| *lines.borrow_mut() = Some(Vec::new()));
        Self(())
    }

    /// Each as `name=value ...`.
    pub fn lines(&self) -> Vec<String> {
        LINES.with(|lines| lines.borrow().clone().unwrap_or_default())
    }
}

impl Drop for Warnings {
    fn drop(&mut self) {
        LINES.with(|lines| *lines.borrow_mut() = None);
    }
}

struct Catching;

impl Subscriber for Catching {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("flotilla_messaging")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.with(|lines| {
            if let Some(lines) = lines.borrow_mut().as_mut() {
                lines.push(line.0);
            }
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}
