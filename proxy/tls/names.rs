//! The names in certificates: whom one is for, and whom a client's own one names.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::anyhow;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::rustls;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The certificate for each name; the first is for clients that ask for none of them, as in every
/// other server, so that a check by address alone gets an answer.
#[derive(Debug, Default)]
pub(super) struct ByName {
    first: Option<Arc<CertifiedKey>>,
    /// In lower case; `*.` stands for one label.
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    /// Adds a certificate under all of its names; the first of a name stays.
    pub(super) fn add(&mut self, key: Arc<CertifiedKey>) {
        let leaf = key.end_entity_cert().ok();
        let parsed = leaf.and_then(|leaf| parse(leaf.as_ref()));
        for name in parsed.iter().flat_map(dns_names) {
            let name = name.to_ascii_lowercase();
            self.named.entry(name).or_insert_with(|| key.clone());
        }
        self.first.get_or_insert(key);
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        // rustls gives it in lower case.
        self.named.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.named.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.first.as_ref()).cloned()
    }
}

/// From when to when a certificate is valid, in seconds since the epoch.
///
/// # Errors
/// When it is not a certificate.
pub(super) fn validity(der: &[u8]) -> anyhow::Result<RangeInclusive<u64>> {
    let certificate = parse(der).ok_or_else(|| anyhow!("not a certificate (X.509)"))?;
    let validity = certificate.validity();
    let [from, last] = [validity.not_before, validity.not_after].map(|time| time.timestamp());
    // The last second belongs to it (RFC 5280 section 4.1.2.5).
    let [from, last] = [from, last].map(|time| u64::try_from(time).unwrap_or(0));
    Ok(from..=last)
}

/// Whom a client's certificate names: its first DNS name, else its common name; in lower case, as
/// it is listed.
pub fn name_of_client(der: &[u8]) -> Option<String> {
    let certificate = parse(der)?;
    if let Some(name) = dns_names(&certificate).next() {
        return Some(name.to_ascii_lowercase());
    }
    let common = certificate.subject().iter_common_name().next()?;
    common.as_str().ok().map(str::to_ascii_lowercase)
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .map(|(_, certificate)| certificate)
}

/// The DNS names of a certificate. Its common name is not one: clients stopped to look at it (RFC
/// 9525 section 2).
fn dns_names<'der>(certificate: &'der X509Certificate<'der>) -> impl Iterator<Item = &'der str> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice());
    names
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
}
