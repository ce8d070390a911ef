//! The section `telemetry` of a service's settings.

use flotilla_config::{Live, Problems, Setting, Validate};

use crate::logs::check_filter;

/// What the logs look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Setting)]
#[setting(rename_all = "lowercase")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` elsewhere.
    #[default]
    Auto,
    /// Several lines for an event, for people at work on one service.
    Pretty,
    /// One line for an event, for people.
    Compact,
    /// One JSON object for an event, for machines.
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

/// How the process reports what it does. The standard variables `RUST_LOG` (over `filter`), `NO_COLOR` and `OTEL_*` are
/// honoured as well.
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
    /// Which traces are kept.
    pub traces: TraceSettings,
}

/// Which traces are kept, where they are exported at all. `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` count more.
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
        problems.require(self.log_queue > 0, "log_queue", "must be at least 1: without it no line is written");
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
