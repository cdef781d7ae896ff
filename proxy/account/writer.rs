//! Where log lines go: through a budget into the queue of the thread that writes them.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidegate_config::{Log, LogFile, Rotate};

use super::counts::{Class, Counts};
use super::file::RotatingFile;
use super::summary::Summary;
use super::writing::{self, Queue, Sink, WritingGuard};

/// How long the disk may take until somebody is told that the file was opened anew.
const REOPEN: Duration = Duration::from_secs(2);

/// A log that never blocks and never exceeds its budget. Cheap to clone.
#[derive(Clone)]
pub struct LogWriter {
    queue: Queue,
    budget: Arc<DefaultDirectRateLimiter>,
    /// What became of its lines.
    pub counts: Arc<Counts>,
    file: Option<PathBuf>,
    rotate: Arc<ArcSwap<Rotate>>,
}

/// A log, and the guard that writes out what is queued when it is dropped.
pub type Opened = (LogWriter, WritingGuard);

impl LogWriter {
    /// Opens the log that the configuration names.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the thread cannot be had.
    pub fn open(config: &Log) -> io::Result<Opened> {
        let rotate = Arc::new(ArcSwap::from_pointee(config.rotate));
        let (sink, file) = match &config.file {
            LogFile::Stdout => (Sink::stream(io::stdout())?, None),
            LogFile::Path(path) => {
                let file = RotatingFile::open(path.clone(), rotate.clone())?;
                (Sink::File(file), Some(path.clone()))
            }
        };
        let counts = Arc::<Counts>::default();
        let summary = Summary::new(counts.clone());
        let (mut writer, guard) = Self::to("log", sink, config.budget, counts, Some(summary))?;
        writer.file = file;
        writer.rotate = rotate;
        Ok((writer, guard))
    }

    /// A log on standard error, for the gate's own messages.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub fn stderr(budget: u64) -> io::Result<Opened> {
        Self::to(
            "messages",
            Sink::stream(io::stderr())?,
            budget,
            Arc::default(),
            None,
        )
    }

    fn to(
        name: &str,
        sink: Sink,
        budget: u64,
        counts: Arc<Counts>,
        summary: Option<Summary>,
    ) -> io::Result<Opened> {
        let (queue, guard) = writing::start(name, sink, counts.clone(), summary)?;
        let bytes = u32::try_from(budget).unwrap_or(u32::MAX);
        let quota = Quota::per_second(NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN));
        let writer = LogWriter {
            queue,
            budget: Arc::new(RateLimiter::direct(quota)),
            counts,
            file: None,
            rotate: Arc::default(),
        };
        Ok((writer, guard))
    }

    /// Writes one line, or counts it as over the budget.
    pub fn line(&self, class: Class, line: Vec<u8>) {
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        let bytes = NonZeroU32::new(length).unwrap_or(NonZeroU32::MIN);
        // A line larger than a whole second's budget never passes, and is counted like the others.
        match self.budget.check_n(bytes) {
            Ok(Ok(())) => self.queue.line(class, line),
            _ => self.counts.over_budget(class, line.len()),
        }
    }

    /// Changes when a new file is begun.
    pub fn set_rotate(&self, rotate: Rotate) {
        self.rotate.store(Arc::new(rotate));
    }

    /// Why lines cannot be written.
    pub fn problem(&self) -> Option<String> {
        self.queue.problem()
    }

    /// The file it writes, if it writes one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Opens the file anew: what comes from now on is in whatever has its name. Blocks until the disk
    /// has taken what came before.
    ///
    /// # Errors
    /// When it cannot be opened, or the disk takes too long. It is tried again once a second.
    pub fn reopen(&self) -> Result<(), String> {
        self.queue.reopen(REOPEN)
    }
}

impl io::Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(Class::Forwarded, line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter")
            .field("queue", &self.queue)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
