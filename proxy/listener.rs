//! Where connections are accepted, and what they begin with: replaced on a reload, while the socket
//! stays.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_config::{Config, ProxyProtocol};

use crate::tls::{Content, Facts, Tickets, Tls};

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

/// A certificate or a key that cannot be used: which one, of which listener, and why.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener}: {problem:#}")]
pub struct CertificateError {
    listener: SocketAddr,
    problem: anyhow::Error,
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
    pub fn read(config: &Config) -> Result<Self, CertificateError> {
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
    pub fn read_again(&self, config: &Config) -> Result<Vec<Rules>, CertificateError> {
        rules(config, &self.tickets)
    }

    /// Puts new rules in force for new connections, and says what is different in their certificates.
    pub fn replace(&self, rules: Vec<Rules>) -> Vec<String> {
        let mut changes = Vec::new();
        for (listener, rules) in self.each.iter().zip(rules) {
            let before = listener.rules.swap(Arc::new(rules));
            let after = listener.rules.load();
            let renewed = after.files().filter(|file| {
                let old = before.files().find(|old| old.file == file.file);
                old.is_some_and(|old| old != *file)
            });
            changes.extend(renewed.map(|file| format!("{}: renewed", file.file.display())));
        }
        // Listeners may share a certificate.
        changes.sort();
        changes.dedup();
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
    /// The files with certificates that it goes by.
    fn files(&self) -> impl Iterator<Item = &Content> {
        let tls = self.tls.iter();
        tls.flat_map(|tls| {
            let chains = tls.certificates.iter().map(|facts| &facts.chain);
            chains.chain(&tls.authorities)
        })
    }

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

fn rules(config: &Config, tickets: &Tickets) -> Result<Vec<Rules>, CertificateError> {
    let read = |listener: &tidegate_config::Listener| {
        let tls = Tls::read(listener, tickets);
        Ok(Rules {
            proxy_protocol: listener.proxy_protocol == ProxyProtocol::Required,
            tls: tls.map_err(|problem| CertificateError {
                listener: listener.address,
                problem,
            })?,
        })
    };
    config.listeners.iter().map(read).collect()
}
