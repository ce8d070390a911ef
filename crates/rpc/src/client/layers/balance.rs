//! The innermost layer: sends a request over a connection to the address that the balancer picks.

use std::sync::Arc;

use super::{Layer, Outcome, Outgoing};
use crate::client::balancer::{Balancer, NoConnection};
use crate::client::bounds::Class;
use crate::client::outcome::{Failure, Sent, head_verdict};
use crate::client::reply::Reply;

/// The layer.
pub(crate) struct Balance {
    balancer: Arc<Balancer>,
}

impl Balance {
    pub fn new(balancer: Arc<Balancer>) -> Self {
        Self { balancer }
    }
}

impl Layer for Balance {
    async fn call(&self, call: Outgoing) -> Outcome {
        let Outgoing { mut request, method, deadline, tried, .. } = call;
        let (mut sender, mut lease) = match self.balancer.acquire(Class::of(&method), &tried).await {
            Ok(place) => place,
            Err(NoConnection::Unreachable(cause)) => return Err(Failure::unreachable(cause, request)),
            Err(NoConnection::Full) => return Err(Failure::full()),
        };
        lease.deadline = deadline;
        let uri = std::mem::take(request.uri_mut());
        *request.uri_mut() = lease.endpoint().target.place(uri);
        match sender.try_send_request(request).await {
            Ok(response) => {
                let mut response = response.map(|body| Reply::new(body, lease));
                match head_verdict(&response) {
                    Some(code) => response.body_mut().ended(code),
                    // Whatever happens to the stream later: the server accepted the call and responded.
                    None if method.is_stream() => response.body_mut().begun(),
                    None => {}
                }
                Ok(response)
            }
            Err(mut error) => {
                let request = error.take_message();
                let failure = Failure::broken(error.into_error(), request, lease.endpoint().address);
                match failure.sent {
                    Sent::Never(_) => lease.unused(),
                    Sent::Maybe => lease.ended(failure.status.code()),
                }
                Err(failure)
            }
        }
    }
}
