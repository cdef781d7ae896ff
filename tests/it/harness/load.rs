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

/// So many requests a flood sends at a time.
const AT_ONCE: u64 = 16;

impl Load {
    /// A client from each of these addresses.
    pub fn from(sources: &[&str], gate: &Gate) -> Load {
        Load::asking(sources, gate, "GET /load HTTP/1.1\r\nHost: test\r\n\r\n")
    }

    /// A client from each of these addresses, each with a new connection for every request.
    pub fn reconnecting(sources: &[&str], gate: &Gate) -> Load {
        let request = "GET /load HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        Load::asking(sources, gate, request)
    }

    fn asking(sources: &[&str], gate: &Gate, request: &'static str) -> Load {
        let one = |source: &&str| Client {
            source: {
                let source = (*source).to_owned();
                Box::new(move |_| source.clone())
            },
            gate: gate.address,
            at_once: 1,
            request: Box::new(|_| request.to_owned()),
        };
        Load::of(sources.iter().map(one).collect())
    }

    /// One connection that sends many requests at a time: `request` makes the first, second ... one.
    pub fn flood(gate: &Gate, request: impl Fn(u64) -> String + Send + 'static) -> Load {
        Load::of(vec![Client {
            source: Box::new(|_| "127.0.0.1".to_owned()),
            gate: gate.address,
            at_once: AT_ONCE,
            request: Box::new(request),
        }])
    }

    /// So many clients at a time, each request on a new connection from the next of many addresses:
    /// `source` gives the first, second ... one.
    pub fn from_everywhere(
        gate: &Gate,
        path: &str,
        at_a_time: u64,
        source: impl Fn(u64) -> String + Clone + Send + 'static,
    ) -> Load {
        let one = |first: u64| {
            let (path, source) = (path.to_owned(), source.clone());
            Client {
                source: Box::new(move |sent| source(sent * at_a_time + first)),
                gate: gate.address,
                at_once: 1,
                request: Box::new(move |_| {
                    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                }),
            }
        };
        Load::of((0..at_a_time).map(one).collect())
    }

    fn of(clients: Vec<Client>) -> Load {
        let (stop, asked) = (Arc::default(), Arc::default());
        let start = |client: Client| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || client.keep_asking(&stop, &asked))
        };
        Load {
            clients: clients.into_iter().map(start).collect(),
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

/// One client of a load, and what it asks.
struct Client {
    /// The address of the first, second ... connection.
    source: Box<dyn Fn(u64) -> String + Send>,
    gate: SocketAddr,
    /// Requests in one write.
    at_once: u64,
    request: Box<dyn Fn(u64) -> String + Send>,
}

impl Client {
    fn keep_asking(&self, stop: &AtomicBool, asked: &AtomicU64) -> Tally {
        let mut tally = Tally::default();
        let (mut connection, mut sent) = (None, 0);
        while !stop.load(SeqCst) {
            connection = self.ask(connection.take(), sent, &mut tally);
            sent += self.at_once;
            asked.fetch_add(self.at_once, SeqCst);
            thread::sleep(PAUSE);
        }
        tally
    }

    /// Sends the next requests and counts their answers. Gives the connection if it is kept.
    fn ask(&self, kept: Option<Connection>, sent: u64, tally: &mut Tally) -> Option<Connection> {
        let mut count = |status| *tally.0.entry(status).or_default() += 1;
        let requests = sent..sent + self.at_once;
        let source = (self.source)(sent);
        let opened = kept.or_else(|| Connection::try_open_from(&source, self.gate).ok());
        let asked = opened.and_then(|mut connection| {
            let bytes: String = requests.clone().map(&self.request).collect();
            connection.try_send(bytes).ok().map(|()| connection)
        });
        let Some(mut connection) = asked else {
            count(0);
            return None;
        };
        let mut kept = true;
        for _ in requests {
            let Some(response) = connection.try_response() else {
                count(0);
                return None;
            };
            count(response.status);
            kept = !response.closes();
        }
        kept.then_some(connection)
    }
}
