//! Names to addresses, again and again, keeping the last good answer.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_error::{Error, ErrorType, Result};
use pingora_load_balancing::Backend;
use pingora_load_balancing::discovery::ServiceDiscovery;
use tidegate_config::Server;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::clock;

/// How long one look-up may take before the last good answer is used.
const LOOKUP: Duration = Duration::from_secs(5);
/// Addresses that one name may stand for.
const MAX_ADDRESSES: usize = 64;

/// What is known of the names of one upstream.
#[derive(Debug, Default)]
pub(super) struct Names {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last good answer for each server, by its place in the configuration.
    answers: HashMap<usize, Vec<SocketAddr>>,
    resolved_at: u64,
    problem: Option<String>,
}

impl Names {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When every name last had an answer, in seconds since the epoch; zero for never.
    pub(super) fn resolved_at(&self) -> u64 {
        self.state().resolved_at
    }

    /// What went wrong at the last look-up.
    pub(super) fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }
}

/// Discovers the addresses of configured servers for Pingora's load balancer.
pub(super) struct Discovery {
    pub(super) servers: Vec<Server>,
    pub(super) names: std::sync::Arc<Names>,
}

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut problem = None;
        for (place, server) in self.servers.iter().enumerate() {
            match resolve(server).await {
                Ok(addresses) => {
                    self.names.state().answers.insert(place, addresses);
                }
                Err(error) => problem = Some(format!("{server}: {error}")),
            }
        }
        let mut state = self.names.state();
        if problem.is_none() {
            state.resolved_at = clock::unix_seconds();
        }
        state.problem = problem;
        let known = state.answers.values().flatten();
        let backends: BTreeSet<Backend> = known
            .filter_map(|address| Backend::new(&address.to_string()).ok())
            .collect();
        match (&state.problem, backends.is_empty()) {
            (Some(problem), true) => Error::e_explain(ErrorType::ConnectNoRoute, problem.clone()),
            _ => Ok((backends, HashMap::new())),
        }
    }
}

async fn resolve(server: &Server) -> std::result::Result<Vec<SocketAddr>, String> {
    let found = timeout(LOOKUP, lookup_host((server.host.as_str(), server.port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.take(MAX_ADDRESSES).collect(),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer within {} s", LOOKUP.as_secs())),
    };
    match addresses.is_empty() {
        true => Err("the name has no addresses".to_owned()),
        false => Ok(addresses),
    }
}
