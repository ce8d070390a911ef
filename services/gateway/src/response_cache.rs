//! Responses cached in Redis: of which methods, under which keys, and which calls make them stale.
//!
//! Only responses that are the same for every caller may be cached. A change through a gateway deletes the cached
//! response before its caller gets the result; any other change (or one that races with a read) shows after the time to
//! live.

use std::collections::HashMap;

use bytes::Bytes;
use flotilla_cache::Cache;
use flotilla_config::{HumanDuration, Live};
use flotilla_transcode::wire;

use crate::routes::{RouteTable, RpcMethod};

/// Responses to requests with longer names are not cached.
const MAX_NAME: usize = 256;

/// A method whose responses are cached.
struct Policy {
    /// The method.
    read: &'static str,
    /// The field of its request that names the resource.
    key: &'static str,
    /// Methods that change the resource, with the field that names it.
    changes: &'static [(&'static str, &'static str)],
}

const POLICIES: &[Policy] = &[Policy {
    read: "flotilla.inventory.v1.CatalogService/GetProduct",
    key: "name",
    changes: &[
        ("flotilla.inventory.v1.CatalogService/UpdateProduct", "product.name"),
        ("flotilla.inventory.v1.CatalogService/DeleteProduct", "name"),
        ("flotilla.inventory.v1.StockService/AdjustStock", "product"),
    ],
}];

/// The cached responses.
#[derive(Debug)]
pub struct ResponseCache {
    cache: Cache,
    ttl: Live<HumanDuration>,
    reads: HashMap<String, Vec<u32>>,
    changes: HashMap<String, Vec<u32>>,
}

impl ResponseCache {
    /// Caches responses in `cache` for `ttl`.
    ///
    /// # Errors
    /// A policy names a method or field that doesn't exist in the contracts.
    pub fn new(cache: Cache, ttl: Live<HumanDuration>, routes: &RouteTable) -> anyhow::Result<Self> {
        let resolve = |method: &str, field: &str| {
            let found = routes.method(&format!("/{method}"));
            let path = found.and_then(|found| routes.schema().resolve(found.input_index, field));
            path.map(|path| (method.to_owned(), path.numbers))
                .ok_or_else(|| anyhow::anyhow!("cache policy names {method} with {field}, which doesn't exist"))
        };
        let reads = POLICIES.iter().map(|policy| resolve(policy.read, policy.key)).collect::<Result<_, _>>()?;
        let changes = POLICIES
            .iter()
            .flat_map(|policy| policy.changes)
            .map(|(method, field)| resolve(method, field))
            .collect::<Result<_, _>>()?;
        Ok(Self { cache, ttl, reads, changes })
    }

    /// A cache that stores nothing.
    pub fn empty(cache: Cache) -> Self {
        Self { cache, ttl: Live::default(), reads: HashMap::new(), changes: HashMap::new() }
    }

    /// The key of the response to this encoded request; `None` for methods that aren't cached.
    pub fn read_key(&self, method: &RpcMethod, request: &[u8]) -> Option<String> {
        key(request, self.reads.get(&method.name)?)
    }

    /// Whether a method's responses are cached.
    pub fn is_read(&self, method: &RpcMethod) -> bool {
        self.reads.contains_key(&method.name)
    }

    /// Whether a method's calls make cached responses stale.
    pub fn is_change(&self, method: &RpcMethod) -> bool {
        self.changes.contains_key(&method.name)
    }

    /// The key of the cached response that this encoded request makes stale.
    pub fn stale_key(&self, method: &RpcMethod, request: &[u8]) -> Option<String> {
        key(request, self.changes.get(&method.name)?)
    }

    /// Gets a cached response.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key).await
    }

    /// Stores a response.
    pub async fn put(&self, key: &str, response: Bytes) {
        self.cache.set(key, response, self.ttl.get().get()).await;
    }

    /// Deletes a cached response.
    pub async fn forget(&self, key: &str) {
        self.cache.delete(key).await;
    }
}

fn key(request: &[u8], path: &[u32]) -> Option<String> {
    let name = wire::text(request, path)?;
    (name.len() <= MAX_NAME).then(|| format!("gateway:v1:{name}"))
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
