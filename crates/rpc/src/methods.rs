//! A server's methods: labels, kind, access, deadline and metrics, looked up once for each call.

use std::collections::HashMap;
use std::sync::Arc;

use flotilla_proto::policy;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::AccessRules;
use crate::access::Rule;
use crate::layers::metrics::{MethodMetrics, RpcMetrics};

/// A method of an added service, or the placeholder for all others.
#[derive(Debug)]
pub(crate) struct Method {
    /// The path without its leading slash, or `unknown`.
    pub name: String,
    /// Health and reflection: public, never shed and never limited.
    pub system: bool,
    /// Who may call it, its kind and its deadline.
    pub rule: Rule,
    /// Its counters.
    pub metrics: MethodMetrics,
}

impl Method {
    /// Whether either side sends a stream: such a call has only the deadline that its client sets.
    pub fn is_stream(&self) -> bool {
        self.rule.client_streaming || self.rule.server_streaming
    }
}

/// All methods of a server by path.
#[derive(Debug)]
pub(crate) struct MethodTable {
    by_path: HashMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

impl MethodTable {
    /// The table of a server with these services; methods without a rule are logged.
    pub fn new(services: &[String], rules: &AccessRules, metrics: &RpcMetrics) -> Self {
        let stranger = Method {
            name: "unknown".to_owned(),
            system: false,
            rule: Rule::default(),
            metrics: metrics.method("unknown", "unknown"),
        };
        let mut table = Self { by_path: HashMap::new(), unknown: Arc::new(stranger) };
        table.add_system(metrics);
        for described in policy::methods().iter().filter(|method| services.contains(&method.service)) {
            let mut rule = rules.rules.get(&described.path).cloned().unwrap_or_default();
            rule.client_streaming |= described.client_streaming;
            rule.server_streaming |= described.server_streaming;
            if rule.access.is_none() {
                tracing::warn!(method = described.path, "method has no access rule and is denied");
            }
            table.insert(&described.service, &described.method, false, rule, metrics);
        }
        table.add_undescribed(services, rules, metrics);
        table
    }

    fn add_system(&mut self, metrics: &RpcMetrics) {
        for encoded in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for found in described(encoded) {
                self.insert(&found.service, &found.method, true, found.rule, metrics);
            }
        }
    }

    /// Methods of the added services that have a rule but no description among the fleet's contracts.
    fn add_undescribed(&mut self, services: &[String], rules: &AccessRules, metrics: &RpcMetrics) {
        for (path, rule) in &rules.rules {
            let Some((service, name)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else { continue };
            if !self.by_path.contains_key(path) && services.iter().any(|added| added == service) {
                self.insert(service, name, false, rule.clone(), metrics);
            }
        }
    }

    fn insert(&mut self, service: &str, method: &str, system: bool, rule: Rule, metrics: &RpcMetrics) {
        let name = format!("{service}/{method}");
        let path = format!("/{name}");
        let metrics = metrics.method(service, method);
        self.by_path.insert(path, Arc::new(Method { name, system, rule, metrics }));
    }

    /// The method at `path`.
    pub fn find(&self, path: &str) -> &Arc<Method> {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

/// A method in a descriptor set.
struct Described {
    service: String,
    method: String,
    rule: Rule,
}

/// The methods of a descriptor set. The sets are compiled in; one that can't be decoded has none.
fn described(encoded: &[u8]) -> Vec<Described> {
    let set = FileDescriptorSet::decode(encoded).unwrap_or_default();
    let mut all = Vec::new();
    for file in set.file {
        for service in &file.service {
            for method in &service.method {
                all.push(Described {
                    service: format!("{}.{}", file.package(), service.name()),
                    method: method.name().to_owned(),
                    rule: Rule {
                        client_streaming: method.client_streaming(),
                        server_streaming: method.server_streaming(),
                        ..Rule::default()
                    },
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use prometheus::Registry;

    use super::*;

    #[test]
    fn every_method_of_the_contracts_has_a_policy_and_none_is_open_without_one() {
        let services: HashSet<_> = policy::methods().iter().map(|method| method.service.clone()).collect();
        let services: Vec<_> = services.into_iter().collect();
        assert!(services.len() >= 6, "{services:?}");
        let metrics = RpcMetrics::register(&Registry::new());
        let declared = MethodTable::new(&services, &AccessRules::declared(), &metrics);
        let silent = MethodTable::new(&services, &AccessRules::new(), &metrics);
        for method in policy::methods() {
            let known = declared.find(&method.path);
            assert_eq!(known.rule.access, method.access, "{}", method.path);
            assert!(known.rule.access.is_some(), "{} has no policy", method.path);
            assert_eq!(known.rule.peers, method.peers, "{}", method.path);
            assert_eq!(known.is_stream(), method.client_streaming || method.server_streaming, "{}", method.path);
            assert_eq!(silent.find(&method.path).rule.access, None, "{}", method.path);
        }
        assert_eq!(declared.find("/flotilla.orders.v1.OrderService/Nonsense").rule.access, None);
    }
}
