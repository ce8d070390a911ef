//! Writes a response message as JSON.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions, Value as Reflected};
use serde_json::Value;

use super::mask::{INPUT_ONLY, behaves};

/// Messages nested deeper are not searched for input-only fields.
const MAX_DEPTH: usize = 8;

/// A response as HTTP carries it.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// JSON text.
    pub json: Vec<u8>,
    /// The resource's tag, quoted.
    pub etag: Option<String>,
    /// Where a stream resumes after this message.
    pub resume_token: Option<String>,
}

/// A response that isn't what the contract says.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The bytes aren't the message.
    #[error("response can't be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The message has no JSON form, such as a time beyond the year 9999.
    #[error("response can't be written as json: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Writes the responses of one method.
#[derive(Debug)]
pub struct Renderer {
    message: MessageDescriptor,
    body: Option<FieldDescriptor>,
    etag: Option<FieldDescriptor>,
    resume_token: Option<FieldDescriptor>,
    /// JSON paths of input-only fields.
    hidden: Vec<Vec<String>>,
}

impl Renderer {
    /// A renderer of `message`, or of its field `body`.
    pub fn new(message: &MessageDescriptor, body: Option<&FieldDescriptor>) -> Self {
        let text = |name| message.get_field_by_name(name).filter(|field| matches!(field.kind(), Kind::String));
        let mut hidden = Vec::new();
        find_hidden(message, &mut Vec::new(), &mut hidden);
        Self {
            message: message.clone(),
            body: body.cloned(),
            etag: text("etag"),
            resume_token: text("resume_token"),
            hidden,
        }
    }

    /// Writes one response.
    ///
    /// # Errors
    /// The backend broke the contract.
    pub fn render(&self, bytes: &[u8]) -> Result<Answer, RenderError> {
        let message = DynamicMessage::decode(self.message.clone(), bytes)?;
        let text = |field: &Option<FieldDescriptor>| {
            let value = message.get_field(field.as_ref()?).as_str().map(str::to_owned);
            value.filter(|text| !text.is_empty())
        };
        let json = match &self.body {
            None if self.hidden.is_empty() => {
                let mut json = serde_json::Serializer::new(Vec::with_capacity(bytes.len() * 4));
                message.serialize_with_options(&mut json, &options())?;
                json.into_inner()
            }
            None => serde_json::to_vec(&self.without_hidden(&message)?)?,
            Some(field) => {
                serde_json::to_vec(self.without_hidden(&message)?.get(field.json_name()).unwrap_or(&Value::Null))?
            }
        };
        Ok(Answer { json, etag: text(&self.etag).map(quoted), resume_token: text(&self.resume_token) })
    }

    fn without_hidden(&self, message: &DynamicMessage) -> Result<Value, serde_json::Error> {
        let mut value = message.serialize_with_options(serde_json::value::Serializer, &options())?;
        for path in &self.hidden {
            hide(&mut value, path);
        }
        Ok(value)
    }
}

fn options() -> SerializeOptions {
    SerializeOptions::new().skip_default_fields(false)
}

/// An entity tag as HTTP writes it.
fn quoted(tag: String) -> String {
    if tag.starts_with('"') || tag.starts_with("W/") { tag } else { format!("\"{tag}\"") }
}

fn find_hidden(message: &MessageDescriptor, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if path.len() >= MAX_DEPTH {
        return;
    }
    for field in message.fields() {
        path.push(field.json_name().to_owned());
        if behaves(&field, INPUT_ONLY) {
            found.push(path.clone());
        } else if let Kind::Message(inner) = field.kind()
            && !field.is_map()
        {
            find_hidden(&inner, path, found);
        }
        path.pop();
    }
}

fn hide(value: &mut Value, path: &[String]) {
    match (value, path) {
        (Value::Array(items), _) => items.iter_mut().for_each(|item| hide(item, path)),
        (Value::Object(object), [last]) => {
            object.remove(last);
        }
        (Value::Object(object), [first, rest @ ..]) => {
            if let Some(inner) = object.get_mut(first) {
                hide(inner, rest);
            }
        }
        _ => {}
    }
}

/// The text of a string field at `path`; `None` where it is missing or empty.
pub fn text_at(message: &DynamicMessage, path: &[FieldDescriptor]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    match message.get_field(first).as_ref() {
        Reflected::String(text) if rest.is_empty() && !text.is_empty() => Some(text.clone()),
        Reflected::Message(inner) => text_at(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::identity::v1::{ListUsersResponse, User};
    use flotilla_proto::orders::v1::{Order, WatchOrderResponse};
    use serde_json::json;

    use super::*;

    fn renderer(name: &str) -> Renderer {
        Renderer::new(&flotilla_proto::descriptors::pool().unwrap().get_message_by_name(name).unwrap(), None)
    }

    fn rendered(name: &str, message: &impl prost::Message) -> (Value, Answer) {
        let answer = renderer(name).render(&message.encode_to_vec()).unwrap();
        (serde_json::from_slice(&answer.json).unwrap(), answer)
    }

    #[test]
    fn defaults_are_written_and_absent_messages_are_not() {
        let order = Order { name: "orders/o".into(), state: 1, etag: "\"4\"".into(), ..Order::default() };
        let (json, answer) = rendered("flotilla.orders.v1.Order", &order);
        assert_eq!(json["state"], "ORDER_STATE_RESERVING");
        assert_eq!(json["reason"], "ORDER_REASON_UNSPECIFIED");
        assert_eq!(json["lines"], json!([]));
        assert!(json.get("endTime").is_none() && json.get("total").is_none());
        assert_eq!(answer.etag.as_deref(), Some("\"4\""));
    }

    #[test]
    fn what_is_input_only_is_never_written() {
        let user = User { name: "users/u".into(), password: "secret".into(), ..User::default() };
        let (json, _) = rendered("flotilla.identity.v1.User", &user);
        assert!(json.get("password").is_none() && json["name"] == "users/u");
        let page = ListUsersResponse { users: vec![user], ..ListUsersResponse::default() };
        let (json, _) = rendered("flotilla.identity.v1.ListUsersResponse", &page);
        assert!(json["users"][0].get("password").is_none());
    }

    #[test]
    fn a_streams_message_tells_where_to_resume() {
        let response = WatchOrderResponse { order: None, resume_token: "9".into() };
        let (_, answer) = rendered("flotilla.orders.v1.WatchOrderResponse", &response);
        assert_eq!(answer.resume_token.as_deref(), Some("9"));
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error() {
        assert!(renderer("flotilla.orders.v1.Order").render(&[0xff]).is_err());
    }

    #[test]
    fn a_tag_is_quoted_once() {
        assert_eq!(quoted("5".into()), "\"5\"");
        assert_eq!(quoted("\"5\"".into()), "\"5\"");
    }
}
