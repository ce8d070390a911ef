//! The runtime that a service's `main` runs on, sized by the control group.

use flotilla_cgroup::Limits;
use tokio::runtime::Builder;

/// The variable that overrides the number of worker threads.
const THREADS: &str = "FLOTILLA_WORKER_THREADS";
/// Its maximum.
const MOST: usize = 1_024;
/// Threads per processor for blocking work, such as hashing a password or resolving a name.
const BLOCKING_PER_CORE: usize = 16;

/// The runtime of a `main`.
#[derive(Debug)]
pub struct Runtime(tokio::runtime::Runtime);

impl Runtime {
    /// Runs a `main` to its end. Doesn't wait for threads that are still blocked: resolving a name whose server is down
    /// takes ten seconds, which is all the time that a process has to exit.
    pub fn block_on<F: Future>(self, main: F) -> F::Output {
        let done = self.0.block_on(main);
        self.0.shutdown_background();
        done
    }
}

/// A runtime for a `main`: as many threads as `FLOTILLA_WORKER_THREADS` says, else one for each processor that the
/// control group allows, shared with `neighbours` other services.
///
/// One thread saves moving tasks between threads, which matters on half a processor.
///
/// # Errors
/// `FLOTILLA_WORKER_THREADS` isn't a number of threads, or no thread can be started.
pub fn runtime(neighbours: usize) -> std::io::Result<Runtime> {
    let cores = Limits::of_process().threads();
    let threads = threads(cores, neighbours, wanted(std::env::var(THREADS).ok().as_deref())?);
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    Ok(Runtime(builder.max_blocking_threads(cores * BLOCKING_PER_CORE).enable_all().build()?))
}

/// Reads the variable; an empty one counts as unset.
fn wanted(value: Option<&str>) -> std::io::Result<Option<usize>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let threads = value.parse().ok().filter(|threads| (1..=MOST).contains(threads));
    let refusal = || std::io::Error::other(format!("{THREADS}={value}: expected a whole number from 1 to {MOST}"));
    threads.map(Some).ok_or_else(refusal)
}

fn threads(cores: usize, neighbours: usize, wanted: Option<usize>) -> usize {
    wanted.unwrap_or(cores / (neighbours + 1)).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_thread_that_blocks_is_not_waited_for() {
        let (release, held) = mpsc::channel::<()>();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            runtime(0).unwrap().block_on(async {
                let (started, start) = tokio::sync::oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    started.send(()).unwrap();
                    held.recv()
                });
                start.await.unwrap();
            });
            ended.send(())
        });
        let ended = end.recv_timeout(Duration::from_secs(10));
        drop(release);
        assert!(ended.is_ok(), "the end of main waits for the thread");
    }

    #[test]
    fn the_variable_is_a_number_of_threads_or_refused() {
        assert_eq!(
            (wanted(None).unwrap(), wanted(Some("")).unwrap(), wanted(Some("3")).unwrap()),
            (None, None, Some(3))
        );
        for wrong in ["abc", "0", "-1", "1.5", "4096"] {
            assert!(wanted(Some(wrong)).unwrap_err().to_string().contains("from 1 to 1024"), "{wrong}");
        }
    }

    #[test]
    fn threads_follow_the_processors_unless_overridden() {
        assert_eq!([1, 2, 4].map(|cores| threads(cores, 0, None)), [1, 2, 4]);
        assert_eq!([1, 2, 4, 8].map(|cores| threads(cores, 3, None)), [1, 1, 1, 2]);
        assert_eq!(threads(2, 3, Some(4)), 4);
        assert_eq!(threads(2, 0, Some(0)), 1);
    }
}
