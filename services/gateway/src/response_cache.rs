//! Cached responses: of which methods, under which keys, and which calls make them old.
//!
//! Only responses that are the same for every caller may be cached. A change through a gateway invalidates the cached
//! response before its caller gets the result, in all gateways; a read that races with it can't bring the old response
//! back. After any other change the owning service invalidates it, as soon as it has consumed its own event. Responses
//! have the version of their resource, so that none replaces a newer one. While a service is unavailable, its cached
//! responses are served for a while longer.

use std::collections::HashMap;

use bytes::Bytes;
use flotilla_cache::{Load, Loaded, LookUp, TwoLevelCache};
use flotilla_transcode::wire;
use tonic::{Code, Status};

use crate::routes::{RouteTable, RpcMethod};

/// Responses to requests with longer names are not cached.
const MAX_NAME: usize = 256;

/// A method whose responses are cached.
struct Policy {
    /// The method.
    read: &'static str,
    /// The field of its request that names the resource.
    key: &'static str,
    /// The field of its response that rises with each change of the resource.
    version: &'static str,
    /// Methods that change the resource, with the field that names it.
    changes: &'static [(&'static str, &'static str)],
}

const POLICIES: &[Policy] = &[Policy {
    read: "flotilla.inventory.v1.CatalogService/GetProduct",
    key: "name",
    version: "version",
    changes: &[
        ("flotilla.inventory.v1.CatalogService/UpdateProduct", "product.name"),
        ("flotilla.inventory.v1.CatalogService/DeleteProduct", "name"),
        ("flotilla.inventory.v1.StockService/AdjustStock", "product"),
    ],
}];

/// The cached responses.
#[derive(Debug, Default)]
pub struct ResponseCache {
    cache: Option<TwoLevelCache<Bytes>>,
    reads: HashMap<String, Read>,
    changes: HashMap<String, Vec<u32>>,
}

/// Where a cached method has its key and its version.
#[derive(Debug)]
struct Read {
    key: Vec<u32>,
    version: Vec<u32>,
}

/// A response that isn't cached and must be requested.
#[derive(Debug)]
pub struct MissingResponse {
    load: Load<Bytes>,
    version: Vec<u32>,
}

impl ResponseCache {
    /// Caches responses in `cache`; without one, none.
    ///
    /// # Errors
    /// A policy names a method or field that doesn't exist in the contracts.
    pub fn new(cache: Option<TwoLevelCache<Bytes>>, routes: &RouteTable) -> anyhow::Result<Self> {
        let mut all = Self { cache, ..Self::default() };
        for policy in POLICIES {
            let key = request_field(routes, policy.read, policy.key)?;
            let version = response_field(routes, policy.read, policy.version)?;
            all.reads.insert(policy.read.to_owned(), Read { key, version });
            for (method, field) in policy.changes {
                all.changes.insert((*method).to_owned(), request_field(routes, method, field)?);
            }
        }
        Ok(all)
    }

    /// Whether a method's responses are cached.
    pub fn is_read(&self, method: &RpcMethod) -> bool {
        self.cache.is_some() && self.reads.contains_key(&method.name)
    }

    /// Whether a method's calls make cached responses old.
    pub fn is_change(&self, method: &RpcMethod) -> bool {
        self.cache.is_some() && self.changes.contains_key(&method.name)
    }

    /// The key of the cached response that this encoded request makes old.
    pub fn changed_key(&self, method: &RpcMethod, request: &[u8]) -> Option<String> {
        key(request, self.changes.get(&method.name)?)
    }

    /// The cached response to this encoded request, or the duty to request it; `None` if it can't be cached.
    pub async fn look_up(&self, method: &RpcMethod, request: &[u8]) -> Option<Result<Bytes, MissingResponse>> {
        let (cache, read) = (self.cache.as_ref()?, self.reads.get(&method.name)?);
        match cache.look_up(&key(request, &read.key)?).await {
            // That a resource doesn't exist is never cached: its service says so in its own words.
            LookUp::Hit(found) => found.value().cloned().map(Ok),
            LookUp::Load(load) => Some(Err(MissingResponse { load, version: read.version.clone() })),
        }
    }

    /// Invalidates a cached response. The version that the change makes isn't known yet, or never if the call fails.
    pub async fn invalidate(&self, key: &str) {
        if let Some(cache) = &self.cache {
            cache.invalidate(key, None).await;
        }
    }
}

impl MissingResponse {
    /// Caches the service's response. If the service is unavailable, returns an older response instead, if there is one.
    ///
    /// # Errors
    /// The service's status.
    pub async fn fill(self, response: Result<Bytes, Status>) -> Result<Bytes, Status> {
        match response {
            Ok(message) => {
                let version = wire::number(&message, &self.version).unwrap_or_default();
                // A copy: the message is a slice of the connection's buffer and would keep all of it in memory.
                let value = Some(Bytes::copy_from_slice(&message));
                self.load.complete(Loaded { value, version }).await;
                Ok(message)
            }
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                let older = self.load.fail().await;
                older.and_then(|found| found.value().cloned()).ok_or(status)
            }
            Err(status) => {
                self.load.give_up().await;
                Err(status)
            }
        }
    }
}

fn request_field(routes: &RouteTable, method: &str, field: &str) -> anyhow::Result<Vec<u32>> {
    numbers(routes, method, field, |method| method.input_index)
}

fn response_field(routes: &RouteTable, method: &str, field: &str) -> anyhow::Result<Vec<u32>> {
    numbers(routes, method, field, |method| method.output_index)
}

fn numbers(
    routes: &RouteTable,
    method: &str,
    field: &str,
    message: impl FnOnce(&RpcMethod) -> usize,
) -> anyhow::Result<Vec<u32>> {
    let found = routes.method(&format!("/{method}"));
    let path = found.and_then(|found| routes.schema().resolve(message(found), field));
    path.map(|path| path.numbers)
        .ok_or_else(|| anyhow::anyhow!("cache policy names {method} with {field}, which doesn't exist"))
}

fn key(request: &[u8], path: &[u32]) -> Option<String> {
    let name = wire::text(request, path)?;
    (name.len() <= MAX_NAME).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use flotilla_proto::policy::Access;

    use super::*;

    #[test]
    fn only_public_methods_are_cached() {
        let routes = RouteTable::from_pool(&flotilla_proto::descriptors::pool().unwrap()).unwrap();
        for policy in POLICIES {
            let method = routes.method(&format!("/{}", policy.read)).unwrap();
            assert_eq!(method.access, Access::Public, "{}", policy.read);
        }
    }
}
