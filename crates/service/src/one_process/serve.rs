//! Starts all services and keeps them until the end of the process.

use anyhow::Context as _;
use flotilla_cgroup::Limits;
use flotilla_rpc::LocalNetwork;
use flotilla_telemetry::{ServiceScope, Telemetry, spawn};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::drain::Services;
use super::member::Member;
use crate::Running;
use crate::logging;
use crate::shared_admin::SharedAdmin;
use crate::signals::Signals;

/// Serves until a signal, or until a service ends.
pub(super) async fn serve(
    process: &'static str,
    members: &[Box<dyn Member>],
    telemetry: &Telemetry,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let first = members.first().context("the process has no services")?;
    let limits = Limits::of_process();
    tracing::info!(cores = limits.cores, memory_bytes = limits.memory, "limits of the control group");
    let names = members.iter().map(|member| member.name()).collect();
    let listen = first.sections().service.admin_listen;
    let (admin, listener) = SharedAdmin::bind(process, names, listen, telemetry.registry()).await?;
    admin.mount(logging::routes(telemetry.log_control()));
    let network = LocalNetwork::default();
    members.iter().for_each(|member| member.join(&network, &admin));

    let stop = CancellationToken::new();
    let endpoints = spawn(admin.clone().serve(listener, stop.clone()));
    let ended = run(members, telemetry, signals, &stop).await;
    stop.cancel();
    endpoints.await.context("the admin endpoints failed")?;
    ended
}

async fn run(
    members: &[Box<dyn Member>],
    telemetry: &Telemetry,
    signals: &mut Signals,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut following = JoinSet::new();
    for member in members {
        let scope = ServiceScope::of(member.name());
        following.spawn(scope.within(member.follow(stop.clone())?));
    }
    // The telemetry itself follows the first service's.
    for other in members.iter().skip(1) {
        following.spawn(telemetry.follow_filter(&other.sections().telemetry.filter));
    }
    let mut services = Services::new(members.iter().map(|member| member.sections().service.grace.clone()).collect());
    let started = tokio::select! {
        started = start(members, telemetry, &mut services) => started,
        signal = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            return services.drain(signals).await;
        }
    };
    if let Err(error) = started {
        // What has started is stopped in order; the failed start is the reason of the end.
        drop(services.drain(signals).await);
        return Err(error);
    }
    services.until_end(signals).await
}

/// Starts all services at the same time: each waits for the others where it needs them.
async fn start(members: &[Box<dyn Member>], telemetry: &Telemetry, services: &mut Services) -> anyhow::Result<()> {
    let starting = members.iter().enumerate().map(|(place, member)| async move {
        let running: anyhow::Result<Running> =
            ServiceScope::of(member.name()).within(member.start(telemetry)).await.context(member.name());
        (place, running)
    });
    let mut starting: FuturesUnordered<_> = starting.collect();
    while let Some((place, running)) = starting.next().await {
        services.add(place, running?);
    }
    Ok(())
}
