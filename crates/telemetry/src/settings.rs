//! The section `telemetry` of a service's settings.

use flotilla_config::{Live, Problems, Setting, Validate};

use crate::logs::check_filter;

/// Format of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Setting)]
#[setting(rename_all = "lowercase")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` elsewhere.
    #[default]
    Auto,
    /// Several lines per event, for developing a service.
    Pretty,
    /// One line per event.
    Compact,
    /// One JSON object per event, for machines.
    Json,
}

/// Destination of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Setting)]
#[setting(rename_all = "lowercase")]
pub enum LogOutput {
    /// Standard output.
    #[default]
    Stdout,
    /// The Collector, over OTLP, at the endpoint of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    Otlp,
    /// Both.
    Both,
}

impl LogOutput {
    pub(crate) fn is_stdout(self) -> bool {
        self != Self::Otlp
    }

    pub(crate) fn is_otlp(self) -> bool {
        self != Self::Stdout
    }
}

/// Logs and traces of the process. The standard variables `RUST_LOG` (which overrides `filter`), `NO_COLOR` and `OTEL_*`
/// have their usual meaning.
#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct TelemetrySettings {
    /// Format of the logs.
    pub format: LogFormat,
    /// Destination of the logs.
    pub output: LogOutput,
    /// Filter of logged events, in the syntax of `RUST_LOG`.
    pub filter: Live<String>,
    /// Maximum number of log lines (and of records) waiting to be written; further ones are dropped and counted.
    pub log_queue: usize,
    /// Which traces are sampled.
    pub traces: TraceSettings,
}

/// Which traces are sampled, if traces are exported. `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` take precedence.
#[derive(Clone, Copy, Debug, Setting)]
#[setting(default)]
pub struct TraceSettings {
    /// Share of the traces started in this process that are sampled, from 0 to 1. The default 1 is for a collector that
    /// samples.
    pub ratio: f64,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self { ratio: 1.0 }
    }
}

impl Validate for TelemetrySettings {
    fn validate(&self, problems: &mut Problems) {
        if let Err(reason) = check_filter(&self.filter.get()) {
            problems.add("filter", reason);
        }
        problems.require(self.log_queue > 0, "log_queue", "must be at least 1, or no line could be written");
    }
}

impl Validate for TraceSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require((0.0..=1.0).contains(&self.ratio), "ratio", "must be from 0 to 1");
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            output: LogOutput::Stdout,
            filter: Live::new("info".to_owned()),
            log_queue: 8_192,
            traces: TraceSettings::default(),
        }
    }
}
