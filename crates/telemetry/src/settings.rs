//! The section `telemetry` of a service's settings.

use serde::Deserialize;

/// What the logs look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// How the process reports what it does. The standard variables `RUST_LOG` (over `filter`), `NO_COLOR` and `OTEL_*` are
/// honoured as well.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Format of the logs; default `auto`.
    pub format: LogFormat,
    /// Which events are logged, in the syntax of `RUST_LOG`; default `info`.
    pub filter: String,
    /// Most log lines that wait to be written; further ones are dropped and counted; default 8192.
    pub log_queue: usize,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned(), log_queue: 8_192 }
    }
}
