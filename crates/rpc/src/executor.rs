//! Where hyper's tasks of a connection run: on tokio, within the service that the connection belongs to.

use std::future::Future;

use flotilla_telemetry::spawn;
use hyper::rt::Executor;

/// Spawns tasks within the current service.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceExecutor;

impl<F> Executor<F> for ServiceExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        spawn(task);
    }
}
