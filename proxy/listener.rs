//! Where connections are accepted, and what they begin with: replaced on a reload, while the socket
//! stays.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use tidegate_config::{Config, ProxyProtocol};

use crate::tls::{Facts, Tickets, Tls};

/// One place where connections are accepted.
#[derive(Debug)]
pub struct Listener {
    /// The address it was configured with.
    pub address: SocketAddr,
    /// What its connections begin with.
    pub rules: ArcSwap<Rules>,
}

/// What the connections of a listener begin with.
#[derive(Debug)]
pub struct Rules {
    /// Whether a PROXY protocol header comes first.
    pub proxy_protocol: bool,
    /// Whether TLS comes next.
    pub tls: Option<Tls>,
}

/// Every listener, in the order of the configuration.
#[derive(Debug)]
pub struct Listeners {
    each: Vec<Arc<Listener>>,
    tickets: Tickets,
}

impl Listeners {
    /// The listeners that `config` names.
    ///
    /// # Errors
    /// When a certificate or a key cannot be used.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let tickets = Tickets::new();
        let each = config.listeners.iter().zip(rules(config, &tickets)?);
        let listener = |(listener, rules): (&tidegate_config::Listener, Rules)| Listener {
            address: listener.address,
            rules: ArcSwap::from_pointee(rules),
        };
        Ok(Listeners {
            each: each.map(listener).map(Arc::new).collect(),
            tickets,
        })
    }

    /// Reads what `config` says of them now; [`Listeners::replace`] puts it in force.
    ///
    /// # Errors
    /// When a certificate or a key cannot be used.
    pub fn read_again(&self, config: &Config) -> anyhow::Result<Vec<Rules>> {
        rules(config, &self.tickets)
    }

    /// Puts new rules in force for new connections, and says what is different in their certificates.
    pub fn replace(&self, rules: Vec<Rules>) -> Vec<String> {
        let mut changes = Vec::new();
        for (listener, rules) in self.each.iter().zip(rules) {
            let before = listener.rules.swap(Arc::new(rules));
            let after = listener.rules.load();
            let renewed = after.facts().iter().filter(|facts| {
                let old = before.facts().iter().find(|old| old.chain == facts.chain);
                old.is_some_and(|old| old.not_after != facts.not_after)
            });
            changes.extend(renewed.map(|facts| format!("{}: renewed", facts.chain.display())));
        }
        changes
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.each.iter()
    }

    /// What should be looked at.
    pub fn warnings(&self) -> Vec<String> {
        let all = self.each.iter().map(|listener| listener.rules.load());
        all.flat_map(|rules| warnings(&rules)).collect()
    }
}

impl Rules {
    /// What is told of its certificates.
    pub fn facts(&self) -> &[Facts] {
        self.tls.as_ref().map_or(&[], |tls| &tls.certificates)
    }
}

/// What should be looked at in these.
pub fn warnings(rules: &Rules) -> Vec<String> {
    let facts = rules.facts().iter();
    facts.flat_map(|facts| facts.warnings.clone()).collect()
}

fn rules(config: &Config, tickets: &Tickets) -> anyhow::Result<Vec<Rules>> {
    let read = |listener: &tidegate_config::Listener| {
        let tls = Tls::read(listener, tickets);
        Ok(Rules {
            proxy_protocol: listener.proxy_protocol == ProxyProtocol::Required,
            tls: tls.with_context(|| format!("listener {}", listener.address))?,
        })
    };
    config.listeners.iter().map(read).collect()
}
