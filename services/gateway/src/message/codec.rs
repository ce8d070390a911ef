//! The encoding of messages: protobuf, which passes unchanged, or proto3 JSON with the rules of REST: unknown fields
//! are refused, and input-only fields are never returned.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_transcode::{Refusal, sentence};
use tonic::{Code, Status};

use crate::routes::RpcMethod;

/// The codec that a content type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Protobuf.
    Proto,
    /// JSON.
    Json,
}

/// How one call's messages are written.
#[derive(Debug, Clone)]
pub enum Coder {
    /// As protobuf, which the services use.
    Proto,
    /// As JSON of this method's messages.
    Json(Arc<RpcMethod>),
}

impl Coder {
    /// How a call of `method` in `codec` is written.
    pub fn new(codec: Codec, method: &Arc<RpcMethod>) -> Self {
        match codec {
            Codec::Proto => Self::Proto,
            Codec::Json => Self::Json(Arc::clone(method)),
        }
    }

    /// Translates a client's message for the service.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with the invalid fields.
    pub fn read(&self, message: Bytes) -> Result<Bytes, Status> {
        match self {
            Self::Proto => Ok(message),
            Self::Json(method) => method.reader.read(&message).map_err(|refusal| refused(refusal).into()),
        }
    }

    /// Translates a service's message for the client.
    ///
    /// # Errors
    /// `INTERNAL`: the service violated its contract.
    pub fn write(&self, message: Bytes) -> Result<Bytes, Status> {
        let Self::Json(method) = self else { return Ok(message) };
        method.renderer.render(&message).map(|answer| answer.json.into()).map_err(|error| {
            tracing::error!(%error, method = method.name, "response can't be transcoded");
            RpcError::internal().into()
        })
    }
}

fn refused(refusal: Refusal) -> RpcError {
    match refusal {
        Refusal::Malformed(why) => {
            RpcError::new(Code::InvalidArgument, "MALFORMED_JSON", format!("the message is not JSON: {why}"))
        }
        Refusal::Violations(violations) => {
            let error = RpcError::new(Code::InvalidArgument, "INVALID_ARGUMENT", sentence(&violations));
            violations.into_iter().fold(error, |error, violation| error.field(violation.field, violation.description))
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::orders::v1::{GetOrderRequest, Order};
    use prost::Message as _;

    use super::*;
    use crate::routes::RouteTable;

    fn coder() -> Coder {
        let routes = RouteTable::from_pool(&flotilla_proto::descriptors::pool().unwrap()).unwrap();
        Coder::new(Codec::Json, routes.method("/flotilla.orders.v1.OrderService/GetOrder").unwrap())
    }

    #[test]
    fn messages_are_translated_from_and_to_json() {
        let read = coder().read(Bytes::from_static(b"{\"name\":\"orders/o\"}")).unwrap();
        assert_eq!(GetOrderRequest::decode(read).unwrap().name, "orders/o");
        let order = Order { name: "orders/o".into(), ..Order::default() };
        let written = coder().write(order.encode_to_vec().into()).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&written).unwrap()["name"], "orders/o");
    }

    #[test]
    fn an_invalid_field_is_refused_by_name() {
        for (json, field) in
            [("{\"name\":5}", Some("name")), ("{\"nam\":\"x\"}", Some("nam")), ("{", None), ("{} {}", None), ("", None)]
        {
            let status = coder().read(Bytes::from(json)).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{json}");
            let named = flotilla_rpc::Details::of(&status).violations.first().map(|violation| violation.field.clone());
            assert_eq!(named.as_deref(), field, "{json}");
        }
    }

    #[test]
    fn a_malformed_response_is_an_internal_error() {
        assert_eq!(coder().write(Bytes::from_static(&[0xff])).unwrap_err().code(), Code::Internal);
    }
}
