//! Certificates and keys as files in PEM (RFC 7468).

use std::path::Path;

use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls;

use crate::regular;

/// Bytes that a file may have: a bundle of every public authority has a quarter of it.
const MAX_FILE: u64 = 1 << 20;

/// The certificates in a file; at least one.
///
/// # Errors
/// When it cannot be read, or holds none.
pub(super) fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let text = regular::read(path, MAX_FILE).with_context(|| unreadable(path))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    // The parser shows marks as lists of bytes.
    let Ok(chain) = chain else {
        bail!(
            "{}: not PEM: something is missing or is not base64 between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----",
            path.display()
        );
    };
    if chain.is_empty() {
        bail!(
            "{}: holds no certificate; one begins with -----BEGIN CERTIFICATE-----",
            path.display()
        );
    }
    Ok(chain)
}

/// The private key in a file, and whether it is open to everybody on this machine.
///
/// # Errors
/// When it cannot be read, or holds none.
pub(super) fn key(path: &Path) -> anyhow::Result<(PrivateKeyDer<'static>, bool)> {
    let file = regular::read_secret(path, MAX_FILE);
    let (text, is_public) = file.with_context(|| unreadable(path))?;
    // What the parser says could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        anyhow::anyhow!(
            "{}: holds no private key without a passphrase; one begins with -----BEGIN PRIVATE KEY-----",
            path.display()
        )
    })?;
    Ok((key, is_public))
}

fn unreadable(path: &Path) -> String {
    format!("{}: cannot be read", path.display())
}
