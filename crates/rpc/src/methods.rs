//! What a server knows of each of its methods: labels, kind, access and metrics, looked up once for a call.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::layers::metrics::{MethodMetrics, RpcMetrics};
use crate::{Access, AccessRules};

/// A method of an added service, or the stand-in for everything else.
#[derive(Debug)]
pub(crate) struct Method {
    /// `/package.Service/Method`; empty for the stand-in.
    pub path: String,
    /// The path without its leading slash, or `unknown`.
    pub name: String,
    /// Whether the server answers with a stream.
    pub streaming: bool,
    /// Health and reflection: public and never shed.
    pub system: bool,
    /// Who may call it; `None`: nobody.
    pub access: Option<Access>,
    /// Its counters.
    pub metrics: MethodMetrics,
}

/// All methods of a server by path.
#[derive(Debug)]
pub(crate) struct MethodTable {
    by_path: HashMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

/// A method as the descriptors have it.
struct Described {
    service: String,
    method: String,
    streaming: bool,
}

impl MethodTable {
    /// The table of a server with these services; methods without a rule are logged.
    pub fn new(services: &[String], rules: &AccessRules, metrics: &RpcMetrics) -> Self {
        let mut table =
            Self { by_path: HashMap::new(), unknown: Arc::new(method("", "unknown", false, false, None, metrics)) };
        for encoded in [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for found in described(encoded) {
                table.insert(&found.service, &found.method, found.streaming, true, None, metrics);
            }
        }
        for found in described(flotilla_proto::FILE_DESCRIPTOR_SET) {
            if services.contains(&found.service) {
                let path = format!("/{}/{}", found.service, found.method);
                let access = rules.rules.get(path.as_str()).copied();
                if access.is_none() {
                    tracing::warn!(method = path, "method has no access rule and is denied");
                }
                let streaming = found.streaming || rules.streaming.contains(path.as_str());
                table.insert(&found.service, &found.method, streaming, false, access, metrics);
            }
        }
        table.add_undescribed(rules, metrics);
        table
    }

    /// Methods that have a rule but no descriptor.
    fn add_undescribed(&mut self, rules: &AccessRules, metrics: &RpcMetrics) {
        for (path, access) in &rules.rules {
            if self.by_path.contains_key(*path) {
                continue;
            }
            if let Some((service, name)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) {
                self.insert(service, name, rules.streaming.contains(path), false, Some(*access), metrics);
            }
        }
    }

    fn insert(
        &mut self,
        service: &str,
        name: &str,
        streaming: bool,
        system: bool,
        access: Option<Access>,
        metrics: &RpcMetrics,
    ) {
        let method = method(service, name, streaming, system, access, metrics);
        self.by_path.insert(method.path.clone(), Arc::new(method));
    }

    /// The method at `path`.
    pub fn find(&self, path: &str) -> &Arc<Method> {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

fn method(
    service: &str,
    name: &str,
    streaming: bool,
    system: bool,
    access: Option<Access>,
    metrics: &RpcMetrics,
) -> Method {
    let full = if service.is_empty() { name.to_owned() } else { format!("{service}/{name}") };
    Method {
        path: if service.is_empty() { String::new() } else { format!("/{full}") },
        name: full,
        streaming,
        system,
        access,
        metrics: metrics.method(if service.is_empty() { name } else { service }, name),
    }
}

/// The methods of a descriptor set. The sets are compiled in: one that can't be read gives none.
fn described(encoded: &[u8]) -> Vec<Described> {
    let set = FileDescriptorSet::decode(encoded).unwrap_or_default();
    let mut all = Vec::new();
    for file in set.file {
        for service in &file.service {
            for method in &service.method {
                all.push(Described {
                    service: format!("{}.{}", file.package(), service.name()),
                    method: method.name().to_owned(),
                    streaming: method.server_streaming(),
                });
            }
        }
    }
    all
}

/// Paths of all methods that answer with a stream.
pub(crate) fn streaming_paths() -> HashSet<String> {
    described(flotilla_proto::FILE_DESCRIPTOR_SET)
        .into_iter()
        .chain(described(tonic_health::pb::FILE_DESCRIPTOR_SET))
        .filter(|found| found.streaming)
        .map(|found| format!("/{}/{}", found.service, found.method))
        .collect()
}
