//! Whether the threads that carry the traffic still move: what the service manager's watchdog is told
//! by. A timer of its own would go on ticking over threads that hang.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

/// How long the task waits that is sent through: long enough to need the runtime's clock.
const WAIT: Duration = Duration::from_millis(1);

/// Looks at a runtime's threads.
#[derive(Debug)]
pub struct Pulse {
    runtime: Handle,
    seen: Vec<Trace>,
}

/// What a thread leaves behind when it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trace {
    /// How often it has gone to sleep and woken: odd while it sleeps.
    parked: u64,
    /// How long it has worked. A thread with no time to sleep adds to it every few dozen tasks.
    busy: Duration,
}

impl Trace {
    fn sleeps(self) -> bool {
        !self.parked.is_multiple_of(2)
    }
}

impl Pulse {
    /// Of the threads of this runtime.
    pub fn of(runtime: Handle) -> Self {
        let seen = traces(&runtime);
        Pulse { runtime, seen }
    }

    /// Waits for a task to go through the runtime, with its clock, for at most `within`; and looks at
    /// each thread, because one that hangs leaves its tasks to the others. So it should be asked no more
    /// often than a task may take.
    ///
    /// # Errors
    /// What does not move.
    pub async fn feel(&mut self, within: Duration) -> Result<(), String> {
        let task = self.runtime.spawn(sleep(WAIT));
        let through = timeout(within, task).await;
        let now = traces(&self.runtime);
        let pairs = self.seen.iter().zip(&now);
        let hung = pairs
            .filter(|(before, now)| before == now && !now.sleeps())
            .count();
        let threads = now.len();
        self.seen = now;
        match (hung, through) {
            (0, Ok(Ok(()))) => Ok(()),
            (0, _) => Err(format!(
                "nothing has gone through the threads of the traffic for {within:?}"
            )),
            _ => Err(format!("{hung} of {threads} threads of the traffic hang")),
        }
    }
}

fn traces(runtime: &Handle) -> Vec<Trace> {
    let metrics = runtime.metrics();
    let of = |worker| Trace {
        parked: metrics.worker_park_unpark_count(worker),
        busy: metrics.worker_total_busy_duration(worker),
    };
    (0..metrics.num_workers()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::{Arc, mpsc};

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const ENOUGH: Duration = Duration::from_secs(20);

    fn traffic(threads: usize) -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap()
    }

    /// Feels until it is this answer: a thread needs a moment to begin and to end what it does.
    async fn until(pulse: &mut Pulse, well: bool) -> Result<(), String> {
        let feeling = async {
            loop {
                let felt = pulse.feel(Duration::from_millis(50)).await;
                if felt.is_ok() == well {
                    return felt;
                }
            }
        };
        timeout(ENOUGH, feeling).await.expect("the pulse changes")
    }

    /// A task that holds its thread until the sender is gone.
    fn hang(runtime: &Runtime) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        runtime.spawn(async move {
            begun.send(()).unwrap();
            let _ = held.recv();
        });
        begins.recv().unwrap();
        release
    }

    #[tokio::test]
    async fn one_thread_that_hangs_is_seen_though_the_others_go_on() {
        let runtime = traffic(3);
        let mut pulse = Pulse::of(runtime.handle().clone());
        until(&mut pulse, true).await.unwrap();
        let release = hang(&runtime);
        let said = until(&mut pulse, false).await.unwrap_err();
        assert_eq!(said, "1 of 3 threads of the traffic hang");
        // And stays seen.
        pulse.feel(Duration::from_millis(50)).await.unwrap_err();
        drop(release);
        until(&mut pulse, true).await.unwrap();
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn a_thread_that_never_sleeps_is_well() {
        let runtime = traffic(1);
        let turns = Arc::new(AtomicU64::new(0));
        let counted = turns.clone();
        runtime.spawn(async move {
            loop {
                counted.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut pulse = Pulse::of(runtime.handle().clone());
        for _ in 0..10 {
            // A thread notes what it has worked every 61 turns.
            let before = turns.load(Relaxed);
            while turns.load(Relaxed) < before + 200 {
                tokio::task::yield_now().await;
            }
            pulse.feel(ENOUGH).await.unwrap();
        }
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn a_runtime_that_is_gone_has_none() {
        let runtime = traffic(1);
        let mut pulse = Pulse::of(runtime.handle().clone());
        runtime.shutdown_background();
        pulse.feel(Duration::from_millis(50)).await.unwrap_err();
    }
}
