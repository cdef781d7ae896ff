//! The process that this one takes over from.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tidegate_limit::{ImagePart, KeyHasher, Table};

use super::channel::Channel;
use super::inheritance::Inheritance;
use super::{Answer, Counters, Hello, PROTOCOL, Process, Step, Taken, VERSION, Yours, credentials};
use crate::clock;
use crate::state;

/// How long the other process may take for all of its part. It has a shorter deadline for ours.
const PATIENCE: Duration = Duration::from_secs(120);

/// The process that this one takes over from, for as long as the hand-over takes.
pub struct Predecessor {
    channel: Channel,
    socket: PathBuf,
    /// Who it is.
    pub process: Process,
    /// Its listening sockets, as far as they were not taken.
    pub sockets: Inheritance,
    counters: Counters,
    same_clock: bool,
    taken: Taken,
}

impl Predecessor {
    /// Asks the process behind this socket for what it has. From here on, until
    /// [`Predecessor::take_state`], this process writes no state files.
    ///
    /// # Errors
    /// When nobody is there, or it is too different.
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        state::leave();
        let stream = UnixStream::connect(socket).with_context(|| {
            format!(
                "{}: no gate hands over there; this is for `tidegate upgrade` alone",
                socket.display()
            )
        })?;
        credentials(&stream)?;
        let mut channel = Channel::new(stream, Instant::now() + PATIENCE);
        channel.send(&Hello {
            protocol: PROTOCOL,
            version: VERSION.to_owned(),
        })?;
        let offer = match channel.receive().context("what the gate hands over")? {
            Answer::Offer(offer) => offer,
            Answer::Refused(why) => bail!("{why}"),
        };
        let descriptors = channel.receive_descriptors(offer.sockets.count())?;
        tracing::info!(
            "taking over from process {} ({})",
            offer.from.pid,
            offer.from.version
        );
        Ok(Predecessor {
            channel,
            socket: socket.to_owned(),
            process: offer.from,
            sockets: Inheritance::received(offer.sockets, descriptors)?,
            same_clock: clock::start_at(offer.counters.start),
            counters: offer.counters,
            taken: Taken::default(),
        })
    }

    /// Makes keys as the other process does.
    pub fn hasher(&self) -> KeyHasher {
        let (first, second) = self.counters.secret;
        KeyHasher::from_secret(first, second)
    }

    /// What operators set is in the state directory: both have to have the same one.
    ///
    /// # Errors
    /// When they have not.
    pub fn check_state_directory(&self, directory: &Path) -> anyhow::Result<()> {
        let theirs = self
            .socket
            .parent()
            .and_then(|path| path.canonicalize().ok());
        match directory.canonicalize().ok() == theirs {
            true => Ok(()),
            false => bail!(
                "state.directory is another one now ({}), so the mode and all else that operators set would be lost: put the old value back, or stop the gate and start it again",
                directory.display()
            ),
        }
    }

    /// Notes what this process goes on with.
    pub fn handed_over(&mut self, what: String) {
        self.taken.handed_over.push(what);
    }

    /// Notes what begins anew.
    pub fn not_handed_over(&mut self, what: String) {
        self.taken.not_handed_over.push(what);
    }

    /// Notes that the admin socket is this process's, file and all.
    pub fn took_admin(&mut self) {
        self.taken.admin = true;
    }

    /// Goes on with the limiter's entries, if they mean the same here. Everything else has to be built
    /// by now: what the other process counts after this is its own.
    ///
    /// # Errors
    /// When the other process fails in the middle.
    pub fn take_counters(&mut self, table: &Table) -> anyhow::Result<()> {
        let theirs = &self.counters;
        let why_not = if theirs.format != Table::IMAGE_FORMAT {
            Some("the versions keep it in different ways")
        } else if theirs.parts != table.image_parts() {
            Some("client.max_tracked is another one")
        } else if !self.same_clock {
            Some("the clocks differ")
        } else {
            None
        };
        let counters = why_not.is_none();
        self.channel.send(&Step::Built { counters })?;
        match why_not {
            Some(why) => self.not_handed_over(format!("what clients have used: {why}")),
            None => {
                let live = self
                    .read_counters(table)
                    .context("the limiter's counters")?;
                self.handed_over(format!("what clients have used: {live} buckets in use"));
            }
        }
        self.not_handed_over("open connections and requests in flight: the old process keeps its own to their end, and both count for themselves until then".to_owned());
        self.not_handed_over("metrics: counters start at zero".to_owned());
        Ok(())
    }

    fn read_counters(&mut self, table: &Table) -> io::Result<usize> {
        let mut problem = None;
        let mut from = io::BufReader::with_capacity(1 << 16, &mut self.channel);
        let parts = (0..table.image_parts()).map_while(|_| match read_part(&mut from) {
            Ok(part) => Some(part),
            Err(error) => {
                problem = Some(error);
                None
            }
        });
        let live = table.restore(parts, clock::now());
        problem.map_or(Ok(live), Err)
    }

    /// Tells the other process that this one accepts connections, and waits for it to leave the state
    /// files alone.
    ///
    /// # Errors
    /// When it does not want to any more.
    pub fn take_state(&mut self) -> anyhow::Result<Earlier> {
        self.close_rest();
        let ready = Step::Ready(self.taken.clone());
        let yours = self.channel.send(&ready);
        let yours = yours.and_then(|()| self.channel.receive::<Yours>());
        match yours.map_err(|error| error.kind()) {
            Ok(Yours) => {}
            // It kills this process before it gives up on it, so it is gone itself: who else serves?
            Err(ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                tracing::warn!("process {} died during the upgrade", self.process.pid);
            }
            Err(error) => bail!("process {} is silent: {error}", self.process.pid),
        }
        state::take();
        Ok(Earlier {
            process: self.process.clone(),
            stream: self.channel.stream()?,
        })
    }

    /// What the configuration does not ask for any more.
    fn close_rest(&mut self) {
        let listeners = std::mem::take(&mut self.sockets.listeners).into_iter();
        let metrics = self.sockets.metrics.take();
        let admin = self.sockets.admin_tcp.take();
        let rest: Vec<_> = listeners
            .map(|(address, _)| format!("listener.address {address}"))
            .chain(metrics.map(|(address, _)| format!("metrics.address {address}")))
            .chain(admin.map(|(address, _)| format!("admin.address {address}")))
            .collect();
        for closed in rest {
            self.not_handed_over(format!(
                "{closed}: closed, as it is not configured any more"
            ));
        }
        self.sockets.admin.listener = None;
    }

    /// Tells the other process that it can go.
    pub fn serving(&mut self) {
        if self.channel.send(&Step::Serving).is_err() {
            tracing::warn!("process {} is gone already", self.process.pid);
        }
        tracing::info!("took over from process {}", self.process.pid);
    }

    /// Tells the other process why this one does not come to serve.
    pub fn failed(&mut self, error: &anyhow::Error) {
        // If it cannot be told, it finds out by the end of this process.
        let _ = self.channel.send(&Step::Failed(format!("{error:#}")));
    }
}

fn read_part(from: &mut impl Read) -> io::Result<ImagePart> {
    let mut part: ImagePart = Default::default();
    for word in &mut part {
        let mut bytes = [0; size_of::<u64>()];
        from.read_exact(&mut bytes)?;
        *word = u64::from_ne_bytes(bytes);
    }
    Ok(part)
}

/// The process that this one took over from, while it finishes its requests.
#[derive(Debug)]
pub struct Earlier {
    process: Process,
    /// It ends with that process.
    stream: UnixStream,
}

impl Earlier {
    /// Who it is, if it is still there.
    pub fn draining(&self) -> Option<&Process> {
        let waits = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
        let there = self.stream.set_nonblocking(true).is_ok()
            && (&self.stream).read(&mut [0]).is_err_and(waits);
        there.then_some(&self.process)
    }
}
