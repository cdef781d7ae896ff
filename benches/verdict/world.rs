//! A gate without its sockets: everything that a verdict is made from, of a usual size.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidegate::account::{AccessLog, Account, Allowance, LogWriter, Metrics, Slow};
use tidegate::claims::Permits;
use tidegate::clock;
use tidegate::forward::Upstream;
use tidegate::gate::Gate;
use tidegate::head::Head;
use tidegate::identity::identify;
use tidegate::in_force::InForce;
use tidegate::learn::Learned;
use tidegate::limits::Limits;
use tidegate::listener::Listeners;
use tidegate::mode::Switch;
use tidegate::pass::Passes;
use tidegate::policy::Policy;
use tidegate::prefixes::{PrefixSet, Published};
use tidegate::reason::Reason;
use tidegate::recent::Recent;
use tidegate::state::StateFile;
use tidegate::tail::Tail;
use tidegate::tenants::Roster;
use tidegate::top::{Owners, Top};
use tidegate_config::Config;
use tidegate_limit::Gauge;
use tokio::sync::watch;

/// Client, network, tenant and route limits, caps in flight, and a tenant told by its header.
const CONFIG: &str = r#"
[[listener]]
address = "127.0.0.1:0"
[upstream.app]
servers = ["127.0.0.1:3000"]
[client]
address_from = "x-forwarded-for"
trusted_proxies = ["10.0.0.0/8"]
limit = { rate = "1000000/s", burst = 1000000 }
ipv6_network = { prefix = 48, limit = { rate = "1000000/s", burst = 1000000 } }
[tenant]
from = "header:x-tenant"
tier = "free"
[tier.free]
limit = { rate = "1000000/s", burst = 1000000 }
in_flight = 1000
[tenants]
acme = "free"
[[route]]
path = "/login"
upstream = "app"
limit = { rate = "1/h", burst = 1 }
[[route]]
path = "/search"
upstream = "app"
limit = { rate = "1000000/s", burst = 1000000 }
in_flight = 1000
[[route]]
upstream = "app"
[log]
file = "/dev/null"
"#;

/// A head such as a browser sends it.
pub fn request(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example.com\r\nX-Tenant: acme\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\n\r\n"
    )
    .into_bytes()
}

/// A gate with this known set.
pub fn gate(known: PrefixSet) -> Gate {
    gate_with(known, |policy, _| policy)
}

/// A gate with this known set, and what `rules` makes of its policy.
pub fn gate_with(known: PrefixSet, rules: impl FnOnce(Policy, &Limits) -> Policy) -> Gate {
    let config = Config::parse(CONFIG, None).expect("a good configuration");
    let upstreams = config.upstreams.iter();
    let upstreams = upstreams.map(|(name, upstream)| (name.clone(), Upstream::new(upstream, None)));
    let limits = Limits::new(config.client.max_tracked, config.connections.total);
    let limits = limits.expect("the memory");
    let roster = Roster::read(&config).expect("no files");
    let policy = Policy::new(&config, &upstreams.collect(), &roster, &[], &limits);
    // Never opened but for a save, which nobody asks for.
    let nowhere = StateFile::new("/nonexistent".as_ref(), "mode.json");
    let (log, _) =
        LogWriter::open(&config.log, Allowance::new(config.log.budget)).expect("the null device");
    Gate {
        policy: InForce::of(rules(policy.expect("limits that can be counted"), &limits)),
        known: Published::of(known),
        learned: Learned::new().0,
        passes: Passes::default(),
        blocks: Published::default(),
        mode: Switch::open(nowhere, config.mode, 0),
        limits,
        connections: Arc::new(Gauge::new()),
        in_flight: Arc::new(Gauge::new()),
        handshakes: Arc::new(Gauge::new()),
        listeners: Listeners::read(&config).expect("no certificates"),
        account: Account {
            slow: Slow::default(),
            top: Top::new(Owners::default()).0,
            tail: Tail::default(),
            metrics: Metrics::default(),
            log: AccessLog::new(log, config.log),
        },
        recent: Recent::new().0,
        told: watch::Sender::new(false),
        draining: AtomicBool::new(false),
        closed: AtomicBool::new(false),
    }
}

/// The whole way from a head to the verdict: why it was refused, or the places it holds.
pub fn verdict(gate: &Gate, peer: IpAddr, head: &Head) -> Result<Permits, Reason> {
    let policy = gate.policy.load();
    let client = policy.client.client(peer, head);
    gate.known.prefetch(client);
    let identity = identify(&policy, &gate.limits.hasher, client, None, head);
    let decided = gate.case(&policy, head, &identity, clock::now()).decide();
    decided
        .map(|(_, permits)| permits)
        .map_err(|refusal| refusal.reason)
}
