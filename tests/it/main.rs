//! Integration tests: the real binary, over real sockets, as an operator and a client would use it.
//!
//! One binary, so that it is linked once; a module a behaviour. Ports are chosen by the system, files
//! live in a temporary folder, and what can be awaited is awaited: see [`harness`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod harness;

/// Who the client is: the peer, or whom a trusted proxy names.
mod addresses;
/// The admin side: verbs, the API, and those who abuse its socket.
mod admin;
/// The alerts of deploy/prometheus fire when they should, and lead to what to do.
mod alerts;
/// The audit log: who changed what, when, why and until when.
mod auditing;
/// Which server of an upstream gets a request, and how often it may be tried again.
mod balancing;
/// Blocks: at once, in every mode, until their end, across restarts, and not by accident.
mod blocks;
/// Bodies on their way through: byte for byte, as they come, and never kept whole.
mod bodies;
/// How large bodies may be: refused by what they say, or cut on their way.
mod body_sizes;
/// Caps on open connections: of one client, and of all of them.
mod caps;
/// Certificates of listeners: renewed while the gate runs, told of, and looked at before they are used.
mod certificates;
/// Chunked bodies: malformed ones never reach the app whole, good ones end where they end.
mod chunks;
/// Certificates that clients show: asked for, checked, and whose tenant they tell.
mod client_certificates;
/// Configurations that are wrong are told where and what would be right.
mod config_errors;
/// Tenants told by secrets, which are listed by their SHA-256 and never written down.
mod credentials;
/// The dashboard of deploy/grafana loads, and each of its queries finds something.
mod dashboard;
/// The demo: its story holds, and nothing stays of it.
mod demo;
/// What deploy/ has is read, rendered or run by the tools that it is for.
mod deploying;
/// The door: who is let in while places, files or the mode allow few, and what is told of the rest.
mod door;
/// The end: requests under way are completed, nothing new is begun, and it takes no longer than said.
mod draining;
/// Servers that are left out because they take no connections or fail their checks.
mod ejecting;
/// Why a request is decided as it is: told, and not touched.
mod explaining;
/// Many clients at once: each has its own budget, whoever floods.
mod fairness;
/// What the app and the client get to see of each other's fields.
mod fields;
/// The flood benchmark's configurations of the gate are valid.
mod flood_bench;
/// Forwarding to an app and back: methods, statuses, versions, how responses end.
mod forwarding;
/// Another process goes on with the sockets and the counters, and nobody notices.
mod handing_over;
/// TLS handshakes: each ends in time, and no more of them than may be.
mod handshakes;
/// HAProxy in front of the gate, which announces clients in both versions of the PROXY protocol.
mod haproxy;
/// Heads that two parsers could read differently are refused; good ones pass.
mod heads;
/// Clients that mean harm leave nothing behind.
mod hostile;
/// HTTP/2: what it carries, and what it has in common with HTTP/1.1.
mod http2;
/// HTTP/2 from clients that mean harm: each is ended in time, under its counter, and others are served.
mod http2_hostile;
/// Known customers that are brought in by the thousand: all or none, with an end, across restarts.
mod importing;
/// Customers who become known because the app says so, stay so across crashes, and leave in time.
mod incident;
/// When `make instructions` fails, and what it says.
mod instructions;
/// Files of known customers: watched, and taken over when they are good.
mod known_files;
mod learning;
/// Limits of a client: exactly as many requests as its quota allows, and how it is told.
mod limiting;
/// The access log on disks that are full, gone or read-only, and through rotations.
mod logging;
/// What is counted and written down: the exposition, health, the access log.
mod metrics;
/// docs/metrics.md says of every metric what the gate does.
mod metrics_documented;
/// Tenants that operators move to another tier, and back.
mod moving_tenants;
/// IPv6 networks: all clients of one share a budget.
mod networks;
/// Programs that were not written for this: nginx as the app, curl, wrk and slowhttptest as clients.
mod nginx;
/// What the service manager is told: reloads, the end, and that all is well, when it is.
mod notifying;
/// docs/operations.md: what it says to write and to type works, in its order.
mod operations;
/// Slow clients and unused connections are ended at their deadlines, each under its own counter.
mod pace;
/// Passes: given on a confirmed login, believed from any address, bounded, revocable, and not forged.
mod passes;
/// Requests that are sent before the last one was answered.
mod pipelining;
mod previewing;
/// The PROXY protocol: whom a load balancer names, and what is not a header.
mod proxy_protocol;
/// Limits that change under load: what each client has left is exact.
mod quotas;
/// What the README shows works as it is written.
mod readme;
/// A new configuration while the gate runs: all of it or nothing, and nobody notices.
mod reloading;
/// Opening again: a share of the unknown clients is let in, and the same ones stay in as it grows.
mod reopening;
mod reporting;
/// Limits of a route, and routes that are exempt from everybody else's.
mod route_limits;
/// Which app a request goes to.
mod routes;
/// Requests hidden in the bodies of others: no form of it reaches the app.
mod smuggling;
/// What one limit refuses costs nothing of any other.
mod sparing;
/// More clients than the table of buckets holds.
mod spilling;
/// A gate that cannot start says why; damaged state never stops one.
mod starting;
mod state_files;
/// Modes: who is served in `known-only`, from when on, for how long, and what survives.
mod switching;
mod tailing;
/// Tenants that files list: all of a file or nothing, and what is wrong in it is named.
mod tenant_files;
/// Limits of a tenant: whose traffic a request is, and what its tier allows.
mod tenants;
/// TLS on a listener: versions, names, clients' certificates, deadlines, and HTTP over it.
mod tls;
mod top;
/// Connections that become something else: WebSockets, and nothing but WebSockets.
mod upgrades;
/// Apps that are down, slow, broken, late or not to be found.
mod upstreams;
/// What tells that an upstream is silent, idle, or that its names are in trouble.
mod watching;
