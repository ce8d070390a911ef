//! The response to a scraper: OpenMetrics if it accepts that, otherwise Prometheus' text format.

use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use super::histogram::EXEMPLARS;
use super::{merged, open_metrics};

/// Media type of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics, and their media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposition {
    /// The media type.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

/// All metrics in the format that the header `Accept` prefers.
#[must_use]
pub fn expose(registry: &Registry, accept: Option<&str>) -> Exposition {
    encode(registry.gather(), accept)
}

/// The metrics of a process and of the services in it, in the format that the header `Accept` prefers. Those of a
/// service have its name as the label `job`.
#[must_use]
pub fn expose_all(process: &Registry, services: &[(&str, Registry)], accept: Option<&str>) -> Exposition {
    encode(merged::gather(process, services), accept)
}

fn encode(families: Vec<MetricFamily>, accept: Option<&str>) -> Exposition {
    if accept.is_some_and(wants_open_metrics) {
        let body = open_metrics::encode(&families);
        return Exposition { content_type: open_metrics::CONTENT_TYPE, body };
    }
    Exposition { content_type: TEXT, body: text(families) }
}

/// All metrics in Prometheus' text format, which has no exemplars.
#[must_use]
pub fn render(registry: &Registry) -> String {
    text(registry.gather())
}

fn text(mut families: Vec<MetricFamily>) -> String {
    families.retain(|family| !family.name().ends_with(EXEMPLARS));
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
        tracing::warn!(error = %error, "metrics could not be rendered");
    }
    text
}

/// Whether OpenMetrics, in a supported version, has at least the weight of plain text.
fn wants_open_metrics(accept: &str) -> bool {
    let weight = |wanted: &dyn Fn(&str, &str) -> bool| {
        let ranges = accept.split(',').filter_map(|range| {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            let parameter = |key: &str| {
                let pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
                pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
            };
            let version = parameter("version").unwrap_or_default();
            let weight = parameter("q").map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
            wanted(&name.trim().to_ascii_lowercase(), version).then_some(weight)
        });
        ranges.fold(0.0, f32::max)
    };
    let open = weight(&|name, version| name == "application/openmetrics-text" && matches!(version, "" | "1.0.0"));
    let text = weight(&|name, _| name == "text/plain");
    open > 0.0 && open >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_the_format_that_they_prefer() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, open) in [
            (prometheus_2, true),
            (prometheus_3, true),
            ("Application/OpenMetrics-Text", true),
            ("application/openmetrics-text; version=1.0.0; q=0.2, text/plain; q=0.9", false),
            ("application/openmetrics-text;version=2.0.0", false),
            ("application/openmetrics-text;version=0.0.1", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=many", false),
            ("text/plain", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(wants_open_metrics(accept), open, "{accept}");
        }
    }

    #[test]
    fn the_text_format_is_the_default() {
        let exposition = expose(&Registry::new(), None);
        assert_eq!((exposition.content_type, exposition.body.as_str()), (TEXT, ""));
        let exposition = expose(&Registry::new(), Some("application/openmetrics-text"));
        assert_eq!((exposition.content_type, exposition.body.as_str()), (open_metrics::CONTENT_TYPE, "# EOF\n"));
    }
}
