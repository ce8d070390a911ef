//! Who may call which method. Methods without a rule are denied.
//!
//! A service uses [`AccessRules::declared`], the rules in the contracts; rules are added by hand only for methods
//! without a contract of the fleet.

use std::collections::HashMap;
use std::time::Duration;

pub use flotilla_proto::policy::Access;
use flotilla_proto::policy::{self, MethodPolicy};

/// The rule of one method.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rule {
    /// Who may call it; `None` if nobody may.
    pub access: Option<Access>,
    /// If peers may, which ones; empty means every service of the fleet.
    pub peers: Vec<String>,
    /// Whether the client sends a stream.
    pub client_streaming: bool,
    /// Whether the server returns a stream.
    pub server_streaming: bool,
    /// The default deadline of a unary call.
    pub deadline: Option<Duration>,
}

/// The rules of a server by method path, such as `/flotilla.orders.v1.OrderService/PlaceOrder`.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    pub(crate) rules: HashMap<String, Rule>,
}

impl AccessRules {
    /// No rules: everything but health and reflection is denied.
    pub fn new() -> Self {
        Self::default()
    }

    /// The rules that the fleet's contracts declare, method by method (`flotilla.options.v1.policy`).
    pub fn declared() -> Self {
        Self::of(policy::methods())
    }

    /// The rules that other contracts declare.
    pub fn of(methods: &[MethodPolicy]) -> Self {
        let rule = |method: &MethodPolicy| Rule {
            access: method.access,
            peers: method.peers.clone(),
            client_streaming: method.client_streaming,
            server_streaming: method.server_streaming,
            deadline: method.deadline,
        };
        Self { rules: methods.iter().map(|method| (method.path.clone(), rule(method))).collect() }
    }

    /// Allows `method` as `access` says; for [`Access::Peer`], to every service of the fleet.
    #[must_use]
    pub fn allow(mut self, method: impl Into<String>, access: Access) -> Self {
        let rule = self.rules.entry(method.into()).or_default();
        rule.access = Some(access);
        rule.peers.clear();
        self
    }

    /// Allows `method` only to the services `peers`.
    #[must_use]
    pub fn allow_peers<P: Into<String>>(
        mut self,
        method: impl Into<String>,
        peers: impl IntoIterator<Item = P>,
    ) -> Self {
        let rule = self.rules.entry(method.into()).or_default();
        rule.access = Some(Access::Peer);
        rule.peers = peers.into_iter().map(Into::into).collect();
        self
    }

    /// Declares that `method` returns a stream. Methods of the fleet's contracts need no declaration.
    #[must_use]
    pub fn streaming(mut self, method: impl Into<String>) -> Self {
        self.rules.entry(method.into()).or_default().server_streaming = true;
        self
    }

    /// Declares that the client of `method` sends a stream. Methods of the fleet's contracts need no declaration.
    #[must_use]
    pub fn client_streaming(mut self, method: impl Into<String>) -> Self {
        self.rules.entry(method.into()).or_default().client_streaming = true;
        self
    }
}
