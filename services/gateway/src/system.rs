//! The gateway's own gRPC services: health, and reflection of the public API alone.

use std::convert::Infallible;

use flotilla_rpc::{GrpcService, RpcError};
use http::{Request, Response};
use prost_reflect::{DescriptorPool, FileDescriptor};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_reflection::server::Builder;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::routes::RouteTable;

/// Name of the health service.
const HEALTH: &str = "grpc.health.v1.Health";

type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The services by name.
pub struct System(Vec<(&'static str, Boxed)>);

impl System {
    /// The health service `health`, and reflection of the services that have public methods.
    ///
    /// # Errors
    /// The descriptors are invalid.
    pub fn new<H>(
        health: H,
        reflection: bool,
        pool: &DescriptorPool,
        routes: &RouteTable,
    ) -> Result<Self, tonic_reflection::server::Error>
    where
        H: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        H::Future: Send + 'static,
    {
        let mut services = vec![(HEALTH, BoxCloneSyncService::new(health))];
        if reflection {
            let public = Public::new(pool, routes);
            services.push(named(public.builder().build_v1()?));
            services.push(named(public.builder().build_v1alpha()?));
        }
        Ok(Self(services))
    }

    /// Answers a call that isn't for a public method.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let service = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
        match self.0.iter().find(|(name, _)| *name == service) {
            Some((_, answers)) => match answers.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            None => {
                let text = format!("{} is not part of the public API", request.uri().path());
                Status::from(RpcError::new(Code::Unimplemented, "METHOD_UNKNOWN", text)).into_http()
            }
        }
    }
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

fn named<S: GrpcService>(service: S) -> (&'static str, Boxed) {
    (S::NAME, BoxCloneSyncService::new(service))
}

/// The files that reflection exposes: those with public methods and their imports.
struct Public {
    encoded: Vec<u8>,
    services: Vec<String>,
}

impl Public {
    fn new(pool: &DescriptorPool, routes: &RouteTable) -> Self {
        let mut services: Vec<String> = routes
            .methods()
            .filter_map(|method| method.name.split_once('/').map(|(service, _)| service.to_owned()))
            .collect();
        services.sort();
        services.dedup();
        let mut files: Vec<FileDescriptor> = Vec::new();
        let with_services = services.iter().filter_map(|name| pool.get_service_by_name(name));
        let mut waiting: Vec<FileDescriptor> = with_services.map(|service| service.parent_file()).collect();
        while let Some(file) = waiting.pop() {
            if !files.contains(&file) {
                waiting.extend(file.dependencies());
                files.push(file);
            }
        }
        // Field 1 of a FileDescriptorSet, repeated: the raw bytes keep the options that prost-types would drop.
        let mut encoded = Vec::new();
        for file in files {
            prost::encoding::bytes::encode(1, &file.encode_to_vec(), &mut encoded);
        }
        Self { encoded, services }
    }

    fn builder(&self) -> Builder<'_> {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(&self.encoded)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(HEALTH);
        self.services.iter().fold(builder, Builder::with_service_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_knows_public_services_and_no_events() {
        let pool = flotilla_proto::descriptors::pool().unwrap();
        let routes = RouteTable::from_pool(&pool).unwrap();
        let public = Public::new(&pool, &routes);
        assert!(public.services.contains(&"flotilla.orders.v1.OrderService".to_owned()));
        let reflected = DescriptorPool::decode(public.encoded.as_slice()).unwrap();
        assert!(reflected.get_message_by_name("flotilla.orders.v1.Order").is_some());
        assert!(reflected.get_message_by_name("flotilla.orders.v1.OrderPlaced").is_none());
        assert!(pool.get_message_by_name("flotilla.orders.v1.OrderPlaced").is_some());
        public.builder().build_v1().unwrap();
    }
}
