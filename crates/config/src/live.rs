//! Settings that change while the process runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::HumanDuration;

/// A setting that a reload may change. Clones share it: whoever holds one sees the change. A setting of any other type
/// holds until the process ends.
pub struct Live<T>(Arc<watch::Sender<T>>);

impl<T> Live<T> {
    /// A setting with this value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(watch::Sender::new(value)))
    }

    /// Told of each change from now on; its first value is what holds now.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<T> {
        self.0.subscribe()
    }

    /// Reads the value without a clone. Keep it short: a change waits for it.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.borrow())
    }

    /// Changes it for all who share it. Reloads do this, and tests.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }
}

impl<T: Clone> Live<T> {
    /// What holds now.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }
}

impl Live<HumanDuration> {
    /// Waits until as much time has passed since then as the setting says, but at least so long. A change counts at
    /// once.
    pub async fn passed_since(&self, then: Instant, at_least: Duration) {
        let mut changes = self.subscribe();
        loop {
            let wait = changes.borrow_and_update().get().max(at_least);
            tokio::select! {
                () = tokio::time::sleep_until(then + wait) => return,
                // It never ends: `self` is the other end.
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
        // Not both borrowed at once if they are the same: a writer in between would lock them out.
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
    async fn a_clone_sees_the_change_and_a_subscriber_is_told() {
        let setting = Live::from(1);
        let (clone, mut told) = (setting.clone(), setting.subscribe());
        assert_eq!(*told.borrow_and_update(), 1);
        setting.set(2);
        told.changed().await.unwrap();
        assert_eq!((*told.borrow(), clone.get(), clone.read(|value| value + 1)), (2, 2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_shortened_ends_at_once() {
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
