//! Propagates the trace of this task to its calls, each of which is a span if the trace is sampled.

use flotilla_telemetry::{Kind, Span, current_traceparent, sampled, write_headers};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Code;

use crate::client::methods::Method;
use crate::code_name;
use crate::layers::trace::TRACEPARENT_HEADER;

/// Length of a `traceparent` up to the end of the trace id.
const TRACE_END: usize = 35;

/// Begins the call's span as a child of the current one and sends it; without sampling, sends `fallback`. A call with a
/// trace of its own keeps it.
pub(crate) fn begin(method: &Method, fallback: Option<&str>, headers: &mut HeaderMap) -> Span {
    if !sampled() {
        if let Some(traceparent) = fallback
            && !headers.contains_key(&TRACEPARENT_HEADER)
        {
            write(traceparent, headers);
        }
        return Span::none();
    }
    let given = headers.get(&TRACEPARENT_HEADER).and_then(|given| given.to_str().ok());
    let own = current_traceparent();
    if given.is_some_and(|given| given.get(..TRACE_END) != own.as_deref().and_then(|own| own.get(..TRACE_END))) {
        return Span::none();
    }
    let span = Span::child(Kind::Client, method.name.clone());
    span.set("rpc.system.name", "grpc");
    span.set("rpc.method", method.name.clone());
    if let Some(traceparent) = span.traceparent() {
        write(&traceparent, headers);
    }
    span
}

/// Records how the call ended: to the client, every code except `OK` is an error.
pub(crate) fn ended(span: &Span, code: Code) {
    span.set("rpc.response.status_code", code_name(code));
    if code != Code::Ok {
        span.fail(code_name(code), code.description());
    }
}

fn write(traceparent: &str, headers: &mut HeaderMap) {
    write_headers(traceparent, |name, value| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientSettings;
    use crate::client::methods::Methods;

    #[test]
    fn the_trace_is_sent_unless_the_call_has_its_own() {
        let methods = Methods::new(&ClientSettings::default(), None, &[]);
        let method = methods.find("/any");
        let mut headers = HeaderMap::new();
        drop(begin(method, None, &mut headers));
        assert!(headers.is_empty());
        drop(begin(method, Some("00-1-2-01"), &mut headers));
        drop(begin(method, Some("00-3-4-01"), &mut headers));
        assert_eq!(headers["traceparent"], "00-1-2-01");
    }
}
