//! Names to addresses, again and again, keeping the last good answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tidegate_config::Server;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use super::Upstream;
use crate::clock;

/// After how long a look-up is told of that has no answer yet. It goes on: a late answer is one, too,
/// and the system ends it by itself.
const LATE: Duration = Duration::from_secs(5);
/// Addresses that one name may stand for.
const MAX_ADDRESSES: usize = 64;

/// What is known of the names of one upstream, each at the place of its server in the configuration.
#[derive(Debug)]
pub(super) struct Names {
    each: Mutex<Vec<Name>>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    /// The last good answer.
    addresses: Vec<SocketAddr>,
    /// When that was, in seconds since the epoch; zero for never.
    answered_at: u64,
    problem: Option<String>,
}

/// What a look-up has come to.
#[derive(Debug)]
pub(super) struct Answer {
    addresses: Vec<SocketAddr>,
    problem: Option<String>,
}

impl Answer {
    fn problem(problem: String) -> Self {
        Answer {
            addresses: Vec::new(),
            problem: Some(problem),
        }
    }
}

impl Names {
    pub(super) fn new(count: usize) -> Self {
        Names {
            each: Mutex::new(vec![Name::default(); count]),
        }
    }

    fn each(&self) -> MutexGuard<'_, Vec<Name>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an answer in and publishes all addresses that are known now. What went wrong is told once,
    /// and once when it is over.
    fn take(&self, place: usize, answer: Answer, upstream: &Upstream) {
        let mut names = self.each();
        let servers = &upstream.config.servers;
        let (Some(name), Some(server)) = (names.get_mut(place), servers.get(place)) else {
            return;
        };
        if !answer.addresses.is_empty() {
            name.addresses = answer.addresses;
            name.answered_at = clock::unix_seconds();
        }
        match (&name.problem, &answer.problem) {
            (None, Some(problem)) => tracing::warn!(
                upstream = upstream.name(),
                "cannot resolve {server}: {problem}; its {} known addresses stay in use",
                name.addresses.len()
            ),
            (Some(_), None) => {
                tracing::info!(upstream = upstream.name(), "resolved {server} again");
            }
            _ => {}
        }
        name.problem = answer.problem;
        let all: BTreeSet<SocketAddr> = names
            .iter()
            .flat_map(|name| &name.addresses)
            .copied()
            .collect();
        upstream.spread_over(&all);
    }

    /// When every name last had an answer, in seconds since the epoch; zero for never.
    pub(super) fn resolved_at(&self) -> u64 {
        let names = self.each();
        names.iter().map(|name| name.answered_at).min().unwrap_or(0)
    }

    /// What is wrong with them, which stand for these servers.
    pub(super) fn problem(&self, servers: &[Server]) -> Option<String> {
        let names = self.each();
        let mut problems = servers
            .iter()
            .zip(names.iter())
            .filter_map(|(server, name)| {
                let problem = name.problem.as_ref()?;
                Some(format!("{server}: {problem}"))
            });
        let first = problems.next()?;
        match problems.count() {
            0 => Some(first),
            more => Some(format!("{first}; and {more} more")),
        }
    }
}

/// Looks one name up on its schedule for as long as the upstream is in service, and never twice at a
/// time. `first` is dropped when there is something to say.
pub(super) async fn keep_resolved(
    upstream: Weak<Upstream>,
    (place, server): (usize, Server),
    first: Sender<()>,
) {
    let mut first = Some(first);
    let mut tell = |answer| match Upstream::in_service(&upstream) {
        Some(upstream) => {
            upstream.names.take(place, answer, &upstream);
            first = None;
            Some(upstream.config.resolve_every)
        }
        None => None,
    };
    loop {
        let started = Instant::now();
        let mut lookup = pin!(resolve(&server));
        let answer = match timeout(LATE, &mut lookup).await {
            Ok(answer) => answer,
            Err(_) => {
                let late = format!("no answer within {} s", LATE.as_secs());
                tell(Answer::problem(late));
                let mut answer = lookup.await;
                // Still a problem, so that it is not told again each time.
                let taken = format!("it takes {} s", started.elapsed().as_secs());
                answer.problem.get_or_insert(taken);
                answer
            }
        };
        let Some(every) = tell(answer) else { return };
        sleep(every).await;
    }
}

async fn resolve(server: &Server) -> Answer {
    match lookup_host((server.host.as_str(), server.port)).await {
        Ok(addresses) => {
            // In order, so that of too many the same are used whichever come first.
            let all: BTreeSet<SocketAddr> = addresses.collect();
            let problem = match all.len() {
                0 => Some("the name has no addresses".to_owned()),
                1..=MAX_ADDRESSES => None,
                count => Some(format!(
                    "only {MAX_ADDRESSES} of its {count} addresses are used"
                )),
            };
            Answer {
                addresses: all.into_iter().take(MAX_ADDRESSES).collect(),
                problem,
            }
        }
        Err(error) => Answer::problem(error.to_string()),
    }
}
