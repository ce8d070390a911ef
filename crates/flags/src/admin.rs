//! `GET /flags` on the admin port: the definitions with their sources, and those that were refused.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::Flags;

/// The routes.
pub fn routes(flags: Flags) -> Router {
    Router::new().route("/flags", get(states)).with_state(flags)
}

async fn states(State(flags): State<Flags>) -> Json<Value> {
    let mut states = Map::new();
    let mut sources = Vec::new();
    for source in flags.sources() {
        let set = source.set();
        for (name, flag) in set.iter() {
            // The first source that defines a flag takes precedence.
            if !states.contains_key(name) {
                states.insert(name.to_owned(), json!({ "source": source.name(), "definition": flag.source() }));
            }
        }
        let (version, refused) = source.report();
        sources.push(json!({
            "name": source.name(),
            "ready": source.is_ready(),
            "connected": source.is_connected(),
            "version": version,
            "flags": set.len(),
            "refused": refused,
        }));
    }
    Json(json!({ "providers": flags.providers(), "sources": sources, "flags": states }))
}
