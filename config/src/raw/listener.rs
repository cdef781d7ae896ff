//! Where connections are accepted, and what they begin with.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::Written;
use crate::checked::ProxyProtocol;

/// A place where connections are accepted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// The IP address and port to bind; port 0 lets the system choose one.
    pub(crate) address: Written<SocketAddr>,
    /// The certificates it serves TLS with; of several, the client's SNI chooses,
    /// and the first is for everybody else. Default: none, it serves without TLS.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub(crate) certificates: Vec<Certificate>,
    /// Whether clients are asked for a certificate of their own. Default: no.
    #[schemars(with = "Option<ClientCertificates>")]
    pub(crate) client_certificates: Option<Spanned<ClientCertificates>>,
    /// Whether clients that can speak HTTP/2 do, which TLS agrees on. Default:
    /// true with certificates.
    #[schemars(with = "Option<bool>", example = true)]
    pub(crate) http2: Option<Spanned<bool>>,
    /// Whether each connection begins with a PROXY protocol header (version 1 or
    /// 2) that names the client: "off", or "required" from a trusted proxy.
    /// Default: "off".
    #[schemars(with = "Option<ProxyProtocol>")]
    pub(crate) proxy_protocol: Option<Spanned<ProxyProtocol>>,
}

/// A certificate and its key, in PEM.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    example = serde_json::json!({ "chain": "tls/app.pem", "key": "tls/app.key" })
)]
pub(crate) struct Certificate {
    /// The file with the certificate, followed by those that lead to its root.
    #[schemars(example = &"tls/app.pem")]
    pub(crate) chain: Written<PathBuf>,
    /// The file with its private key.
    #[schemars(example = &"tls/app.key")]
    pub(crate) key: Written<PathBuf>,
}

/// What clients' own certificates have to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    example = serde_json::json!({ "authorities": "tls/clients.pem" }),
    example = serde_json::json!({ "authorities": "tls/clients.pem", "required": false })
)]
pub(crate) struct ClientCertificates {
    /// The file with the certificates of the authorities that sign them, in PEM.
    #[schemars(example = &"tls/clients.pem")]
    pub(crate) authorities: Written<PathBuf>,
    /// Whether a client without one is turned away. Default: true.
    pub(crate) required: Option<bool>,
}
