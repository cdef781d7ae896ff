//! TLS on the listeners: certificates chosen by name, clients' own certificates, and what is told of
//! both.
//!
//! Pingora's listeners could end TLS, but their handshake runs on past its deadline, and their
//! settings are closed to session tickets. So the gate ends it itself, over the plain connection.

mod files;
mod names;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tidegate_config::{Certificate, ClientCertificates, Listener};
use tokio_rustls::rustls;

use crate::clock;
use names::ByName;
pub use names::name_of_client;

/// The protocols that TLS agrees on (RFC 7301).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How a listener ends TLS.
#[derive(Debug)]
pub struct Tls {
    /// What handshakes go by.
    pub config: Arc<ServerConfig>,
    /// What is told of its certificates.
    pub certificates: Vec<Facts>,
    /// What is told of the authorities that clients' certificates are checked by.
    pub authorities: Option<Content>,
}

/// What a file with certificates holds, to say when that is something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of its certificates.
    hash: [u8; 32],
}

impl Content {
    fn of(file: &Path, chain: &[CertificateDer<'_>]) -> Self {
        let mut hash = Sha256::new();
        for certificate in chain {
            hash.update(certificate);
        }
        Content {
            file: file.to_owned(),
            hash: hash.finalize().into(),
        }
    }
}

/// What is told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The file it was read from, and the chain in it.
    pub chain: Content,
    /// The last second in which it is valid, since the epoch.
    pub not_after: u64,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// Makes the tickets with which clients take up a session again without a whole handshake: kept over
/// a reload, so that a new certificate does not send every client through one.
#[derive(Debug)]
pub struct Tickets(Option<Arc<dyn ProducesTickets>>);

impl Tickets {
    /// Fresh keys, which change by themselves every six hours.
    pub fn new() -> Self {
        // Without them every connection costs a whole handshake, and works.
        Tickets(ring::Ticketer::new().ok())
    }
}

impl Default for Tickets {
    fn default() -> Self {
        Tickets::new()
    }
}

impl Tls {
    /// Reads what `listener` names; `None` when it serves without TLS.
    ///
    /// # Errors
    /// When a file cannot be read or holds no certificate, or a key is not its certificate's.
    pub fn read(listener: &Listener, tickets: &Tickets) -> anyhow::Result<Option<Tls>> {
        if listener.certificates.is_empty() {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let mut by_name = ByName::default();
        let mut certificates = Vec::new();
        for certificate in &listener.certificates {
            let (key, facts) = read(certificate, &provider)?;
            by_name.add(key);
            certificates.push(facts);
        }
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .context("TLS")?;
        let asked = listener.client_certificates.as_ref();
        let mut authorities = None;
        let builder = match asked {
            Some(asked) => {
                let (verifier, content) = verifier(asked, provider)?;
                authorities = Some(content);
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(by_name));
        // Sessions are kept by clients, in tickets, and take no memory here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A ticket carries the client's certificate: it must not outlive a change of its authorities.
        let kept = if asked.is_some() {
            &Tickets::new()
        } else {
            tickets
        };
        if let Tickets(Some(tickets)) = kept {
            config.ticketer = tickets.clone();
        }
        config.alpn_protocols = match listener.http2 {
            true => vec![HTTP2.to_vec(), HTTP1.to_vec()],
            false => vec![HTTP1.to_vec()],
        };
        Ok(Some(Tls {
            config: Arc::new(config),
            certificates,
            authorities,
        }))
    }
}

/// Whether a client and the gate agreed on HTTP/2.
pub fn is_http2(agreed: Option<&[u8]>) -> bool {
    agreed == Some(HTTP2)
}

fn read(
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> anyhow::Result<(Arc<CertifiedKey>, Facts)> {
    let chain = files::chain(&certificate.chain)?;
    let (key, is_public) = files::key(&certificate.key)?;
    let content = Content::of(&certificate.chain, &chain);
    let leaf = chain.first().map(|leaf| leaf.as_ref().to_vec());
    let leaf = leaf.unwrap_or_default();
    let pair = || {
        let (chain, key) = (certificate.chain.display(), certificate.key.display());
        format!("listener.certificates: {chain} with {key}")
    };
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            anyhow!("{}: the key is not this certificate's", pair())
        }
        error => anyhow!("{}: {error}", pair()),
    })?;
    let validity = names::validity(&leaf).with_context(pair)?;
    let facts = Facts {
        chain: content,
        not_after: *validity.end(),
        warnings: warnings(certificate, &validity, is_public),
    };
    Ok((Arc::new(key), facts))
}

fn warnings(
    certificate: &Certificate,
    validity: &RangeInclusive<u64>,
    is_public: bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let now = clock::unix_seconds();
    if !validity.contains(&now) {
        let state = match now < *validity.start() {
            true => "is not valid yet",
            false => "is expired",
        };
        let chain = certificate.chain.display();
        warnings.push(format!(
            "listener.certificates: {chain} {state}: clients will refuse it"
        ));
    }
    if is_public {
        let key = certificate.key.display();
        warnings.push(format!(
            "listener.certificates: {key} can be read by everybody on this machine: chmod 600"
        ));
    }
    warnings
}

fn verifier(
    asked: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<(Arc<dyn ClientCertVerifier>, Content)> {
    let mut roots = RootCertStore::empty();
    let authorities = files::chain(&asked.authorities)?;
    let content = Content::of(&asked.authorities, &authorities);
    for authority in authorities {
        roots
            .add(authority)
            .with_context(|| named(&asked.authorities))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match asked.required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    let verifier = builder.build();
    let verifier = verifier.with_context(|| named(&asked.authorities))?;
    Ok((verifier, content))
}

fn named(authorities: &Path) -> String {
    format!("listener.client_certificates: {}", authorities.display())
}

/// The name in the certificate that a client proved to have.
pub fn client_name(chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<str>> {
    name_of_client(chain?.first()?.as_ref()).map(Arc::from)
}
