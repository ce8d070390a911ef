//! One service of the process: its settings, whatever their type, and what is done with all of them.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use flotilla_config::{Setting as _, Sources};
use flotilla_rpc::LocalNetwork;
use flotilla_telemetry::{ServiceScope, Telemetry, TelemetrySettings};
use futures::future::BoxFuture;
use futures::{FutureExt as _, future};
use tokio_util::sync::CancellationToken;

use crate::cli::start;
use crate::configuration::{Configuration, Follower, Shape};
use crate::shared_admin::SharedAdmin;
use crate::{Running, Service, ServiceSettings};

/// The sections that concern the process.
pub(super) struct Sections {
    pub service: ServiceSettings,
    pub telemetry: TelemetrySettings,
}

/// A service whose settings are loaded.
pub(super) trait Member: Send + Sync {
    fn name(&self) -> &'static str;

    fn sections(&self) -> Sections;

    /// Joins the process's network and its admin port, before the start.
    fn join(&self, network: &LocalNetwork, admin: &SharedAdmin);

    fn migrate(&self) -> BoxFuture<'_, anyhow::Result<()>>;

    fn await_migrations(&self) -> BoxFuture<'_, anyhow::Result<()>>;

    fn start<'a>(&'a self, process: &'a Telemetry) -> BoxFuture<'a, anyhow::Result<Running>>;

    /// Follows changes of the settings until `stop`.
    fn follow(&self, stop: CancellationToken) -> anyhow::Result<BoxFuture<'static, ()>>;

    fn print(&self, shape: Shape) -> anyhow::Result<String>;

    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A service with its configuration.
pub(super) struct Loaded<S: Service>(Arc<Configuration<S::Settings>>);

impl<S: Service> Loaded<S> {
    pub fn load(sources: Sources) -> BoxFuture<'static, anyhow::Result<Box<dyn Member>>> {
        async move {
            let configuration = Configuration::<S::Settings>::load(S::NAME, sources).await?;
            Ok(Box::new(Self(configuration)) as Box<dyn Member>)
        }
        .boxed()
    }
}

impl<S: Service> Member for Loaded<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn sections(&self) -> Sections {
        let settings = self.0.settings();
        let common = S::common(&settings);
        Sections { service: common.service.clone(), telemetry: common.telemetry.clone() }
    }

    fn join(&self, network: &LocalNetwork, admin: &SharedAdmin) {
        let settings = self.0.settings();
        let common = S::common(&settings);
        common.service.admin.attach(admin);
        if let Some(client) = common.client {
            client.local.join(network, S::NAME);
        }
        if let Some(grpc) = common.grpc {
            grpc.local.join(network, S::NAME);
            // A port that the system chooses is known when the server listens.
            if grpc.listen.port() != 0 {
                network.expect(grpc.listen);
            }
        }
    }

    fn migrate(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        async move { S::migrate(&self.0.settings()).await }.boxed()
    }

    fn await_migrations(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        async move { S::await_migrations(&self.0.settings()).await }.boxed()
    }

    fn start<'a>(&'a self, process: &'a Telemetry) -> BoxFuture<'a, anyhow::Result<Running>> {
        async move { start::<S>(&self.0, &process.of_service(S::NAME)?).await }.boxed()
    }

    fn follow(&self, stop: CancellationToken) -> anyhow::Result<BoxFuture<'static, ()>> {
        Ok(Follower::new(&self.0).context("can't install the signal handlers")?.run(stop).boxed())
    }

    fn print(&self, shape: Shape) -> anyhow::Result<String> {
        self.0.print(shape)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close().boxed()
    }
}

/// Refuses settings of the process that differ between the services: it has one admin port and one telemetry. Live ones
/// may differ: the last change applies.
pub(super) fn check_agreement(members: &[Box<dyn Member>]) -> anyhow::Result<()> {
    let Some((first, others)) = members.split_first() else { return Ok(()) };
    let expected = first.sections();
    for other in others {
        let (sections, mut changes) = (other.sections(), Vec::new());
        expected.telemetry.differ(&sections.telemetry, "telemetry", &mut changes);
        let mut names: Vec<_> = changes.into_iter().filter(|change| !change.live).map(|change| change.name).collect();
        if expected.service.admin_listen != sections.service.admin_listen {
            names.push("service.admin_listen".to_owned());
        }
        if !names.is_empty() {
            let (names, first, other) = (names.join(", "), first.name(), other.name());
            bail!(
                "{names} differs between {first} and {other}, which share one process: set it alike for all services"
            );
        }
    }
    Ok(())
}

/// Migrates the databases of all services, all at the same time.
pub(super) async fn migrate(members: &[Box<dyn Member>]) -> anyhow::Result<()> {
    each(members, |member| member.migrate()).await
}

/// Waits until the databases of all services are migrated.
pub(super) async fn await_migrations(members: &[Box<dyn Member>]) -> anyhow::Result<()> {
    each(members, |member| member.await_migrations()).await
}

async fn each<'a>(
    members: &'a [Box<dyn Member>],
    work: impl Fn(&'a dyn Member) -> BoxFuture<'a, anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let works = members.iter().map(|member| {
        let work = ServiceScope::of(member.name()).within(work(member.as_ref()));
        async move { work.await.context(member.name()) }
    });
    future::try_join_all(works).await.map(drop)
}

/// The settings of all services: as JSON one object with a field for each service.
pub(super) fn print(members: &[Box<dyn Member>], shape: Shape) -> anyhow::Result<String> {
    let mut printed = Vec::new();
    for member in members {
        let settings = member.print(shape)?;
        printed.push(match shape {
            Shape::Text => format!("{}:\n{}\n", member.name(), settings.trim_end()),
            Shape::Json => format!("\"{}\": {settings}", member.name()),
        });
    }
    Ok(match shape {
        Shape::Text => printed.join("\n"),
        Shape::Json => format!("{{\n{}\n}}", printed.join(",\n")),
    })
}
