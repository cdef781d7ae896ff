//! Where lines of the access log go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidegate_config::{Log, LogFile, Rotate};

use super::allowance::Allowance;
use super::counts::{Class, Counts};
use super::file::RotatingFile;
use super::queue::{self, Queue, Sink, WritingGuard};
use super::summary::Summary;

/// How long the disk may take until somebody is told that the file was opened anew.
const REOPEN: Duration = Duration::from_secs(2);

/// A log that never blocks and never exceeds its share of the budget. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogWriter {
    queue: Queue,
    allowance: Arc<Allowance>,
    file: Option<PathBuf>,
    rotate: Arc<ArcSwap<Rotate>>,
}

/// A log, and the guard that writes out what is queued when it is dropped.
pub type Opened = (LogWriter, WritingGuard);

impl LogWriter {
    /// Opens the log that the configuration names, and puts its budget in force.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the thread cannot be had.
    pub fn open(config: &Log, allowance: Arc<Allowance>) -> io::Result<Opened> {
        let rotate = Arc::new(ArcSwap::from_pointee(config.rotate));
        let (sink, file) = match &config.file {
            LogFile::Stdout => (Sink::stream(io::stdout())?, None),
            LogFile::Path(path) => {
                let file = RotatingFile::open(path.clone(), rotate.clone())?;
                (Sink::File(file), Some(path.clone()))
            }
        };
        allowance.set(config.budget);
        let summary = Summary::new(allowance.clone());
        let (queue, guard) = queue::start("log", sink, allowance.clone(), Some(summary))?;
        let writer = LogWriter {
            queue,
            allowance,
            file,
            rotate,
        };
        Ok((writer, guard))
    }

    /// Writes one line, if the budget and the disk let it.
    pub(super) fn line(&self, class: Class, line: Vec<u8>) {
        self.queue.line(class, line);
    }

    /// What became of lines, and of messages.
    pub fn counts(&self) -> &Counts {
        &self.allowance.counts
    }

    /// Goes on as the configuration says, but for where.
    pub(super) fn configure(&self, log: &Log) {
        self.rotate.store(Arc::new(log.rotate));
        self.allowance.set(log.budget);
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
