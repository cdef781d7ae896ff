//! A flood from many addresses, an open loop: requests are due at a steady rate, of one address after the
//! other. An address keeps its connection for as long as the proxy does, and has one request at a time:
//! one that is due meanwhile is counted as held back.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Answer, Connection};
use crate::options::Options;

const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

enum Source {
    Idle(Option<Connection>),
    Busy,
}

#[derive(Default)]
struct Sent {
    due: u64,
    held_back: u64,
    served: u64,
    refused: u64,
    closed: u64,
}

struct Flood {
    to: SocketAddrV4,
    sources: Vec<(Ipv4Addr, RefCell<Source>)>,
    sent: RefCell<Sent>,
}

pub async fn run(options: &Options) -> Result<()> {
    let idle = |from| (from, RefCell::new(Source::Idle(None)));
    let sources = options.sources()?.into_iter().map(idle).collect();
    let flood = Rc::new(Flood {
        to: options.to()?,
        sources,
        sent: RefCell::default(),
    });
    let (rate, seconds): (f64, _) = (options.get("rate")?, options.seconds()?);
    LocalSet::new()
        .run_until(Rc::clone(&flood).go_on(rate, seconds))
        .await;
    let sent = flood.sent.borrow();
    println!(
        r#"{{"due":{},"held_back":{},"served":{},"refused":{},"closed":{}}}"#,
        sent.due, sent.held_back, sent.served, sent.refused, sent.closed
    );
    Ok(())
}

impl Flood {
    async fn go_on(self: Rc<Self>, rate: f64, seconds: Duration) {
        let start = Instant::now();
        while start.elapsed() < seconds {
            // The timer's own grain: what is due within it begins together.
            sleep(Duration::from_millis(1)).await;
            let due = (start.elapsed().as_secs_f64() * rate) as u64;
            while self.sent.borrow().due < due {
                self.begin();
            }
        }
    }

    fn begin(self: &Rc<Self>) {
        let mut sent = self.sent.borrow_mut();
        let place = sent.due as usize % self.sources.len();
        sent.due += 1;
        match self.sources[place].1.replace(Source::Busy) {
            Source::Idle(kept) => drop(tokio::task::spawn_local(Rc::clone(self).ask(place, kept))),
            Source::Busy => sent.held_back += 1,
        }
    }

    async fn ask(self: Rc<Self>, place: usize, kept: Option<Connection>) {
        let (from, source) = &self.sources[place];
        let asked = async {
            match kept {
                Some(connection) => connection.ask(REQUEST).await,
                None => match Connection::open(*from, self.to).await {
                    Ok(connection) => connection.ask(REQUEST).await,
                    Err(_) => (Answer::Closed, None),
                },
            }
        };
        let (answer, kept) = timeout(PATIENCE, asked)
            .await
            .unwrap_or((Answer::Closed, None));
        source.replace(Source::Idle(kept));
        let mut sent = self.sent.borrow_mut();
        match answer {
            Answer::Status(200) => sent.served += 1,
            Answer::Status(_) => sent.refused += 1,
            Answer::Closed => sent.closed += 1,
        }
    }
}
