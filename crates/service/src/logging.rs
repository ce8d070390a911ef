//! Shows and changes what is logged, on the admin port: `GET`, `PUT` and `DELETE /logging`.
//!
//! A change applies to everything (`{"filter":"info,flotilla_orders=debug"}`), one module or one user's calls
//! (`{"user":"users/018f...","level":"debug"}`), and lasts for the time in `for`, by default ten minutes.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use flotilla_config::HumanDuration;
use flotilla_telemetry::{LogControl, LogScope};
use serde::Deserialize;
use serde_json::json;

/// The default duration of a change.
const LASTING: HumanDuration = HumanDuration(Duration::from_secs(600));

/// The routes over `control`.
pub(crate) fn routes(control: LogControl) -> Router {
    Router::new().route("/logging", get(show).put(set).delete(reset)).with_state(control)
}

/// The body of a `PUT`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    module: Option<String>,
    user: Option<String>,
    #[serde(alias = "filter")]
    level: String,
    #[serde(rename = "for")]
    lasting: Option<HumanDuration>,
}

async fn show(State(control): State<LogControl>) -> Response {
    Json(control.state()).into_response()
}

async fn set(State(control): State<LogControl>, body: Bytes) -> Response {
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return refused(&error.to_string()),
    };
    let scope = match (change.module, change.user) {
        (None, None) => LogScope::All,
        (Some(module), None) => LogScope::Module(module),
        (None, Some(user)) => LogScope::User(user),
        (Some(_), Some(_)) => return refused("a rule has a module or a user, not both; send one rule for each"),
    };
    match control.set(scope, &change.level, change.lasting.unwrap_or(LASTING).0) {
        Ok(()) => {
            tracing::info!(rules = control.state().rules.len(), "log rule set");
            show(State(control)).await
        }
        Err(error) => refused(&error.to_string()),
    }
}

async fn reset(State(control): State<LogControl>) -> Response {
    control.reset();
    tracing::info!("log rules deleted");
    show(State(control)).await
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use flotilla_telemetry::Telemetry;
    use serde_json::Value;
    use tower::ServiceExt as _;

    async fn ask(control: &LogControl, method: &str, body: &'static str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri("/logging").body(Body::from(body)).unwrap();
        let answer = routes(control.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&to_bytes(answer.into_body(), 65_536).await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn rules_are_set_shown_and_removed() {
        let control = Telemetry::quiet("orders").log_control();
        let (status, state) = ask(&control, "PUT", r#"{"user":"users/U-1","level":"debug","for":"90s"}"#).await;
        assert_eq!((status, &state["rules"][0]["user"]), (StatusCode::OK, &"u-1".into()), "{state}");
        let (_, state) = ask(&control, "PUT", r#"{"module":"flotilla_orders","level":"trace"}"#).await;
        assert_eq!(state["rules"][1]["ends_in_s"], 600, "{state}");
        ask(&control, "PUT", r#"{"filter":"warn"}"#).await;
        let (_, state) = ask(&control, "GET", "").await;
        assert_eq!(state["rules"].as_array().unwrap().len(), 3, "{state}");
        let (_, state) = ask(&control, "DELETE", "").await;
        assert_eq!((state["rules"].as_array().unwrap().len(), &state["filter"]), (0, &"info".into()), "{state}");
    }

    #[tokio::test]
    async fn an_invalid_rule_is_refused_with_a_reason() {
        let control = Telemetry::quiet("orders").log_control();
        for body in ["", "{}", r#"{"level":"loud","user":"u"}"#, r#"{"level":"debug","user":"u","module":"m"}"#] {
            let (status, answer) = ask(&control, "PUT", body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer["error"].is_string(), "{answer}");
        }
    }
}
