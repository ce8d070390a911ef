//! The runtime that a service's `main` runs on, sized by the control group.

use flotilla_cgroup::Limits;
use tokio::runtime::{Builder, Runtime};

/// Overrides how many threads work on tasks.
const THREADS: &str = "FLOTILLA_WORKER_THREADS";
/// Threads for blocking work, such as the hash of a password or the resolution of a name, for each processor.
const BLOCKING_PER_CORE: usize = 16;

/// A runtime for a `main`: as many threads as `FLOTILLA_WORKER_THREADS` says, else one for each processor that the
/// control group allows, shared with `neighbours` other services.
///
/// With one thread nothing is handed from thread to thread: on half a processor that is all there is to gain.
///
/// # Errors
/// The operating system gives no thread.
pub fn runtime(neighbours: usize) -> std::io::Result<Runtime> {
    let cores = Limits::of_process().threads();
    let wanted = std::env::var(THREADS).ok().and_then(|value| value.parse().ok());
    let threads = threads(cores, neighbours, wanted);
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.max_blocking_threads(cores * BLOCKING_PER_CORE).enable_all().build()
}

fn threads(cores: usize, neighbours: usize, wanted: Option<usize>) -> usize {
    wanted.unwrap_or(cores / (neighbours + 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_the_processors_unless_somebody_says_otherwise() {
        assert_eq!([1, 2, 4].map(|cores| threads(cores, 0, None)), [1, 2, 4]);
        assert_eq!([1, 2, 4, 8].map(|cores| threads(cores, 3, None)), [1, 1, 1, 2]);
        assert_eq!(threads(2, 3, Some(4)), 4);
        assert_eq!(threads(2, 0, Some(0)), 1);
    }
}
