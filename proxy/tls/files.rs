//! Certificates and keys as files in PEM (RFC 7468).

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use nix::fcntl::OFlag;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls;

/// Bytes that a file may have: a bundle of every public authority has a quarter of it.
const MAX_FILE: u64 = 1 << 20;

/// The certificates in a file; at least one.
///
/// # Errors
/// When it cannot be read, or holds none.
pub(super) fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
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

/// The private key in a file.
///
/// # Errors
/// When it cannot be read, or holds none.
pub(super) fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    // What the parser says could quote the key.
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| {
        anyhow::anyhow!(
            "{}: holds no private key without a passphrase; one begins with -----BEGIN PRIVATE KEY-----",
            path.display()
        )
    })
}

/// Whether everybody on this machine can read it.
pub(super) fn is_public(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    bounded(path).with_context(|| format!("{}: cannot be read", path.display()))
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a named pipe would wait for somebody who writes to it.
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.len() > MAX_FILE {
        return Err(io::Error::other(format!(
            "it is larger than {MAX_FILE} bytes"
        )));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}
