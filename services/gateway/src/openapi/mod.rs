//! The API's description: OpenAPI 3.1, generated from the contracts alone, so that it can't drift.
//!
//! Paths come from the route table, messages and comments from the descriptors, limits from the validation rules,
//! security from each method's policy; examples are generated to satisfy the rules.

mod example;
mod operation;
mod parameters;
mod rules;
mod schemas;

use std::collections::{BTreeMap, HashMap};

use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use crate::routes::{RouteTable, comment};
use schemas::Schemas;

/// What stands above all.
const ABOUT: &str =
    "Orders, stock, payments and notifications of the Flotilla fleet. The same methods are available as gRPC, gRPC-Web \
and Connect on this port.

- **Tokens**: `POST /v1/auth:login`, then `Authorization: Bearer ...`.
- **Retries**: a repeated request with the same `Idempotency-Key` returns the result of the first one.
- **Updates**: `If-Match` with a resource's `ETag` makes an update conditional; with `If-None-Match` a read may return 304.
- **Deadlines**: `X-Request-Timeout: 2s` or `Prefer: wait=2` shorten the time that a request may take.
- **Streams**: server-sent events, or JSON lines with `Accept: application/x-ndjson`; `Last-Event-ID` resumes a stream.
- **64-bit numbers** are strings in responses; requests may use strings or numbers. `null` means \"not given\".
- **Errors** are problem details (RFC 9457); `reason` is stable and meant for programs.";

/// Statuses of errors with what they mean.
const ERRORS: &[(&str, &str)] = &[
    ("400", "The request is invalid, or not possible in the current state; `violations` names the invalid fields."),
    ("401", "The token is missing or invalid, or the credentials are wrong."),
    ("403", "The caller isn't allowed to do this."),
    ("404", "The resource doesn't exist."),
    ("408", "The body did not arrive in time."),
    ("409", "The resource already exists, or has changed in the meantime."),
    ("413", "The body is too large."),
    ("415", "The content type or content encoding of the body is not supported."),
    ("429", "Too many requests; retry after `Retry-After`."),
    ("431", "The request headers are too large."),
    ("500", "An internal error; it is logged with the request id."),
    ("503", "A service is unavailable; retry after `Retry-After`."),
    ("504", "The deadline was exceeded; the request may have been processed."),
];

/// The description of the routes' methods.
pub fn document(routes: &RouteTable) -> Value {
    let mut schemas = Schemas::default();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let (mut numbers, mut tags) = (HashMap::new(), BTreeMap::new());
    for binding in routes.bindings() {
        let method = &binding.method;
        let number = numbers.entry(method.name.clone()).or_insert(0_usize);
        let operation = operation::operation(&mut schemas, binding, *number);
        *number += 1;
        if let Some((name, text)) = tag(method.input.parent_pool(), &method.name) {
            tags.insert(name, text);
        }
        let verb = binding.verb.as_str().to_ascii_lowercase();
        paths.entry(operation::path(binding)).or_default().insert(verb, operation);
    }
    schemas.insert("Problem", problem());
    let tags: Vec<Value> = tags.into_iter().map(|(name, text)| json!({"name": name, "description": text})).collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Flotilla", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This gateway."}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "responses": errors(),
            "headers": {
                "ETag": {"description": "The resource's etag.", "schema": {"type": "string"}},
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The access token of `POST /v1/auth:login`.",
                },
            },
        },
    })
}

/// A service as a group of operations: its name and its comment.
fn tag(pool: &DescriptorPool, method: &str) -> Option<(String, String)> {
    let service = pool.get_service_by_name(method.split('/').next()?)?;
    let text = comment(&service.parent_file(), service.path());
    Some((service.name().trim_end_matches("Service").to_owned(), text))
}

fn errors() -> Value {
    let responses = ERRORS.iter().map(|(status, text)| {
        let mut response = json!({"description": text});
        // This response has no body.
        if *status != "431" {
            let schema = json!({"$ref": "#/components/schemas/Problem"});
            response["content"] = json!({"application/problem+json": {"schema": schema}});
        }
        if ["429", "503"].contains(status) {
            response["headers"] = json!({"Retry-After": {"$ref": "#/components/headers/Retry-After"}});
        }
        ((*status).to_owned(), response)
    });
    Value::Object(responses.collect())
}

fn problem() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "properties": {
            "type": {"type": "string", "description": "A URN made from the reason.", "examples": ["urn:flotilla:problem:not-found"]},
            "title": text("The code, for people."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": text("The error message, for people."),
            "code": {"type": "string", "description": "The gRPC code.", "examples": ["NOT_FOUND"]},
            "reason": {"type": "string", "description": "The reason, for programs; stable.", "examples": ["NOT_FOUND"]},
            "violations": {
                "type": "array",
                "description": "The invalid fields.",
                "items": {
                    "type": "object",
                    "properties": {"field": text("Path of the field."), "description": text("What is wrong with it.")},
                    "required": ["field", "description"],
                },
            },
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Further details."},
            "requestId": text("The request id, as in the logs."),
        },
        "required": ["type", "title", "status", "detail", "code", "reason", "requestId"],
    })
}

#[cfg(test)]
mod tests;
