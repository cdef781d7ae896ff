//! Authorities and certificates for tests of TLS, made while they run.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::Folder;

/// An authority of the test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Issued {
    pub chain: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.sign(for_names(names))
    }

    /// A certificate that is valid in these years, from the first to the last one's first day.
    pub fn issue_for_years(&self, names: &[&str], first: i32, last: i32) -> Issued {
        let mut params = for_names(names);
        params.not_before = rcgen::date_time_ymd(first, 1, 1);
        params.not_after = rcgen::date_time_ymd(last, 1, 1);
        self.sign(params)
    }

    /// A certificate with a common name and no other.
    pub fn issue_to_person(&self, name: &str) -> Issued {
        let mut params = for_names(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(params)
    }

    pub fn sign(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        Issued {
            chain: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

fn for_names(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`, which only the owner can read, and gives the line of a
    /// configuration that names them.
    pub fn write(&self, folder: &Folder, name: &str) -> String {
        folder.write(&format!("{name}.pem"), &self.chain);
        let key = folder.write(&format!("{name}.key"), &self.key);
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&key, private).unwrap();
        format!("{{ chain = \"{name}.pem\", key = \"{name}.key\" }}")
    }

    pub fn leaf(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()
    }
}

type Versions = &'static [&'static rustls::SupportedProtocolVersion];
static NEWEST: Versions = &[&TLS13, &TLS12];
static ONLY_1_2: Versions = &[&TLS12];

/// How a test's client does TLS.
#[derive(Clone)]
pub struct Trust {
    authority: CertificateDer<'static>,
    versions: Versions,
    protocols: Vec<Vec<u8>>,
    own: Option<Issued>,
}

impl Trust {
    /// Trusts one authority and speaks HTTP/1.1 over what is newest.
    pub fn of(authority: &Authority) -> Trust {
        Trust {
            authority: authority.0.as_ref().der().clone(),
            versions: NEWEST,
            protocols: vec![b"http/1.1".to_vec()],
            own: None,
        }
    }

    /// Speaks TLS 1.2 and nothing newer.
    pub fn over_1_2(mut self) -> Trust {
        self.versions = ONLY_1_2;
        self
    }

    /// Offers these protocols.
    pub fn speaking(mut self, protocols: &[&str]) -> Trust {
        self.protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    /// Shows a certificate of its own.
    pub fn showing(mut self, own: &Issued) -> Trust {
        self.own = Some(own.clone());
        self
    }

    pub fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![own.leaf()], key)
                    .unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }

    /// The first message of a handshake with the server of this name.
    pub fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::new(self.config()), name).unwrap();
        let mut bytes = Vec::new();
        session.write_tls(&mut bytes).unwrap();
        bytes
    }
}

/// A listener that serves over HTTP/1.1 with these certificates, as [`Issued::write`] gives them, and
/// what else its table holds.
pub fn tls_listener(certificates: &[String], more: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nhttp2 = false\ncertificates = [{}]\n{more}\n",
        certificates.join(", ")
    )
}

/// As [`tls_listener`], and it offers HTTP/2.
pub fn http2_listener(certificates: &[String], more: &str) -> String {
    tls_listener(certificates, more).replace("http2 = false", "http2 = true")
}
