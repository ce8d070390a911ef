//! `GET /`: what there is.

use http::header::CONTENT_TYPE;
use http::{Method, Response};
use serde::Serialize;
use tonic::body::Body;

use super::{JSON, full};
use crate::problem::Problem;
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
    stream: bool,
    summary: &'a str,
}

/// Lists all routes.
pub fn answer(routes: &RouteTable, method: &Method) -> Result<Response<Body>, Problem> {
    if method != Method::GET && method != Method::HEAD {
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
            stream: binding.method.server_streaming,
            summary: &binding.method.summary,
        })
        .collect();
    let json = serde_json::to_vec_pretty(&Index { service: "flotilla-gateway", routes })
        .expect("strings can be written as JSON");
    let mut response = full(json.into());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}
