//! Faults on the admin port: `GET /faults`, `PUT` and `DELETE /faults/{name}`.
//!
//! Mounted only where faults are allowed, so that the endpoint doesn't exist elsewhere.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use flotilla_config::{HumanDuration, unknown};
use flotilla_fault::{Fault, Faults, Injection, Parameter, Refused, Report};
use prometheus::Registry;
use serde::Deserialize;
use serde_json::{Value, json};

/// The body of a `PUT`; every field is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FaultRequest {
    /// How long the fault lasts.
    r#for: Option<HumanDuration>,
    /// How long affected operations are delayed.
    delay: Option<HumanDuration>,
    /// The percentage of operations that are affected.
    share: Option<u8>,
}

/// Registers gauges that show which faults are on.
pub(crate) fn show(faults: &Faults, registry: &Registry) -> Result<(), prometheus::Error> {
    match faults.register(registry) {
        // Another service in this process has registered them already.
        Err(prometheus::Error::AlreadyReg) => Ok(()),
        registered => registered,
    }
}

/// The routes.
pub(crate) fn routes(faults: Faults) -> Router {
    Router::new().route("/faults", get(list)).route("/faults/{name}", put(turn_on).delete(turn_off)).with_state(faults)
}

async fn list(State(faults): State<Faults>) -> Json<Value> {
    Json(Value::Array(faults.report().iter().map(shown).collect()))
}

async fn turn_on(State(faults): State<Faults>, Path(name): Path<String>, body: Bytes) -> Response {
    let fault = match name.parse::<Fault>() {
        Ok(fault) => fault,
        Err(_) => return refusal(StatusCode::NOT_FOUND, &unknown_fault(&name)),
    };
    let requested =
        if body.is_empty() { Ok(FaultRequest::default()) } else { serde_json::from_slice::<FaultRequest>(&body) };
    let requested = match requested {
        Ok(requested) => requested,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error),
    };
    let injection =
        Injection::of(fault, requested.r#for.map(|it| it.0), requested.delay.map(|it| it.0), requested.share);
    match injection.and_then(|injection| faults.turn_on(fault, injection).map(|()| injection)) {
        Ok(Injection { lasts, delay, share }) => {
            tracing::warn!(%fault, ?lasts, ?delay, share, "fault switched on");
            standing(&faults, fault)
        }
        Err(refused @ Refused::Unsupported(_)) => refusal(StatusCode::NOT_FOUND, &refused),
        Err(refused @ Refused::NotAllowed) => refusal(StatusCode::FORBIDDEN, &refused),
        Err(refused) => refusal(StatusCode::BAD_REQUEST, &refused),
    }
}

async fn turn_off(State(faults): State<Faults>, Path(name): Path<String>) -> Response {
    match name.parse::<Fault>() {
        Ok(fault) if faults.is_supported(fault) => {
            let was_on = faults.turn_off(fault);
            tracing::warn!(%fault, was_on, "fault switched off");
            standing(&faults, fault)
        }
        Ok(fault) => refusal(StatusCode::NOT_FOUND, &Refused::Unsupported(fault)),
        Err(_) => refusal(StatusCode::NOT_FOUND, &unknown_fault(&name)),
    }
}

fn unknown_fault(name: &str) -> String {
    unknown("fault", name, Fault::ALL.map(Fault::name))
}

fn standing(faults: &Faults, fault: Fault) -> Response {
    let report = faults.report().into_iter().find(|report| report.fault == fault);
    Json(report.as_ref().map(shown)).into_response()
}

fn refusal(status: StatusCode, why: &dyn std::fmt::Display) -> Response {
    (status, Json(json!({ "error": why.to_string() }))).into_response()
}

fn shown(report: &Report) -> Value {
    let mut shown = json!({ "name": report.fault.name(), "on": report.on.is_some() });
    if let Some((injection, left)) = report.on {
        shown["left"] = json!(HumanDuration::from_secs(left.as_secs()).to_string());
        for parameter in report.fault.parameters() {
            shown[parameter.name()] = match parameter {
                Parameter::Delay => json!(HumanDuration(injection.delay).to_string()),
                Parameter::Share => json!(injection.share),
            };
        }
    }
    shown
}
