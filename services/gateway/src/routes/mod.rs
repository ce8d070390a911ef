//! The route table, read from the contracts: every method with a `google.api.http` option is public, no other is.

mod annotations;
mod matcher;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use flotilla_rpc::Access;
use http::Method as HttpMethod;
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor, MethodDescriptor};

pub use annotations::{Rule, annotated};
pub use matcher::{Found, NotUtf8, Path};
pub use template::{Template, TemplateError};

use crate::transcode::{Renderer, fields};

/// A public method of a service behind the gateway.
#[derive(Debug)]
pub struct RpcMethod {
    /// `package.Service/Method`.
    pub name: String,
    /// `/package.Service/Method`, as gRPC calls it.
    pub path: PathAndQuery,
    /// Name of the service that answers: the second part of the package.
    pub backend: String,
    /// Request message.
    pub input: MessageDescriptor,
    /// Response message.
    pub output: MessageDescriptor,
    /// Whether responses are a stream.
    pub server_streaming: bool,
    /// Whether requests are a stream.
    pub client_streaming: bool,
    /// Who may call it.
    pub access: Access,
    /// First line of its comment.
    pub summary: String,
}

/// What an HTTP body holds.
#[derive(Debug, Clone)]
pub enum BodyRule {
    /// Nothing: a body is refused.
    None,
    /// The request message.
    Whole,
    /// One field of it.
    Field(FieldDescriptor),
}

/// One way to call a method over HTTP.
#[derive(Debug)]
pub struct Binding {
    /// The method.
    pub method: Arc<RpcMethod>,
    /// HTTP method.
    pub verb: HttpMethod,
    /// The template as written: the route's name in metrics.
    pub pattern: String,
    /// Fields taken from the path: each with its segments.
    pub variables: Vec<(Vec<FieldDescriptor>, std::ops::Range<usize>)>,
    /// What the body holds.
    pub body: BodyRule,
    /// Writes the method's responses.
    pub renderer: Renderer,
}

/// Why the contracts can't be served.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The descriptor set lacks the option's definition or holds one that can't be read.
    #[error("{0}: the http option can't be read")]
    Option(String),
    /// The path template is wrong.
    #[error("{method}: {template}: {error}")]
    Template {
        /// The method.
        method: String,
        /// Its template.
        template: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// A field that the option names isn't there or can't be bound.
    #[error("{method}: field {field} can't be bound")]
    Field {
        /// The method.
        method: String,
        /// The field.
        field: String,
    },
    /// Two methods want the same place.
    #[error("{method}: {template} is taken by another method")]
    Taken {
        /// The second method.
        method: String,
        /// The place.
        template: String,
    },
    /// Nobody said who may call it.
    #[error("{0}: no access rule")]
    NoAccessRule(String),
}

/// All public methods and the ways to call them.
#[derive(Debug)]
pub struct RouteTable {
    methods: HashMap<String, Arc<RpcMethod>>,
    bindings: Vec<Binding>,
    matcher: matcher::Matcher,
}

impl RouteTable {
    /// Reads the table from the contracts.
    ///
    /// # Errors
    /// [`RouteError`] names the method that can't be served.
    pub fn from_pool(pool: &DescriptorPool, access: impl Fn(&str) -> Option<Access>) -> Result<Self, RouteError> {
        let mut table = Self { methods: HashMap::new(), bindings: Vec::new(), matcher: matcher::Matcher::default() };
        for (descriptor, rules) in annotated(pool)? {
            let method = Arc::new(RpcMethod::new(&descriptor, &access)?);
            for rule in rules {
                table.bind(&method, rule)?;
            }
            table.methods.insert(method.path.as_str().to_owned(), method);
        }
        Ok(table)
    }

    /// The method of a gRPC path.
    pub fn method(&self, path: &str) -> Option<&Arc<RpcMethod>> {
        self.methods.get(path)
    }

    /// All methods.
    pub fn methods(&self) -> impl Iterator<Item = &Arc<RpcMethod>> {
        self.methods.values()
    }

    /// What an HTTP method and a path lead to.
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
        let resolve = |message: &MessageDescriptor, field: &str| {
            fields::resolve(message, field).ok_or_else(|| RouteError::Field { method: name(), field: field.to_owned() })
        };
        let variables = template
            .variables
            .iter()
            .map(|variable| Ok((resolve(&method.input, &variable.field)?, variable.start..variable.end)))
            .collect::<Result<_, RouteError>>()?;
        let body = match rule.body.as_str() {
            "" => BodyRule::None,
            "*" => BodyRule::Whole,
            field => BodyRule::Field(resolve(&method.input, field)?.remove(0)),
        };
        let response_body = match rule.response_body.as_str() {
            "" => None,
            field => Some(resolve(&method.output, field)?.remove(0)),
        };
        if !self.matcher.insert(&rule.verb, &template, self.bindings.len()) {
            return Err(RouteError::Taken { method: name(), template: rule.path });
        }
        let renderer = Renderer::new(&method.output, response_body.as_ref());
        let method = Arc::clone(method);
        self.bindings.push(Binding { method, verb: rule.verb, pattern: rule.path, variables, body, renderer });
        Ok(())
    }
}

impl RpcMethod {
    fn new(descriptor: &MethodDescriptor, access: &impl Fn(&str) -> Option<Access>) -> Result<Self, RouteError> {
        let name = rpc_name(descriptor);
        let access = access(&name).ok_or_else(|| RouteError::NoAccessRule(name.clone()))?;
        let path = PathAndQuery::try_from(format!("/{name}")).map_err(|_| RouteError::Option(name.clone()))?;
        Ok(Self {
            path,
            backend: name.split('.').nth(1).unwrap_or_default().to_owned(),
            input: descriptor.input(),
            output: descriptor.output(),
            server_streaming: descriptor.is_server_streaming(),
            client_streaming: descriptor.is_client_streaming(),
            access,
            summary: annotations::summary(descriptor),
            name,
        })
    }
}

/// `package.Service/Method`.
pub fn rpc_name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        RouteTable::from_pool(&flotilla_proto::descriptors::pool().unwrap(), crate::access::rule).unwrap()
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
        assert_eq!(watch.summary, "Streams an order's states until it ends; first the present one.");
        assert!(table.method("/flotilla.orders.v1.OrderService/Nope").is_none());
    }

    #[test]
    fn a_method_without_an_access_rule_is_an_error() {
        let pool = flotilla_proto::descriptors::pool().unwrap();
        assert!(matches!(RouteTable::from_pool(&pool, |_| None), Err(RouteError::NoAccessRule(_))));
    }
}
