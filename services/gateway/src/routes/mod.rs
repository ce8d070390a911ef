//! The route table, read from the contracts: every method whose policy allows callers is public, and has a REST path if
//! a `google.api.http` option declares one. Methods for the fleet's own services aren't included.

mod annotations;
mod error;
mod fields;
mod matcher;
mod template;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use flotilla_proto::policy::{self, Access, MethodPolicy};
use flotilla_transcode::{Renderer, Schema};
use http::Method as HttpMethod;
use prost_reflect::DescriptorPool;

pub use annotations::comment;

use annotations::Rule;
pub use error::RouteError;
pub use fields::{BodyRule, Special};
pub use matcher::{Found, NotUtf8, Path};
pub use template::{Segment, Template};
pub use types::{Binding, RpcMethod};

/// Packages of the fleet's own services.
const FLEET: &str = "flotilla.";

/// All public methods and the ways to call them.
#[derive(Debug)]
pub struct RouteTable {
    methods: HashMap<String, Arc<RpcMethod>>,
    bindings: Vec<Binding>,
    matcher: matcher::Matcher,
    schema: Arc<Schema>,
}

impl RouteTable {
    /// Reads the table of the fleet's services from their contracts.
    ///
    /// # Errors
    /// [`RouteError`] names the method that can't be served.
    pub fn from_pool(pool: &DescriptorPool) -> Result<Self, RouteError> {
        let mut policies = policy::of(pool);
        policies.retain(|policy| policy.service.starts_with(FLEET));
        Self::new(pool, &policies)
    }

    /// A table of these methods of a pool.
    ///
    /// # Errors
    /// [`RouteError`] names the method that can't be served.
    pub fn new(pool: &DescriptorPool, policies: &[MethodPolicy]) -> Result<Self, RouteError> {
        let option = annotations::option(pool);
        let (mut schema, mut found) = (Schema::default(), Vec::new());
        for policy in policies {
            let name = || format!("{}/{}", policy.service, policy.method);
            let service = pool.get_service_by_name(&policy.service);
            let method = service.and_then(|service| service.methods().find(|method| method.name() == policy.method));
            let descriptor = method.ok_or_else(|| RouteError::Option(name()))?;
            let rules = annotations::rules(option.as_ref(), &descriptor)?;
            match policy.access.ok_or_else(|| RouteError::NoAccessRule(name()))? {
                Access::Peer if rules.is_empty() => continue,
                Access::Peer => return Err(RouteError::Peer(name())),
                _ if policy.client_streaming && policy.server_streaming && !rules.is_empty() => {
                    return Err(RouteError::Bidirectional(name()));
                }
                access => {
                    let indices = (schema.add(&descriptor.input()), schema.add(&descriptor.output()));
                    found.push((descriptor, access, policy.idempotency, indices, rules));
                }
            }
        }
        let (methods, bindings, matcher) = (HashMap::new(), Vec::new(), matcher::Matcher::default());
        let mut table = Self { methods, bindings, matcher, schema: Arc::new(schema) };
        for (descriptor, access, idempotency, indices, rules) in found {
            let method = Arc::new(RpcMethod::new(&descriptor, access, idempotency, &table.schema, indices)?);
            for rule in rules {
                table.bind(&method, rule)?;
            }
            table.methods.insert(method.path.as_str().to_owned(), method);
        }
        Ok(table)
    }

    /// The messages of all methods.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The method with a gRPC path.
    pub fn method(&self, path: &str) -> Option<&Arc<RpcMethod>> {
        self.methods.get(path)
    }

    /// All methods.
    pub fn methods(&self) -> impl Iterator<Item = &Arc<RpcMethod>> {
        self.methods.values()
    }

    /// Finds what an HTTP method and a path match.
    pub fn find(&self, verb: &HttpMethod, path: &Path<'_>) -> Found {
        self.matcher.find(verb, path)
    }

    /// A binding that [`find`](Self::find) named.
    pub fn binding(&self, index: usize) -> &Binding {
        &self.bindings[index]
    }

    /// All bindings in the order of the contracts.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    fn bind(&mut self, method: &Arc<RpcMethod>, rule: Rule) -> Result<(), RouteError> {
        let name = || method.name.clone();
        let template = Template::parse(&rule.path).map_err(|error| RouteError::Template {
            method: name(),
            template: rule.path.clone(),
            error,
        })?;
        let schema = Arc::clone(&self.schema);
        let resolve = |message: usize, field: &str| {
            schema.resolve(message, field).ok_or_else(|| RouteError::Field { method: name(), field: field.to_owned() })
        };
        let variables = template
            .variables
            .iter()
            .map(|variable| Ok((resolve(method.input_index, &variable.field)?, variable.start..variable.end)))
            .collect::<Result<_, RouteError>>()?;
        let body = match rule.body.as_str() {
            "" => BodyRule::None,
            "*" => BodyRule::Whole,
            field => BodyRule::Field(resolve(method.input_index, field)?),
        };
        let response_body = Some(rule.response_body).filter(|field| !field.is_empty());
        if let Some(field) = &response_body {
            resolve(method.output_index, field)?;
        }
        if !self.matcher.insert(&rule.verb, &template, self.bindings.len()) {
            return Err(RouteError::Taken { method: name(), template: rule.path });
        }
        self.bindings.push(Binding {
            special: Special::find(&schema, method.input_index, &rule.verb, &body),
            renderer: Renderer::new(&schema, method.output_index, response_body.as_deref()),
            method: Arc::clone(method),
            verb: rule.verb,
            pattern: rule.path,
            template,
            variables,
            body,
            response_body,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        RouteTable::from_pool(&flotilla_proto::descriptors::pool().unwrap()).unwrap()
    }

    #[test]
    fn the_contracts_give_the_routes() {
        let table = table();
        for (verb, path, method) in [
            ("POST", "/v1/users", "flotilla.identity.v1.UserService/CreateUser"),
            ("PATCH", "/v1/users/u", "flotilla.identity.v1.UserService/UpdateUser"),
            ("POST", "/v1/auth:login", "flotilla.identity.v1.AuthService/Login"),
            ("GET", "/v1/products/p/stock", "flotilla.inventory.v1.StockService/GetStock"),
            ("GET", "/v1/orders/o:watch", "flotilla.orders.v1.OrderService/WatchOrder"),
            ("GET", "/v1/accounts/a/postings", "flotilla.payments.v1.PaymentService/ListPostings"),
            ("GET", "/v1/notifications:stream", "flotilla.notification.v1.NotificationService/StreamDeliveries"),
        ] {
            let found = table.find(&verb.parse().unwrap(), &Path::parse(path).unwrap());
            let Found::Binding(index) = found else { panic!("{verb} {path}: {found:?}") };
            assert_eq!(table.binding(index).method.name, method);
        }
    }

    #[test]
    fn a_method_knows_its_backend_its_kind_and_its_comment() {
        let table = table();
        let watch = table.method("/flotilla.orders.v1.OrderService/WatchOrder").unwrap();
        assert_eq!(watch.backend, "orders");
        assert!(watch.server_streaming && !watch.client_streaming);
        assert_eq!(watch.summary, "Streams an order's states until it ends, beginning with the current one.");
        assert!(table.method("/flotilla.orders.v1.OrderService/Nope").is_none());
    }

    #[test]
    fn a_stream_is_about_the_same_wherever_it_resumes_from() {
        use prost::Message as _;
        let table = table();
        let watched = |name: &str, token: &str| {
            let request =
                flotilla_proto::orders::v1::WatchOrderRequest { name: name.to_owned(), resume_token: token.to_owned() };
            let watch = table.method("/flotilla.orders.v1.OrderService/WatchOrder").unwrap();
            watch.watched(&request.encode_to_vec())
        };
        assert_eq!(watched("orders/1", "7"), watched("orders/1", ""));
        assert_ne!(watched("orders/1", "7"), watched("orders/2", "7"));
    }

    #[test]
    fn methods_without_a_path_are_known_and_those_for_peers_are_not() {
        let table = table();
        let subscribe = table.method("/flotilla.notification.v1.NotificationService/Subscribe").unwrap();
        assert!(subscribe.client_streaming && subscribe.server_streaming);
        assert!(table.bindings().iter().all(|binding| binding.method.name != subscribe.name));
        assert!(table.method("/flotilla.inventory.v1.CatalogService/BatchGetProducts").is_none());
        assert!(table.methods().all(|method| method.access != Access::Peer));
    }

    #[test]
    fn a_method_without_an_access_rule_is_an_error_and_so_is_a_path_for_peers() {
        let pool = flotilla_proto::descriptors::pool().unwrap();
        let with = |path: &str, access| {
            let mut policies = policy::of(&pool);
            policies.retain(|policy| policy.path == path);
            policies[0].access = access;
            RouteTable::new(&pool, &policies).map(|table| table.methods().count())
        };
        let get = "/flotilla.orders.v1.OrderService/GetOrder";
        assert!(matches!(with(get, None), Err(RouteError::NoAccessRule(_))));
        assert!(matches!(with(get, Some(Access::Peer)), Err(RouteError::Peer(_))));
        assert_eq!(with(get, Some(Access::Public)).unwrap(), 1);
    }
}
