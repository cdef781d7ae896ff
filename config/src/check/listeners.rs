//! Where connections come in, and what they begin with.

use std::net::SocketAddr;

use toml::Spanned;

use super::Folder;
use crate::{
    checked::{Certificate, ClientCertificates, Listener, ProxyProtocol},
    findings::Findings,
    raw,
};

/// What to write when there is no listener.
const NO_LISTENER: &str = "found no listener; write where connections are accepted:

[[listener]]
address = \"127.0.0.1:8080\"";

/// At least one listener, and no two that the system would not bind together.
pub(super) fn listeners(
    findings: &mut Findings<'_>,
    raw: Vec<raw::Listener>,
    folder: &Folder,
) -> Vec<Listener> {
    if raw.is_empty() {
        findings.missing("listener", NO_LISTENER);
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for raw in raw {
        let Some(address) = findings.read(&raw.address) else {
            continue;
        };
        if let Some(other) = listeners
            .iter()
            .find(|other| collide(other.address, address))
        {
            let right = format!(
                "another listener has \"{}\", and both cannot be bound: remove one, or change \
                 its port",
                other.address
            );
            findings.wrong(&raw.address.span(), &right);
        }
        listeners.push(listener(findings, address, raw, folder));
    }
    listeners
}

fn listener(
    findings: &mut Findings<'_>,
    address: SocketAddr,
    raw: raw::Listener,
    folder: &Folder,
) -> Listener {
    refuse_without_certificates(findings, &raw);
    let mut certificates = Vec::new();
    for written in &raw.certificates {
        let chain = findings.read(&written.chain);
        let key = findings.read(&written.key);
        if let (Some(chain), Some(key)) = (chain, key) {
            certificates.push(Certificate {
                chain: folder.join(&chain),
                key: folder.join(&key),
            });
        }
    }
    let client_certificates = raw.client_certificates.map(Spanned::into_inner);
    Listener {
        address,
        client_certificates: client_certificates.and_then(|raw| {
            Some(ClientCertificates {
                authorities: folder.join(&findings.read(&raw.authorities)?),
                required: raw.required.unwrap_or(true),
            })
        }),
        http2: match raw.http2 {
            Some(http2) => http2.into_inner(),
            None => !certificates.is_empty(),
        },
        certificates,
        proxy_protocol: raw
            .proxy_protocol
            .map_or(ProxyProtocol::Off, Spanned::into_inner),
    }
}

/// What only TLS can give.
fn refuse_without_certificates(findings: &mut Findings<'_>, raw: &raw::Listener) {
    if !raw.certificates.is_empty() {
        return;
    }
    if let Some(http2) = raw.http2.as_ref().filter(|http2| *http2.get_ref()) {
        let right = "HTTP/2 is agreed on by TLS, and this listener has no certificates: write \
                     certificates, or leave http2 out";
        findings.wrong(&http2.span(), &right);
    }
    if let Some(asked) = &raw.client_certificates {
        let message = "clients send a certificate over TLS alone, and this listener has no \
                       certificates of its own: write certificates";
        findings.problem(&asked.span(), message.to_owned());
    }
}

/// A header that names the client is believed of trusted proxies alone.
pub(super) fn refuse_untrusted_headers(
    findings: &mut Findings<'_>,
    listeners: &[Listener],
    trusts_nobody: bool,
) {
    let required = |listener: &&Listener| listener.proxy_protocol == ProxyProtocol::Required;
    if let (true, Some(listener)) = (trusts_nobody, listeners.iter().find(required)) {
        let message = format!(
            "found nobody, but the listener \"{}\" takes connections with a PROXY protocol header, \
             which is believed of trusted proxies alone: name the load balancer, such as \
             trusted_proxies = [\"10.0.0.0/8\"]",
            listener.address
        );
        findings.missing("client.trusted_proxies", &message);
    }
}

/// Whether the system refuses to bind both. On Linux `[::]` takes IPv4 in too.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let takes_all = |all: SocketAddr, one: SocketAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4())
    };
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || takes_all(a, b) || takes_all(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_collide_when_the_system_says_so() {
        for (a, b, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (first, second) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(collide(first, second), expected, "{a} {b}");
            assert_eq!(collide(second, first), expected, "{b} {a}");
        }
    }
}
