//! Writes a message as JSON, and returns the fields that a caller needs besides the text.

use std::sync::Arc;

#[cfg(test)]
use prost_reflect::MessageDescriptor;

use crate::schema::Schema;
use crate::wire;
use crate::write::{self, RenderError};

/// A message as JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// JSON text.
    pub json: Vec<u8>,
    /// Its field `etag`: the resource's tag.
    pub etag: Option<&'a str>,
    /// Its field `resume_token`: the position to resume a stream after this message.
    pub resume_token: Option<&'a str>,
}

/// Writes the responses of one method.
#[derive(Debug, Clone)]
pub struct Renderer {
    schema: Arc<Schema>,
    message: usize,
    /// The field that is the response body, if only one.
    body: Option<usize>,
    etag: Option<u32>,
    resume_token: Option<u32>,
}

impl Renderer {
    /// A renderer for the message with this index, or for its field `body`.
    pub fn new(schema: &Arc<Schema>, message: usize, body: Option<&str>) -> Self {
        let text = |name: &str| schema.resolve_text(message, name).and_then(|path| path.numbers.last().copied());
        Self {
            message,
            body: body.and_then(|name| schema.message(message).named(name)),
            etag: text("etag"),
            resume_token: text("resume_token"),
            schema: Arc::clone(schema),
        }
    }

    /// A renderer for a single message type.
    #[cfg(test)]
    pub fn of(descriptor: &MessageDescriptor) -> Self {
        let mut schema = Schema::default();
        let message = schema.add(descriptor);
        Self::new(&Arc::new(schema), message, None)
    }

    /// Writes one response.
    ///
    /// # Errors
    /// The backend violated the contract.
    pub fn render<'a>(&self, bytes: &'a [u8]) -> Result<Answer<'a>, RenderError> {
        let mut json = Vec::with_capacity(bytes.len() * 3 + 64);
        match self.body {
            None => write::message(&self.schema, self.message, bytes, &mut json)?,
            Some(field) => write::field(&self.schema, self.message, field, bytes, &mut json)?,
        }
        let text = |number: Option<u32>| number.and_then(|number| wire::text(bytes, &[number]));
        Ok(Answer { json, etag: text(self.etag), resume_token: text(self.resume_token) })
    }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::identity::v1::{ListUsersResponse, User};
    use flotilla_proto::inventory::v1::{GetProductRequest, Product, UpdateProductRequest};
    use flotilla_proto::orders::v1::{Order, WatchOrderResponse};
    use prost::Message as _;
    use serde_json::{Value, json};

    use super::*;

    fn renderer(name: &str, body: Option<&str>) -> Renderer {
        let mut schema = Schema::default();
        let index = schema.add(&crate::toy::message(name));
        Renderer::new(&Arc::new(schema), index, body)
    }

    fn rendered(name: &str, message: &impl prost::Message) -> (Value, Option<String>, Option<String>) {
        let bytes = message.encode_to_vec();
        let answer = renderer(name, None).render(&bytes).unwrap();
        let json = serde_json::from_slice(&answer.json).unwrap();
        (json, answer.etag.map(str::to_owned), answer.resume_token.map(str::to_owned))
    }

    #[test]
    fn defaults_are_written_and_absent_messages_are_not() {
        let order = Order { name: "orders/o".into(), state: 1, etag: "\"4\"".into(), ..Order::default() };
        let (json, etag, _) = rendered("flotilla.orders.v1.Order", &order);
        assert_eq!(json["state"], "ORDER_STATE_RESERVING");
        assert_eq!(json["reason"], "ORDER_REASON_UNSPECIFIED");
        assert_eq!(json["lines"], json!([]));
        assert!(json.get("endTime").is_none() && json.get("total").is_none());
        assert_eq!(etag.as_deref(), Some("\"4\""));
    }

    #[test]
    fn input_only_fields_are_never_written() {
        let user = User { name: "users/u".into(), password: "secret".into(), ..User::default() };
        let (json, ..) = rendered("flotilla.identity.v1.User", &user);
        assert!(json.get("password").is_none() && json["name"] == "users/u");
        let page = ListUsersResponse { users: vec![user], ..ListUsersResponse::default() };
        let (json, ..) = rendered("flotilla.identity.v1.ListUsersResponse", &page);
        assert!(json["users"][0].get("password").is_none());
    }

    #[test]
    fn a_message_of_a_stream_has_the_token_to_resume_from() {
        let response = WatchOrderResponse { order: None, resume_token: "9".into() };
        let (_, _, token) = rendered("flotilla.orders.v1.WatchOrderResponse", &response);
        assert_eq!(token.as_deref(), Some("9"));
    }

    #[test]
    fn one_field_may_be_the_whole_body() {
        let update = UpdateProductRequest { product: Some(Product::default()), update_mask: None };
        let render = |name, body, bytes: &[u8]| {
            let answer = renderer(name, Some(body)).render(bytes).unwrap();
            serde_json::from_slice::<Value>(&answer.json).unwrap()
        };
        let update = update.encode_to_vec();
        assert_eq!(render("flotilla.inventory.v1.UpdateProductRequest", "product", &update)["displayName"], "");
        assert_eq!(render("flotilla.inventory.v1.UpdateProductRequest", "product", &[]), Value::Null);
        let get = GetProductRequest { name: "products/p".into() }.encode_to_vec();
        assert_eq!(render("flotilla.inventory.v1.GetProductRequest", "name", &get), "products/p");
    }

    #[test]
    fn malformed_bytes_are_an_error() {
        assert!(renderer("flotilla.orders.v1.Order", None).render(&[0xff]).is_err());
    }
}
