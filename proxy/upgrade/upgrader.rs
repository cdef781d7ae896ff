//! This process as the one that goes.

use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tidegate_limit::Table;

use super::channel::Channel;
use super::{
    Answer, Counters, Hello, Inheritance, Offer, Origin, PROTOCOL, Process, Step, Taken, Upgraded,
    Yours, credentials,
};
use crate::admin::Socket;
use crate::clock;
use crate::gate::Gate;
use crate::learn::Keeper;
use crate::processes::{LOOK, end, ended_by};
use crate::{notify, state};

/// The socket's name in the state directory.
const SOCKET: &str = "upgrade.sock";
/// How long a program may take to say which one it is.
const NAMING: Duration = Duration::from_secs(5);
/// How long a process may take to end whose connection has.
const ENDING: Duration = Duration::from_millis(200);
/// Strangers at the socket that are named in the log.
const NAMED: usize = 5;
/// How long it may take to write down who was learned last.
const STORE_SAVED: Duration = Duration::from_secs(2);
/// Why nothing is begun any more.
const LEAVING: &str = "this gate is on its way out";

/// Why there was no upgrade. The gate goes on as if nobody had asked.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It cannot be done here and now.
    #[error("{0}")]
    Impossible(String),
    /// The new process did not come to serve.
    #[error("the new process did not take over, and this one goes on serving: {0}")]
    Failed(String),
}

/// What it takes to be replaced by another process.
#[derive(Debug)]
pub struct Upgrader {
    gate: Arc<Gate>,
    learned: Arc<Keeper>,
    origin: Origin,
    directory: PathBuf,
    /// Copies of the listening sockets; none once this process is on its way out.
    sockets: Mutex<Option<Arc<Inheritance>>>,
    /// The process that was started, to say its version or to take over, and does not serve yet.
    coming: Mutex<Option<Child>>,
    /// The connection to the one that serves: it tells by its end when this process is gone.
    successor: Mutex<Option<Channel>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upgrader {
    /// To hand over what this gate has, by a socket in this directory.
    pub fn new(
        gate: Arc<Gate>,
        learned: Arc<Keeper>,
        origin: Origin,
        directory: PathBuf,
        sockets: Inheritance,
    ) -> Self {
        Upgrader {
            gate,
            learned,
            origin,
            directory,
            sockets: Mutex::new(Some(Arc::new(sockets))),
            coming: Mutex::default(),
            successor: Mutex::default(),
        }
    }

    /// Starts the program at this process's path and hands over to it. Blocks until it serves or has
    /// failed to, at most for `within`. Says whether the admin socket is the new one's, too.
    ///
    /// One at a time, and without changes by operators meanwhile: the caller sees to both.
    ///
    /// # Errors
    /// See [`UpgradeError`].
    pub fn upgrade(&self, within: Duration) -> Result<(Upgraded, bool), UpgradeError> {
        let deadline = Instant::now() + within;
        let (sockets, version, meeting) = self
            .prepare()
            .map_err(|error| UpgradeError::Impossible(format!("{error:#}")))?;
        let program = self.origin.program().display();
        tracing::info!("upgrade: starting {program} {version}");
        let mut channel = None;
        let handed = self.introduce(&meeting, deadline).and_then(|(pid, met)| {
            let taken = self.hand_over(&sockets, channel.insert(met));
            taken.map(|taken| (pid, taken))
        });
        match handed {
            Ok((pid, taken)) => {
                *lock(&self.successor) = channel;
                Ok(self.superseded(Process { pid, version }, taken))
            }
            // The channel is open until the other process is dead: it would take the end of it for the
            // end of this one.
            Err(error) => {
                let problem = self.give_up(&error, deadline);
                tracing::error!("upgrade: failed, this process goes on serving: {problem}");
                Err(UpgradeError::Failed(problem))
            }
        }
    }

    fn prepare(&self) -> anyhow::Result<(Arc<Inheritance>, String, Socket)> {
        if std::process::id() == 1 {
            bail!(
                "this gate is process 1, with which its container ends: start a new container instead"
            );
        }
        let sockets = lock(&self.sockets).clone().context(LEAVING)?;
        let version = self.version()?;
        let meeting = Socket::bind(&self.directory.join(SOCKET), "the upgrade socket")?;
        Ok((sockets, version, meeting))
    }

    fn version(&self) -> anyhow::Result<String> {
        self.bring(|| self.origin.ask())?;
        ended_by(Instant::now() + NAMING, || self.has_ended());
        let named = lock(&self.coming).take().context(LEAVING)?;
        self.origin.version(named)
    }

    /// Starts a process that [`Upgrader::abandon`] ends, and gives its number.
    fn bring(&self, start: impl FnOnce() -> anyhow::Result<Child>) -> anyhow::Result<u32> {
        // Held to the end, so that nothing is started behind the back of `abandon`.
        let mut coming = lock(&self.coming);
        if lock(&self.sockets).is_none() {
            bail!(LEAVING);
        }
        Ok(coming.insert(start()?).id())
    }

    /// Starts the new process and waits for it to connect.
    fn introduce(&self, meeting: &Socket, deadline: Instant) -> anyhow::Result<(u32, Channel)> {
        let pid = self.bring(|| self.origin.start(meeting.path()))?;
        let listener = meeting.accepting()?;
        let mut strangers = 0;
        loop {
            match listener.accept() {
                Ok((stream, _)) => match is_process(&stream, pid) {
                    Ok(()) => return Ok((pid, Channel::new(stream, deadline))),
                    Err(error) => {
                        strangers += 1;
                        if strangers <= NAMED {
                            tracing::warn!("upgrade: a stranger at the socket: {error:#}");
                        }
                    }
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOOK),
                Err(error) => return Err(error).context("the upgrade socket"),
            }
            if Instant::now() >= deadline {
                bail!("process {pid} did not connect in time");
            }
            if self.has_ended() {
                bail!("process {pid} ended before it connected");
            }
        }
    }

    fn has_ended(&self) -> bool {
        let mut coming = lock(&self.coming);
        // None when it was killed by a signal to this process.
        let ended = coming.as_mut().map(Child::try_wait);
        !matches!(ended, Some(Ok(None)))
    }

    fn hand_over(&self, sockets: &Inheritance, channel: &mut Channel) -> anyhow::Result<Taken> {
        let hello: Hello = channel.receive()?;
        if hello.protocol != PROTOCOL {
            let why = format!(
                "version {} hands over in another way than this one: stop the gate and start it again",
                hello.version
            );
            channel.send(&Answer::Refused(why.clone()))?;
            bail!("{why}");
        }
        tracing::info!("upgrade: version {} is there", hello.version);
        channel.send(&Answer::Offer(Box::new(self.offer(sockets))))?;
        channel.send_descriptors(&sockets.descriptors())?;
        match step(channel)? {
            Step::Built { counters: true } => {
                send_counters(&self.gate.limits.table, channel).context("the counters")?;
            }
            Step::Built { counters: false } => {}
            other => bail!("it says {other:?} where it should have been built"),
        }
        let Step::Ready(taken) = step(channel)? else {
            bail!("it does not say that it is ready");
        };
        // What was learned in the last second.
        self.learned.save_within(STORE_SAVED);
        state::leave();
        channel.send(&Yours)?;
        match step(channel)? {
            // From here on it does not end with this one.
            Step::Serving => lock(&self.coming).take().map(|_| taken).context(LEAVING),
            other => bail!("it says {other:?} where it should serve"),
        }
    }

    fn offer(&self, sockets: &Inheritance) -> Offer {
        let limits = &self.gate.limits;
        Offer {
            from: Process::this(),
            sockets: sockets.announced(),
            counters: Counters {
                format: Table::IMAGE_FORMAT,
                parts: limits.table.image_parts(),
                secret: limits.hasher.secret(),
                start: clock::start(),
            },
        }
    }

    /// The new process serves: this one is on its way out.
    fn superseded(&self, new: Process, taken: Taken) -> (Upgraded, bool) {
        lock(&self.sockets).take();
        notify::main_process(new.pid);
        tracing::info!(
            "upgrade: process {} ({}) serves, this one finishes its requests",
            new.pid,
            new.version
        );
        let upgraded = Upgraded {
            old: Process::this(),
            new,
            drain_seconds: self.gate.policy.load().deadlines.drain.as_secs(),
            handed_over: taken.handed_over,
            not_handed_over: taken.not_handed_over,
        };
        (upgraded, taken.admin)
    }

    /// Ends the process that does not come to serve, and says why it does not.
    fn give_up(&self, error: &anyhow::Error, deadline: Instant) -> String {
        let mut problem = match is_hung_up(error) {
            true => "it closed the connection".to_owned(),
            false => format!("{error:#}"),
        };
        if let Some(mut child) = lock(&self.coming).take() {
            // Its connection ends a moment before it does.
            let moment = Instant::now()
                + if is_hung_up(error) {
                    ENDING
                } else {
                    Duration::ZERO
                };
            ended_by(moment, || !matches!(child.try_wait(), Ok(None)));
            let ended = child.try_wait();
            end(&mut child);
            match ended {
                Ok(Some(status)) => {
                    problem.push_str(&format!(
                        " ({status}; what it said is among this gate's messages)"
                    ));
                }
                _ if Instant::now() >= deadline => {
                    problem.push_str(": it was not ready in time, and was killed");
                }
                _ => {}
            }
        }
        state::take();
        problem
    }

    /// Lets go of the sockets, and of an upgrade that is under way: this gate is told to end.
    pub fn abandon(&self) {
        lock(&self.sockets).take();
        if let Some(mut child) = lock(&self.coming).take() {
            end(&mut child);
        }
    }
}

/// Whether the other end of a connection is gone.
fn is_hung_up(error: &anyhow::Error) -> bool {
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
    )
}

/// The next step, unless it is the last.
fn step(channel: &mut Channel) -> anyhow::Result<Step> {
    match channel.receive()? {
        Step::Failed(why) => Err(anyhow!(why)),
        step => Ok(step),
    }
}

fn is_process(stream: &UnixStream, pid: u32) -> anyhow::Result<()> {
    let peer = credentials(stream)?;
    match u32::try_from(peer.pid()) {
        Ok(peer) if peer == pid => Ok(()),
        _ => bail!("process {} is not {pid}, which was started", peer.pid()),
    }
}

fn send_counters(table: &Table, channel: &mut Channel) -> std::io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, channel);
    for word in table.image().flatten() {
        to.write_all(&word.to_ne_bytes())?;
    }
    to.flush()
}
