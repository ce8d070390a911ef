//! One binding as an operation: parameters, body, responses, errors, and who may call it.

use flotilla_proto::policy::Access;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::parameters::{header, path_parameters, query_parameters};
use super::rules;
use super::schemas::{Schemas, Side};
use crate::media_type::LINES;
use crate::routes::{Binding, BodyRule};

/// The path of a binding as OpenAPI writes it, with the names of its parameters.
pub fn path(binding: &Binding) -> String {
    let names = path_parameters(binding);
    let mut names = names.iter().map(|parameter| parameter.name.as_str());
    let segments: Vec<String> = binding
        .template
        .segments
        .iter()
        .map(|segment| match segment {
            crate::routes::Segment::Literal(text) => text.clone(),
            crate::routes::Segment::Any => format!("{{{}}}", names.next().unwrap_or("id")),
        })
        .collect();
    let verb = binding.template.verb.as_ref().map(|verb| format!(":{verb}")).unwrap_or_default();
    format!("/{}{verb}", segments.join("/"))
}

/// The operation; `number` distinguishes a method's additional bindings.
pub fn operation(schemas: &mut Schemas, binding: &Binding, number: usize) -> Value {
    let method = &binding.method;
    let (service, name) = method.name.rsplit_once('/').unwrap_or_default();
    let service = service.rsplit('.').next().unwrap_or_default();
    let suffix = if number == 0 { String::new() } else { format!("_{}", number + 1) };
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), format!("{service}_{name}{suffix}").into());
    operation.insert("tags".to_owned(), json!([service.trim_end_matches("Service")]));
    operation.insert("summary".to_owned(), method.summary.trim_end_matches('.').into());
    operation.insert("description".to_owned(), description(binding).into());
    let mut parameters: Vec<Value> =
        path_parameters(binding).into_iter().map(super::parameters::PathParameter::into_json).collect();
    parameters.extend(query_parameters(schemas, binding));
    parameters.extend(header_parameters(binding));
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = body(schemas, binding) {
        operation.insert("requestBody".to_owned(), body);
    }
    operation.insert("responses".to_owned(), responses(schemas, binding));
    let security = if method.access == Access::Public { json!([]) } else { json!([{"bearer": []}]) };
    operation.insert("security".to_owned(), security);
    Value::Object(operation)
}

fn description(binding: &Binding) -> String {
    let method = &binding.method;
    let access = match method.access {
        Access::Public => "Needs no token.",
        Access::Authenticated => "Needs a token.",
        Access::Operator | Access::Peer => "Needs an operator's token.",
    };
    let description = if method.comment.contains(access) { String::new() } else { format!("\n\n{access}") };
    format!("{}{description}\n\nIn gRPC and Connect: `{}`.", method.comment, method.name)
}

/// Fields that don't come from the body.
fn elsewhere(binding: &Binding) -> Vec<u32> {
    let special = &binding.special;
    let paths = binding.variables.iter().map(|(path, _)| path);
    let headers = [special.request_id(), special.resume_token(), special.etag()].into_iter().flatten();
    paths
        .chain(headers)
        .filter(|path| path.numbers.len() == 1)
        .filter_map(|path| path.numbers.first().copied())
        .collect()
}

fn field(message: &MessageDescriptor, number: u32) -> Option<FieldDescriptor> {
    message.get_field(number)
}

fn body(schemas: &mut Schemas, binding: &Binding) -> Option<Value> {
    let method = &binding.method;
    let media_type = if method.client_streaming { LINES[0] } else { "application/json" };
    let (schema, required) = match &binding.body {
        BodyRule::None => return None,
        BodyRule::Whole => {
            let hidden = elsewhere(binding);
            let needed =
                method.input.fields().any(|field| !hidden.contains(&field.number()) && rules::is_required(&field));
            (schemas.without(&method.input, Side::Input, &hidden), needed)
        }
        BodyRule::Field(path) => {
            let held = field(&method.input, *path.numbers.first()?)?;
            let side = if binding.verb == http::Method::PATCH { Side::Patch } else { Side::Input };
            let schema = match held.kind() {
                Kind::Message(message) if !held.is_list() && !held.is_map() => schemas.message(&message, side),
                _ => json!({}),
            };
            (schema, true)
        }
    };
    let mut body = json!({"required": required, "content": {media_type: {"schema": schema}}});
    if method.client_streaming {
        body["description"] = "One JSON value per line; the schema describes a line.".into();
    }
    Some(body)
}

fn header_parameters(binding: &Binding) -> Vec<Value> {
    let special = &binding.special;
    let mut all = Vec::new();
    if let Some(path) = special.request_id() {
        let key = path.numbers.first().and_then(|number| field(&binding.method.input, *number));
        let required = key.is_some_and(|key| rules::is_required(&key));
        let description = "A repeated request with the same key returns the result of the first. Must equal `requestId` if both are given.";
        all.push(header("Idempotency-Key", description, required, "^[!-~]([ -~]{0,126}[!-~])?$", "order-2026-11-22-1"));
    }
    // A resource that is being created has no etag yet.
    let makes = binding.verb == http::Method::POST && matches!(binding.body, BodyRule::Field(_));
    if special.etag().is_some() && !makes {
        let description =
            "The update is applied only if this is still the resource's etag. Must equal `etag` if both are given.";
        all.push(header("If-Match", description, false, "^$|^(\"[0-9]{1,18}(-[0-9a-f]{8})?\"|\\*)$", "\"1-6dac2dd4\""));
    }
    if special.resume_token().is_some() {
        let description =
            "Resumes after the response with this token. In an event stream it takes precedence over `resumeToken`.";
        all.push(header("Last-Event-ID", description, false, "^$|^[!-~]([ -~]{0,254}[!-~])?$", "1"));
    }
    all
}

fn responses(schemas: &mut Schemas, binding: &Binding) -> Value {
    let method = &binding.method;
    let schema = match &binding.response_body {
        None => schemas.message(&method.output, Side::Output),
        Some(name) => match method.output.get_field_by_name(name).map(|field| field.kind()) {
            Some(Kind::Message(inner)) => schemas.message(&inner, Side::Output),
            _ => json!({}),
        },
    };
    let mut success = Map::new();
    success.insert("description".to_owned(), "Success.".into());
    let content = if method.server_streaming {
        let event = json!({
            "type": "object",
            "description": "A server-sent event.",
            "properties": {
                "event": {"enum": ["message", "error", "end"], "description": "A response, a problem, or the end."},
                "data": {"type": "string", "contentMediaType": "application/json", "description": "The response or problem."},
                "id": {"type": "string", "description": "The token to resume from."},
                "retry": {"type": ["integer", "string"], "description": "Milliseconds to wait before resuming."},
            },
        });
        success.insert("description".to_owned(), "A stream of responses.".into());
        json!({
            "text/event-stream": {"schema": event},
            LINES[0]: {"schema": schema},
        })
    } else {
        json!({"application/json": {"schema": schema}})
    };
    success.insert("content".to_owned(), content);
    let tagged = !method.server_streaming && method.output.get_field_by_name("etag").is_some();
    if tagged {
        success.insert("headers".to_owned(), json!({"ETag": {"$ref": "#/components/headers/ETag"}}));
    }
    let mut responses = Map::from_iter([("200".to_owned(), Value::Object(success))]);
    if tagged && binding.verb == http::Method::GET {
        responses.insert("304".to_owned(), json!({"description": "Not modified (`If-None-Match`)."}));
    }
    for status in statuses(binding) {
        responses.insert(status.to_owned(), json!({"$ref": format!("#/components/responses/{status}")}));
    }
    Value::Object(responses)
}

/// The errors that an operation may return.
fn statuses(binding: &Binding) -> Vec<&'static str> {
    let mut statuses = vec!["400"];
    // A public method that writes may refuse fields that only some callers may set.
    if binding.method.access != Access::Public || binding.verb == http::Method::POST {
        statuses.extend(["401", "403"]);
    }
    statuses.push("404");
    if binding.verb != http::Method::GET {
        statuses.extend(["408", "409"]);
    }
    if !matches!(binding.body, BodyRule::None) {
        statuses.extend(["413", "415"]);
    }
    statuses.extend(["429", "431", "500", "503", "504"]);
    statuses
}
