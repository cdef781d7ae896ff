//! Clients that keep asking while the test does something else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Connection, Gate, eventually};

/// Clients that ask again and again, each on one connection, until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What clients got: how often each status; 0 is for a connection that ended instead of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<u16, u64>);

impl Tally {
    /// How many answers there were but those with this status.
    pub fn other_than(&self, status: u16) -> u64 {
        let others = self.0.iter().filter(|(other, _)| **other != status);
        others.map(|(_, count)| count).sum()
    }

    pub fn of(&self, status: u16) -> u64 {
        self.0.get(&status).copied().unwrap_or_default()
    }
}

/// Between two requests of one client, so that the machine is left for the others.
const PAUSE: Duration = Duration::from_millis(1);

impl Load {
    /// A client from each of these addresses.
    pub fn from(sources: &[&str], gate: &Gate) -> Load {
        let (stop, asked) = (Arc::default(), Arc::default());
        let start = |source: &&str| {
            let (source, address) = ((*source).to_owned(), gate.address);
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || keep_asking(&source, address, &stop, &asked))
        };
        Load {
            clients: sources.iter().map(start).collect(),
            stop,
            asked,
        }
    }

    /// Waits until this many more answers have come.
    pub fn wait_for(&self, more: u64) {
        let before = self.asked.load(SeqCst);
        eventually("the load to go on", || {
            self.asked.load(SeqCst) >= before + more
        });
    }

    /// Ends all clients between two requests.
    pub fn stop(self) -> Tally {
        self.stop.store(true, SeqCst);
        let mut all = Tally::default();
        for client in self.clients {
            for (status, count) in client.join().expect("a client does not panic").0 {
                *all.0.entry(status).or_default() += count;
            }
        }
        all
    }
}

fn keep_asking(source: &str, gate: SocketAddr, stop: &AtomicBool, asked: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    while !stop.load(SeqCst) {
        let status = ask(connection.take(), source, gate);
        let (status, kept) = status.unwrap_or((0, None));
        connection = kept;
        *tally.0.entry(status).or_default() += 1;
        asked.fetch_add(1, SeqCst);
        thread::sleep(PAUSE);
    }
    tally
}

fn ask(
    kept: Option<Connection>,
    source: &str,
    gate: SocketAddr,
) -> Option<(u16, Option<Connection>)> {
    let mut connection = match kept {
        Some(kept) => kept,
        None => Connection::try_open_from(source, gate).ok()?,
    };
    connection
        .try_send("GET /load HTTP/1.1\r\nHost: test\r\n\r\n")
        .ok()?;
    let response = connection.try_response()?;
    let kept = (!response.closes()).then_some(connection);
    Some((response.status, kept))
}
