//! The configuration on the admin port: `GET /config`, `POST /config/reload`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::{Configuration, Outcome, Settings};

impl<T: Settings> Configuration<T> {
    /// The routes, to be mounted on the admin port.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/config", get(config::<T>))
            .route("/config/reload", post(reload::<T>))
            .with_state(Arc::clone(self))
    }
}

async fn config<T: Settings>(State(configuration): State<Arc<Configuration<T>>>) -> impl IntoResponse {
    let state = configuration.state();
    Json(json!({
        "service": configuration.service,
        "version": state.version,
        "refused": state.refused,
        "settings": state.effective,
    }))
}

async fn reload<T: Settings>(State(configuration): State<Arc<Configuration<T>>>) -> impl IntoResponse {
    let outcome = configuration.reload("POST /config/reload").await;
    let version = configuration.version();
    let (status, body) = match outcome {
        Outcome::Applied(settings) => {
            (StatusCode::OK, json!({ "result": "applied", "version": version, "settings": settings }))
        }
        Outcome::Unchanged => (StatusCode::OK, json!({ "result": "unchanged", "version": version })),
        Outcome::Refused(error) => {
            (StatusCode::CONFLICT, json!({ "result": "refused", "version": version, "error": error }))
        }
    };
    (status, Json(body))
}
