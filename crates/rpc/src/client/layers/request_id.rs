//! Propagates the id of the request that this task serves to its calls.

use flotilla_call::CallContext;
use http::HeaderMap;

use crate::layers::request_id::REQUEST_ID_HEADER;

/// Sends the id, unless the call has one of its own.
pub(crate) fn send_on(context: &CallContext, headers: &mut HeaderMap) {
    if let Some(id) = &context.request_id
        && !headers.contains_key(&REQUEST_ID_HEADER)
    {
        headers.insert(REQUEST_ID_HEADER.clone(), id.header().clone());
    }
}

#[cfg(test)]
mod tests {
    use flotilla_call::RequestId;

    use super::*;

    #[test]
    fn the_id_is_sent_unless_the_call_has_its_own() {
        let context = CallContext { request_id: RequestId::new("r1"), ..CallContext::default() };
        let mut headers = HeaderMap::new();
        send_on(&context, &mut headers);
        assert_eq!(headers["x-request-id"], "r1");
        headers.insert(&REQUEST_ID_HEADER, "own".parse().unwrap());
        send_on(&context, &mut headers);
        assert_eq!(headers["x-request-id"], "own");
    }
}
