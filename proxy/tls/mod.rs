//! TLS on the listeners: certificates chosen by name, clients' own certificates, and what is told of
//! both.
//!
//! Pingora's listeners could end TLS, but their handshake runs on past its deadline, and their
//! settings are closed to session tickets. So the gate ends it itself, over the plain connection.

mod files;
mod names;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tidegate_config::{Certificate, ClientCertificates, Listener};
use tokio_rustls::rustls;

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
}

/// What is told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The file it was read from.
    pub chain: PathBuf,
    /// When it ends to be valid, in seconds since the epoch.
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
        let builder = match asked {
            Some(asked) => builder.with_client_cert_verifier(verifier(asked, provider)?),
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
    let key = files::key(&certificate.key)?;
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
    let not_after = names::not_after(&leaf).with_context(pair)?;
    let facts = Facts {
        chain: certificate.chain.clone(),
        not_after,
        warnings: warnings(certificate, not_after),
    };
    Ok((Arc::new(key), facts))
}

fn warnings(certificate: &Certificate, not_after: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    if not_after <= crate::clock::unix_seconds() {
        let chain = certificate.chain.display();
        warnings.push(format!(
            "listener.certificates: {chain} is expired: clients will refuse it"
        ));
    }
    if files::is_public(&certificate.key) {
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
) -> anyhow::Result<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in files::chain(&asked.authorities)? {
        roots
            .add(authority)
            .with_context(|| named(&asked.authorities))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match asked.required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder.build().with_context(|| named(&asked.authorities))
}

fn named(authorities: &Path) -> String {
    format!("listener.client_certificates: {}", authorities.display())
}

/// The name in the certificate that a client proved to have.
pub fn client_name(chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<str>> {
    name_of_client(chain?.first()?.as_ref()).map(Arc::from)
}
