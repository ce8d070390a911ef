//! Authorisation: whether the caller may call this method, by the rule that the contract declares. A method without a
//! rule is denied to everybody.
//!
//! For peers' methods the connection's certificate counts, not a token. A server without TLS can't identify peers: such
//! a method is then open to every client that reaches the port, which the network must restrict.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tonic::Code;
use tonic::body::Body;
use tower::Service;

use super::answered::Answered;
use super::{auth, method_of};
use crate::access::Rule;
use crate::tls::PeerIdentity;
use crate::{Access, RpcError};
use flotilla_auth::{AuthError, Caller, Role};

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Authorise<S> {
    inner: S,
    guard: Guard,
}

/// How the server can identify its callers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guard {
    /// Tokens are checked.
    pub tokens: bool,
    /// Connections are authenticated by certificates.
    pub certificates: bool,
}

impl<S> Authorise<S> {
    pub fn new(inner: S, guard: Guard) -> Self {
        Self { inner, guard }
    }
}

impl<S> Service<Request<Body>> for Authorise<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let allowed = match method_of(&request) {
            Some(method) if method.system => Ok(()),
            Some(method) => self.guard.check(&method.rule, &request),
            None => Err(not_allowed("no rule allows this method")),
        };
        match allowed {
            Ok(()) => Answered::called(self.inner.call(request)),
            Err(error) => Answered::refused(error),
        }
    }
}

impl Guard {
    fn check(self, rule: &Rule, request: &Request<Body>) -> Result<(), RpcError> {
        let found = request.extensions();
        match rule.access {
            None => Err(not_allowed("no rule allows this method")),
            Some(Access::Public) => Ok(()),
            Some(Access::Peer) => self.peer(&rule.peers, found.get()),
            Some(Access::Authenticated) => self.caller(request, found).map(drop),
            Some(Access::Operator) => match self.caller(request, found)?.role {
                Role::Operator => Ok(()),
                _ => Err(RpcError::new(
                    Code::PermissionDenied,
                    "OPERATOR_REQUIRED",
                    "only operators may call this method",
                )),
            },
        }
    }

    fn caller(self, request: &Request<Body>, found: &Extensions) -> Result<Caller, RpcError> {
        if let Some(caller) = found.get::<Caller>() {
            return Ok(*caller);
        }
        if let Some(error) = found.get::<AuthError>() {
            return Err((*error).into());
        }
        if !self.tokens && auth::bearer(request.headers()).is_some() {
            return Err(not_allowed("this server checks no tokens"));
        }
        Err(AuthError::Missing.into())
    }

    fn peer(self, peers: &[String], peer: Option<&PeerIdentity>) -> Result<(), RpcError> {
        let fits = match peer {
            Some(peer) => peers.is_empty() || peers.contains(&peer.service),
            None => !self.certificates,
        };
        if fits {
            return Ok(());
        }
        Err(RpcError::new(
            Code::PermissionDenied,
            "PEER_NOT_ALLOWED",
            "only named services of the fleet may call this method",
        )
        .metadata("peer", peer.map_or("none", |peer| peer.service.as_str())))
    }
}

fn not_allowed(message: &str) -> RpcError {
    RpcError::new(Code::PermissionDenied, "METHOD_NOT_ALLOWED", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUTUAL: Guard = Guard { tokens: true, certificates: true };
    const PLAIN: Guard = Guard { tokens: true, certificates: false };

    fn reason(guard: Guard, peers: &[&str], peer: Option<&str>) -> &'static str {
        let rule = Rule {
            access: Some(Access::Peer),
            peers: peers.iter().map(ToString::to_string).collect(),
            ..Rule::default()
        };
        let mut request = Request::new(Body::empty());
        if let Some(service) = peer {
            request.extensions_mut().insert(PeerIdentity { service: service.to_owned() });
        }
        guard.check(&rule, &request).err().map_or("", |error| error.reason())
    }

    #[test]
    fn a_method_for_peers_is_open_to_the_named_ones() {
        assert_eq!(reason(MUTUAL, &["orders"], Some("orders")), "");
        assert_eq!(reason(MUTUAL, &["payments", "orders"], Some("orders")), "");
        assert_eq!(reason(MUTUAL, &[], Some("notification")), "", "no name: every service of the fleet");
        assert_eq!(reason(MUTUAL, &["orders"], Some("gateway")), "PEER_NOT_ALLOWED");
        assert_eq!(reason(MUTUAL, &["orders"], None), "PEER_NOT_ALLOWED");
        assert_eq!(reason(MUTUAL, &[], None), "PEER_NOT_ALLOWED");
    }

    #[test]
    fn without_certificates_a_method_for_peers_is_open() {
        assert_eq!(reason(PLAIN, &["orders"], None), "");
        assert_eq!(reason(PLAIN, &["orders"], Some("gateway")), "PEER_NOT_ALLOWED");
    }

    #[test]
    fn a_method_without_a_rule_is_denied_to_everybody() {
        let error = PLAIN.check(&Rule::default(), &Request::new(Body::empty())).unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, "METHOD_NOT_ALLOWED"));
    }
}
