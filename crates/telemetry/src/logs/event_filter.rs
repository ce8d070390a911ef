//! A parsed filter in the syntax of `RUST_LOG`.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Targets;

use super::words;

/// Libraries that log every frame, or that log while they export logs.
pub(crate) const MUTED: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];

/// Whether a target belongs to a muted library.
pub(crate) fn is_muted(target: &str) -> bool {
    MUTED.iter().any(|muted| target.strip_prefix(muted).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

/// Decides by target and level, at no cost once a callsite is known. A filter that names spans has to follow them.
pub(crate) enum EventFilter {
    Targets(Targets),
    Spans(Box<EnvFilter>),
}

impl EventFilter {
    /// Muted libraries log only warnings unless `filter` names them; `overrides` are directives that override it.
    pub(crate) fn parse(filter: &str, overrides: impl Iterator<Item = String>) -> Result<Self, String> {
        words::filter(filter)?;
        let mut directives: Vec<String> = MUTED.iter().map(|target| format!("{target}=warn")).collect();
        directives.extend(filter.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
        directives.extend(overrides);
        let text = directives.join(",");
        // Parsed in any case: what `EnvFilter` refuses is refused even if `Targets` is used.
        let spans = EnvFilter::builder().parse(&text).map_err(|error| error.to_string())?;
        if filter.contains('[') {
            return Ok(Self::Spans(Box::new(spans)));
        }
        text.parse().map(Self::Targets).map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
    }

    pub(crate) fn max_level(&self) -> LevelFilter {
        let hint = match self {
            Self::Targets(targets) => targets.iter().map(|(_, level)| level).chain(targets.default_level()).max(),
            Self::Spans(spans) => spans.max_level_hint(),
        };
        hint.unwrap_or(LevelFilter::TRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_spans_is_decided_by_target_and_level() {
        let Ok(EventFilter::Targets(targets)) = EventFilter::parse("warn,flotilla_orders=debug", std::iter::empty())
        else {
            panic!()
        };
        assert!(targets.would_enable("flotilla_orders::saga", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("flotilla_inventory", &tracing::Level::INFO));
        let event_filter = EventFilter::parse("info", ["flotilla_inventory=trace".to_owned()].into_iter()).unwrap();
        assert_eq!(event_filter.max_level(), LevelFilter::TRACE);
        assert!(matches!(
            EventFilter::parse("info,flotilla_orders[place]=debug", std::iter::empty()),
            Ok(EventFilter::Spans(_))
        ));
        assert!(EventFilter::parse("info,=,=", std::iter::empty()).is_err());
        assert!(is_muted("h2") && is_muted("h2::codec") && !is_muted("h2o"));
    }
}
