//! Settings that change while the process runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::HumanDuration;

/// A setting that a reload can change. Clones share the value, so a change is visible in all of them. Settings of other
/// types keep their value until the process ends.
pub struct Live<T>(Arc<watch::Sender<T>>);

impl<T> Live<T> {
    /// A setting with this value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(watch::Sender::new(value)))
    }

    /// A receiver of all changes from now on; it starts with the current value.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<T> {
        self.0.subscribe()
    }

    /// Reads the value without cloning it. Keep `read` short: it blocks changes.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.borrow())
    }

    /// Changes the value in all clones. Called by reloads and tests.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }
}

impl<T: Clone> Live<T> {
    /// The current value.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }
}

impl Live<HumanDuration> {
    /// Waits until the setting's duration, or `at_least` if that is longer, has passed since `then`. A change takes
    /// effect immediately.
    pub async fn passed_since(&self, then: Instant, at_least: Duration) {
        let mut changes = self.subscribe();
        loop {
            let wait = changes.borrow_and_update().get().max(at_least);
            tokio::select! {
                () = tokio::time::sleep_until(then + wait) => return,
                // The sender can't be gone: `self` holds it.
                _ = changes.changed() => {}
            }
        }
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: PartialEq> PartialEq for Live<T> {
    fn eq(&self, other: &Self) -> bool {
        // The same lock must not be read twice at once: a writer that waits in between would deadlock both.
        Arc::ptr_eq(&self.0, &other.0) || *self.0.borrow() == *other.0.borrow()
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&*self.0.borrow()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clones_and_subscribers_see_a_change() {
        let setting = Live::from(1);
        let (clone, mut receiver) = (setting.clone(), setting.subscribe());
        assert_eq!(*receiver.borrow_and_update(), 1);
        setting.set(2);
        receiver.changed().await.unwrap();
        assert_eq!((*receiver.borrow(), clone.get(), clone.read(|value| value + 1)), (2, 2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortened_duration_ends_a_wait_early() {
        let pause = Live::new(HumanDuration::from_secs(3_600));
        let began = Instant::now();
        let waiting = pause.clone();
        let waiting = tokio::spawn(async move { waiting.passed_since(began, Duration::ZERO).await });
        tokio::time::sleep(Duration::from_secs(10)).await;
        pause.set(HumanDuration::from_secs(20));
        waiting.await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(20));
    }
}
