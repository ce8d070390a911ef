//! Parameters in path, query and headers.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use super::{example, rules};
use crate::routes::{Binding, BodyRule, Segment, comment};

/// Maximum nesting of messages in query parameters.
const MAX_DEPTH: usize = 3;

/// A part of the path.
#[derive(Debug)]
pub struct PathParameter {
    /// Its name.
    pub name: String,
    description: String,
    pattern: Option<String>,
    example: String,
}

impl PathParameter {
    /// The segment as OpenAPI writes it.
    pub fn into_json(self) -> Value {
        let mut schema = Map::from_iter([("type".to_owned(), Value::from("string"))]);
        schema.insert("minLength".to_owned(), 1.into());
        if let Some(pattern) = self.pattern {
            if pattern.contains(rules::UUID) {
                schema.insert("format".to_owned(), "uuid".into());
            }
            schema.insert("pattern".to_owned(), pattern.into());
        }
        json!({
            "name": self.name, "in": "path", "required": true, "description": self.description,
            "schema": schema, "example": self.example,
        })
    }
}

/// The parts of a binding's path, one for each wildcard.
pub fn path_parameters(binding: &Binding) -> Vec<PathParameter> {
    let mut all = Vec::new();
    for (path, range) in &binding.variables {
        let segments = &binding.template.segments[range.clone()];
        let Some(field) = descend(&binding.method.input, &path.numbers) else { continue };
        let own = path.numbers.len() == 1;
        let pattern = patterns(&field).or_else(|| named(&field, own, segments));
        for (at, segment) in segments.iter().enumerate() {
            if *segment != Segment::Any {
                continue;
            }
            let name = match at.checked_sub(1).map(|before| &segments[before]) {
                Some(Segment::Literal(collection)) => singular(collection),
                _ => field.json_name().to_owned(),
            };
            let part = pattern.as_deref().and_then(|pattern| cut(pattern, segments, at));
            let example = example::text(&name, part.as_deref()).unwrap_or_else(|| "green-tea".to_owned());
            let description = format!("The {name}'s id: a part of `{}`.", field.name());
            all.push(PathParameter { name, description, pattern: part, example });
        }
    }
    all
}

/// The pattern of a field's rules.
fn patterns(field: &FieldDescriptor) -> Option<String> {
    let schema = rules::text(&rules::of(field), true);
    schema.get("pattern").and_then(Value::as_str).map(str::to_owned)
}

/// A resource's own name has no rule, but requests that get it by its name do.
fn named(field: &FieldDescriptor, own: bool, segments: &[Segment]) -> Option<String> {
    if own {
        return None;
    }
    let file = field.parent_message().parent_file();
    let begins = |pattern: &str| cut(pattern, segments, 1).is_some();
    let mut requests = file.messages().filter(|message| message.name().ends_with("Request"));
    requests.find_map(|message| patterns(&message.get_field_by_name("name")?).filter(|pattern| begins(pattern)))
}

/// What is left of a name's pattern for one of its segments: `^orders/X$` is `^X$` for the segment behind `orders`.
fn cut(pattern: &str, segments: &[Segment], at: usize) -> Option<String> {
    let text = |segments: &[Segment]| {
        let literals = segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Any => None,
        });
        literals.collect::<Option<Vec<_>>>().map(|all| all.join("/"))
    };
    let (before, after) = (text(&segments[..at])?, text(&segments[at + 1..])?);
    let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
    let inner = if before.is_empty() { inner } else { inner.strip_prefix(&before)?.strip_prefix('/')? };
    let inner = if after.is_empty() { inner } else { inner.strip_suffix(&after)?.strip_suffix('/')? };
    (!inner.contains('/')).then(|| format!("^{inner}$"))
}

fn singular(collection: &str) -> String {
    collection.strip_suffix('s').unwrap_or(collection).to_owned()
}

fn descend(message: &MessageDescriptor, numbers: &[u32]) -> Option<FieldDescriptor> {
    let (first, rest) = numbers.split_first()?;
    let field = message.get_field(*first)?;
    match field.kind() {
        Kind::Message(inner) if !rest.is_empty() => descend(&inner, rest),
        _ => Some(field),
    }
}

/// The fields that neither path nor body nor headers provide.
pub fn query_parameters(schemas: &mut Schemas, binding: &Binding) -> Vec<Value> {
    let special = &binding.special;
    let mut taken: Vec<&[u32]> = binding.variables.iter().map(|(path, _)| path.numbers.as_slice()).collect();
    let headers = [special.request_id(), special.resume_token(), special.etag()];
    taken.extend(headers.into_iter().flatten().map(|path| path.numbers.as_slice()));
    match &binding.body {
        BodyRule::None => {}
        BodyRule::Whole => return Vec::new(),
        BodyRule::Field(path) => taken.push(&path.numbers),
    }
    let mut all = Vec::new();
    gather(schemas, &binding.method.input, &mut Vec::new(), "", &taken, &mut all);
    all
}

fn gather(
    schemas: &mut Schemas,
    message: &MessageDescriptor,
    numbers: &mut Vec<u32>,
    prefix: &str,
    taken: &[&[u32]],
    all: &mut Vec<Value>,
) {
    for field in message.fields() {
        numbers.push(field.number());
        let name = format!("{prefix}{}", field.json_name());
        let is_taken = taken.contains(&numbers.as_slice());
        match field.kind() {
            _ if is_taken || field.is_map() => {}
            Kind::Message(inner) if inner.package_name() != "google.protobuf" => {
                if !field.is_list() && numbers.len() < MAX_DEPTH {
                    gather(schemas, &inner, numbers, &format!("{name}."), taken, all);
                }
            }
            _ => all.push(query(schemas, &field, &name, numbers.len() == 1)),
        }
        numbers.pop();
    }
}

fn query(schemas: &mut Schemas, field: &FieldDescriptor, name: &str, outermost: bool) -> Value {
    let mut schema = schemas.parameter(field);
    let examples = schema.as_object_mut().and_then(|schema| schema.remove("examples"));
    let mut parameter = json!({
        "name": name, "in": "query", "required": outermost && rules::is_required(field),
        "description": comment(&field.parent_file(), field.path()), "schema": schema,
    });
    if let Some(example) = examples.as_ref().and_then(|examples| examples.get(0)) {
        parameter["example"] = example.clone();
    }
    parameter
}

/// A header.
pub fn header(name: &str, description: &str, required: bool, pattern: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": required, "description": description,
        "schema": {"type": "string", "pattern": pattern}, "example": example,
    })
}
