//! The service that the running code belongs to, in a process that runs several: log lines and spans are told apart by
//! it.
//!
//! A process of one service has no scope, and pays a comparison for it. A task that is spawned doesn't inherit the
//! scope by itself: [`spawn`] and [`in_current_service`] pass it on.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

thread_local! {
    static CURRENT: Cell<ServiceScope> = const { Cell::new(ServiceScope(None)) };
}

/// A service of a process that runs several, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceScope(Option<&'static str>);

impl ServiceScope {
    /// The scope of this service.
    #[must_use]
    pub fn of(service: &'static str) -> Self {
        Self(Some(service))
    }

    /// The scope of the running code.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// The service's name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.0
    }

    /// Runs a step within this scope.
    pub fn run<T>(self, step: impl FnOnce() -> T) -> T {
        let _left = Restored(CURRENT.replace(self));
        step()
    }

    /// Runs a future within this scope.
    pub fn within<F: Future>(self, future: F) -> InService<F> {
        InService { future, scope: self }
    }
}

/// Restores the scope around, also after a panic.
struct Restored(ServiceScope);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

pin_project! {
    /// A future within the scope of a service.
    #[derive(Debug)]
    pub struct InService<F> {
        #[pin]
        future: F,
        scope: ServiceScope,
    }
}

impl<F: Future> Future for InService<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future;
        this.scope.run(|| future.poll(cx))
    }
}

/// The future within the current scope, wherever it is spawned.
pub fn in_current_service<F: Future>(future: F) -> InService<F> {
    ServiceScope::current().within(future)
}

/// Like `tokio::spawn`, within the current scope.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(in_current_service(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Option<&'static str> {
        ServiceScope::current().name()
    }

    #[tokio::test]
    async fn a_spawned_task_keeps_the_scope_and_what_is_around_it_keeps_its_own() {
        let inside = ServiceScope::of("orders").within(async {
            let before = name();
            tokio::task::yield_now().await;
            let spawned = spawn(async { name() }).await.unwrap();
            let plain = tokio::spawn(async { name() }).await.unwrap();
            let nested = ServiceScope::of("payments").run(name);
            (before, spawned, plain, nested, name())
        });
        assert_eq!(inside.await, (Some("orders"), Some("orders"), None, Some("payments"), Some("orders")));
        assert_eq!(name(), None);
    }

    #[test]
    fn a_panic_leaves_the_scope() {
        let step = || ServiceScope::of("orders").run(|| panic!("expected"));
        assert!(std::panic::catch_unwind(step).is_err());
        assert_eq!(name(), None);
    }
}
