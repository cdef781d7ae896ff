//! What an operator is told of an upstream without asking: once when it begins, and once when it is
//! over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Health, ServerHealth, State, Upstream};
use crate::clock;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What was told last.
#[derive(Debug, Default)]
struct Told {
    silent: bool,
    idle: bool,
    servers: BTreeMap<SocketAddr, State>,
}

/// Looks after an upstream for as long as it is in service.
pub(super) async fn watch(upstream: Weak<Upstream>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    loop {
        looks.tick().await;
        let Some(upstream) = Upstream::in_service(&upstream) else {
            return;
        };
        upstream.tick();
        told.of(upstream.name(), &upstream.health());
    }
}

impl Told {
    fn of(&mut self, upstream: &str, health: &Health) {
        match (self.silent, health.silent_seconds) {
            (false, Some(seconds)) => tracing::warn!(
                upstream,
                "no answer for {seconds} s, though it was asked; its {} addresses are those of {}",
                health.addresses.len(),
                clock::timestamp(health.addresses_changed_at)
            ),
            (true, None) => tracing::info!(upstream, "answers again"),
            _ => {}
        }
        match (self.idle, health.idle_seconds) {
            (false, Some(seconds)) => tracing::warn!(upstream, "nobody has asked for {seconds} s"),
            (true, None) => tracing::info!(upstream, "is asked again"),
            _ => {}
        }
        let states = health.addresses.iter();
        let states = states
            .map(|server| (server.address, server.state))
            .collect();
        let before = std::mem::replace(&mut self.servers, states);
        for server in &health.addresses {
            tell_server(upstream, server, before.get(&server.address).copied());
        }
        self.silent = health.silent_seconds.is_some();
        self.idle = health.idle_seconds.is_some();
    }
}

fn tell_server(upstream: &str, server: &ServerHealth, before: Option<State>) {
    let address = server.address;
    match (before.is_some_and(State::is_out), server.state) {
        (false, State::Ejected) => tracing::warn!(
            upstream,
            "{address} takes no connections and is left out for {} s",
            server.back_in_seconds.unwrap_or(0)
        ),
        (false, State::Unhealthy) => tracing::warn!(
            upstream,
            "{address} fails its health check and is left out: {}",
            server.problem.as_deref().unwrap_or_default()
        ),
        (true, State::Available | State::SlowStart) => {
            tracing::info!(upstream, "{address} is asked again");
        }
        _ => {}
    }
}
