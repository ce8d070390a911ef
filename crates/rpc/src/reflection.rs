//! Server reflection, v1 and v1alpha, for the added services.

use tonic_reflection::server::{Builder, Error};

use crate::routes::Routes;

/// Adds reflection of `services` (and health) to `routes`.
pub(crate) fn add(routes: &mut Routes, services: &[String]) -> Result<(), Error> {
    routes.add(builder(services).build_v1()?);
    routes.add(builder(services).build_v1alpha()?);
    Ok(())
}

fn builder(services: &[String]) -> Builder<'static> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(flotilla_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    services.iter().fold(builder, Builder::with_service_name)
}
