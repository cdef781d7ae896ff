//! From what the user wrote to what the program needs.
//!
//! Each part reads its own texts and fills in its own defaults. A text that is
//! wrong is noted and replaced by the default, so that the rest is still
//! checked; the configuration is only handed out when nothing was noted.

mod admin;
mod costs;
mod known;
mod limits;
mod listeners;
mod network;
mod operation;
mod routes;
mod tenants;
mod upstreams;

use std::path::{Path, PathBuf};

use crate::{checked::Config, document::Document, error::Error, findings::Findings, raw};

/// Checks everything that can be checked without a network and without any
/// other file.
pub(crate) fn check(
    raw: raw::File,
    document: &Document<'_>,
    source: Option<&Path>,
) -> Result<Config, Error> {
    let mut findings = Findings::new(document);
    let folder = Folder::of(source);

    let listeners = listeners::listeners(&mut findings, raw.listener, &folder);
    let metrics = network::metrics(&mut findings, raw.metrics, &listeners);
    let admin = admin::admin(&mut findings, raw.admin, &folder, &listeners, &metrics);
    let upstreams = upstreams::upstreams(&mut findings, raw.upstream);
    let routes = routes::routes(&mut findings, raw.route, &upstreams);
    let client = limits::client(&mut findings, raw.client);
    listeners::refuse_untrusted_headers(
        &mut findings,
        &listeners,
        client.trusted_proxies.is_empty(),
    );
    let tiers = tenants::tiers(&mut findings, raw.tier);
    let tenant = tenants::tenant(&mut findings, raw.tenant, &tiers, &folder);
    let tenants = tenants::tenants(&mut findings, raw.tenants, tenant.as_ref(), &tiers);
    let mut config = Config {
        source: source.map(Path::to_owned),
        mode: raw.mode.unwrap_or_default(),
        threads: raw.threads,
        listeners,
        upstreams,
        routes: Vec::new(),
        client,
        tenant,
        tiers,
        tenants,
        connections: limits::connections(&mut findings, &raw.connections),
        known: known::known(&mut findings, raw.known, &folder),
        known_only: operation::known_only(&mut findings, raw.known_only),
        deadlines: operation::deadlines(&mut findings, raw.deadlines),
        log: operation::log(&mut findings, raw.log, &folder),
        refusal: operation::refusal(&raw.refusal),
        admin,
        metrics,
        state: operation::state(&mut findings, raw.state, &folder),
        top: operation::top(&mut findings, raw.top, &folder),
        warnings: Vec::new(),
    };
    let tenants = findings.document.span_of(&["tenant"]).is_some();
    routes::effects(&mut findings, &routes, tenants);
    if findings.is_clean() {
        costs::costs(&mut findings, &routes, &config);
        limits::caps(&mut findings, &config);
    }
    let max_body = config.client.max_body;
    let complete = routes.into_iter().map(|placed| placed.complete(max_body));
    config.routes = complete.collect();
    config.warnings = findings.finish()?;
    Ok(config)
}

/// The folder that relative paths are relative to: the configuration file's.
struct Folder(PathBuf);

impl Folder {
    fn of(source: Option<&Path>) -> Folder {
        let folder = source.and_then(Path::parent).unwrap_or(Path::new(""));
        // An empty path is the current folder, which has the name ".".
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        // That fails only when the current folder is gone. Then the path stays
        // relative, and opening the file will say so.
        Folder(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()))
    }

    fn join(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }
}
