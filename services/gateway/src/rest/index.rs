//! `GET /`: a short list of all routes; `/openapi.json` describes them in full, and `/docs` shows them.

use http::request::Parts;
use http::{Method, Response};
use serde::Serialize;
use tonic::body::Body;

use crate::media_type::JSON;
use crate::problem::Problem;
use crate::reply::packed;
use crate::routes::{BodyRule, RouteTable};

#[derive(Serialize)]
struct Index<'a> {
    service: &'static str,
    routes: Vec<Route<'a>>,
}

#[derive(Serialize)]
struct Route<'a> {
    method: &'a str,
    path: &'a str,
    rpc: &'a str,
    access: String,
    body: bool,
    upload: bool,
    stream: bool,
    summary: &'a str,
}

/// Lists all routes.
pub fn answer(routes: &RouteTable, parts: &Parts) -> Result<Response<Body>, Problem> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Problem::other_methods(&[Method::GET]));
    }
    let routes = routes
        .bindings()
        .iter()
        .map(|binding| Route {
            method: binding.verb.as_str(),
            path: &binding.pattern,
            rpc: &binding.method.name,
            access: format!("{:?}", binding.method.access).to_ascii_lowercase(),
            body: !matches!(binding.body, BodyRule::None),
            upload: binding.method.client_streaming,
            stream: binding.method.server_streaming,
            summary: &binding.method.summary,
        })
        .collect();
    let json = serde_json::to_vec_pretty(&Index { service: "flotilla-gateway", routes })
        .expect("strings can be written as JSON");
    Ok(packed(&parts.headers, JSON, json.into()))
}
