//! Where log lines go: through a budget and a bounded queue to a thread that writes them, so that
//! neither a flood nor a slow disk can hold a request up.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidegate_config::{Log, LogFile};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait for the disk; more are lost and counted.
const QUEUE: usize = 8192;

/// What became of log lines. Those that found the queue full are counted by the queue itself.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Lines within the budget.
    written: AtomicU64,
    /// Bytes of them.
    pub written_bytes: AtomicU64,
    /// Lines that the sample left out.
    pub sampled_out: AtomicU64,
    /// Lines over the budget.
    pub over_budget: AtomicU64,
    /// Bytes of them.
    pub over_budget_bytes: AtomicU64,
    /// Lines that the disk did not take.
    failed: AtomicU64,
}

/// What the lines end in. A disk that does not take one is counted and told of, once, and the next
/// line is tried like any other: the log goes on by itself when the disk does.
struct Target<W> {
    to: W,
    counters: Arc<LogCounters>,
    failing: bool,
}

impl<W: Write> Write for Target<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.to.write_all(line).and_then(|()| self.to.flush());
        match &written {
            Ok(()) if self.failing => tracing::info!("the log can be written again"),
            Err(error) if !self.failing => {
                tracing::error!("the log cannot be written: {error}; its lines are lost");
            }
            _ => {}
        }
        self.failing = written.is_err();
        self.counters
            .failed
            .fetch_add(u64::from(self.failing), Relaxed);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log that never blocks and never exceeds its budget. Cheap to clone.
#[derive(Clone)]
pub struct LogWriter {
    queue: NonBlocking,
    budget: Arc<DefaultDirectRateLimiter>,
    /// What became of its lines.
    pub counters: Arc<LogCounters>,
    lost: ErrorCounter,
}

/// A log, and the guard that writes out what is queued when it is dropped.
pub type Opened = (LogWriter, WorkerGuard);

impl LogWriter {
    /// Opens the log that the configuration names.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(config: &Log) -> io::Result<Opened> {
        match &config.file {
            LogFile::Stdout => Ok(Self::to(io::stdout(), config.budget)),
            LogFile::Path(path) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o640)
                    .open(path)?;
                Ok(Self::to(file, config.budget))
            }
        }
    }

    /// A log on standard error, for the gate's own messages.
    pub fn stderr(budget: u64) -> Opened {
        Self::to(io::stderr(), budget)
    }

    fn to(target: impl Write + Send + 'static, budget: u64) -> Opened {
        let counters = Arc::<LogCounters>::default();
        let target = Target {
            to: target,
            counters: counters.clone(),
            failing: false,
        };
        let (queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE)
            .lossy(true)
            .finish(target);
        let bytes = u32::try_from(budget).unwrap_or(u32::MAX);
        let quota = Quota::per_second(NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN));
        let writer = LogWriter {
            lost: queue.error_counter(),
            queue,
            budget: Arc::new(RateLimiter::direct(quota)),
            counters,
        };
        (writer, guard)
    }

    /// Lines that were written, or are on their way.
    pub fn written(&self) -> u64 {
        let taken = self.counters.written.load(Relaxed);
        taken.saturating_sub(self.lost())
    }

    /// Lines that found the queue full, or that the disk did not take.
    pub fn lost(&self) -> u64 {
        self.lost.dropped_lines() as u64 + self.counters.failed.load(Relaxed)
    }

    /// Writes one line, or counts it as over the budget.
    pub fn line(&mut self, line: &[u8]) {
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        let bytes = NonZeroU32::new(length).unwrap_or(NonZeroU32::MIN);
        // A line larger than a whole second's budget never passes, and is counted like the others.
        let within = matches!(self.budget.check_n(bytes), Ok(Ok(())));
        if within {
            self.counters.written.fetch_add(1, Relaxed);
            self.counters
                .written_bytes
                .fetch_add(u64::from(length), Relaxed);
            // The queue takes it or counts it as lost; it has no other error.
            let _ = self.queue.write(line);
        } else {
            self.counters.over_budget.fetch_add(1, Relaxed);
            self.counters
                .over_budget_bytes
                .fetch_add(u64::from(length), Relaxed);
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
