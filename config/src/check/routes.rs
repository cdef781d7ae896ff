//! Which upstream serves a request, and the route's own limits.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    ops::Range,
};

use toml::Spanned;

use crate::{
    checked::{Per, Route, RouteLimit, Upstream},
    findings::Findings,
    literal::{BodySize, HostName, Method, PathPrefix},
    raw,
};

use super::limits::limit;

/// The names that an error lists.
const MOST_NAMES: usize = 20;

/// A route, and where it was written.
pub(super) struct Placed {
    pub(super) route: Route,
    upstream: Option<Range<usize>>,
    pub(super) cost: Option<Range<usize>>,
    per: Option<Range<usize>>,
    /// Whether it says itself how large bodies may be.
    has_max_body: bool,
}

impl Placed {
    /// The route, with what it does not say itself.
    pub(super) fn complete(mut self, max_body: u64) -> Route {
        if !self.has_max_body {
            self.route.max_body = max_body;
        }
        self.route
    }
}

/// The routes; without any, the one that sends everything to the only upstream.
pub(super) fn routes(
    findings: &mut Findings<'_>,
    raw: Vec<raw::Route>,
    upstreams: &BTreeMap<String, Upstream>,
) -> Vec<Placed> {
    if raw.is_empty() {
        return only_upstream(findings, upstreams).into_iter().collect();
    }
    let routes: Vec<Placed> = raw.into_iter().map(|raw| placed(findings, raw)).collect();
    for placed in &routes {
        let name = &placed.route.upstream;
        if let (Some(span), false) = (&placed.upstream, upstreams.contains_key(name)) {
            findings.wrong(span, &existing("upstream", name, upstreams.keys()));
        }
    }
    warn_of_idle(findings, &routes, upstreams);
    warn_of_hidden(findings, &routes);
    routes
}

fn only_upstream(
    findings: &mut Findings<'_>,
    upstreams: &BTreeMap<String, Upstream>,
) -> Option<Placed> {
    let mut names = upstreams.keys();
    let first = names.next()?;
    if names.next().is_some() {
        let message = format!(
            "found {} upstreams and no route; write which of them gets a request:\n\n[[route]]\n\
             path = \"/\"\nupstream = \"{first}\"",
            upstreams.len()
        );
        findings.missing("route", &message);
    }
    Some(Placed {
        route: Route::catch_all(first),
        upstream: None,
        cost: None,
        per: None,
        has_max_body: false,
    })
}

fn placed(findings: &mut Findings<'_>, raw: raw::Route) -> Placed {
    let host = raw.host.and_then(|written| findings.read(&written));
    let path = raw.path.and_then(|written| findings.read(&written));
    let methods = findings.read_all(&raw.methods);
    let per = raw.limit.as_ref().and_then(|limit| limit.per.as_ref());
    let max_body = raw.max_body.and_then(|written| findings.read(&written));
    Placed {
        upstream: Some(raw.upstream.span()),
        cost: raw.cost.as_ref().map(Spanned::span),
        per: per.map(Spanned::span),
        has_max_body: max_body.is_some(),
        route: Route {
            host: host.map(|HostName(host)| host),
            path: path.map(|PathPrefix(path)| path),
            methods: methods.into_iter().map(|Method(method)| method).collect(),
            upstream: raw.upstream.text().to_owned(),
            cost: raw.cost.map_or(NonZeroU32::MIN, Spanned::into_inner),
            limit: raw.limit.and_then(|raw| route_limit(findings, raw)),
            in_flight: raw.in_flight,
            exempt: raw.exempt.unwrap_or_default(),
            max_body: max_body.map_or(u64::MAX, |BodySize(most)| most),
        },
    }
}

fn route_limit(findings: &mut Findings<'_>, raw: raw::RouteLimit) -> Option<RouteLimit> {
    Some(RouteLimit {
        limit: limit(findings, &raw.rate, raw.burst)?,
        per: raw.per.map_or(Per::default(), Spanned::into_inner),
    })
}

/// Finds what routes say that cannot take effect; `tenants` is whether requests
/// have tenants.
pub(super) fn effects(findings: &mut Findings<'_>, routes: &[Placed], tenants: bool) {
    for Placed {
        route, per, cost, ..
    } in routes
    {
        let per_tenant = route.limit.is_some_and(|limit| limit.per == Per::Tenant);
        if let Some(span) = per
            && per_tenant
            && !tenants
        {
            let right = "without [tenant] no request belongs to one: write \"client\" or \
                         \"route\", or say in [tenant] what tells the tenant";
            findings.wrong(span, &right);
        }
        if let Some(span) = cost
            && route.exempt
            && route.limit.is_none()
        {
            let message = "no limit applies to this route, so that its cost has no effect";
            findings.warn(span, message.to_owned());
        }
    }
}

/// What could be right instead of a name that nothing has.
pub(super) fn existing<'n>(
    table: &str,
    name: &str,
    names: impl Iterator<Item = &'n String>,
) -> String {
    let names: Vec<&str> = names.map(String::as_str).take(MOST_NAMES).collect();
    match names.as_slice() {
        [] => format!("there is no {table}: write [{table}.{name}]"),
        [only] => format!("the only {table} is \"{only}\""),
        several => format!(
            "the {table}s are {}",
            crate::advice::listed(several, "\"", "and")
        ),
    }
}

fn warn_of_idle(
    findings: &mut Findings<'_>,
    routes: &[Placed],
    upstreams: &BTreeMap<String, Upstream>,
) {
    let used: BTreeSet<&String> = routes.iter().map(|placed| &placed.route.upstream).collect();
    for name in upstreams.keys().filter(|name| !used.contains(name)) {
        if let Some(span) = findings.document.span_of(&["upstream", name]) {
            findings.warn(&span, "no route sends anything to this upstream".to_owned());
        }
    }
}

fn warn_of_hidden(findings: &mut Findings<'_>, routes: &[Placed]) {
    for (index, hidden) in routes.iter().enumerate() {
        let mut earlier = routes.iter().take(index);
        if let Some(first) = earlier.find(|first| covers(&first.route, &hidden.route))
            && let (Some(place), Some(span)) = (&first.upstream, &hidden.upstream)
        {
            let place = findings.document.source.place(place);
            let message =
                format!("never used: the route at {place} comes first and takes all of it");
            findings.warn_about("route", span, message);
        }
    }
}

/// Whether every request that `second` matches is matched by `first`.
fn covers(first: &Route, second: &Route) -> bool {
    let host = first.host.is_none() || first.host == second.host;
    let methods = first.methods.is_empty()
        || (!second.methods.is_empty()
            && second
                .methods
                .iter()
                .all(|method| first.methods.contains(method)));
    let path = match (&first.path, &second.path) {
        (None, _) => true,
        (Some(above), None) => above == "/",
        (Some(above), Some(below)) => is_below(below, above),
    };
    host && methods && path
}

/// Whether a path is the same as another or below it, on segment borders.
fn is_below(path: &str, above: &str) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.is_empty() || above.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str, path: &str, methods: &[&str]) -> Route {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Route {
            host: given(host),
            path: given(path),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            ..Route::catch_all("app")
        }
    }

    #[test]
    fn a_route_covers_what_it_takes_all_of() {
        let all = route("", "", &[]);
        let search = route("", "/search", &[]);
        for (first, second, expected) in [
            (&all, &search, true),
            (&all, &all, true),
            (&search, &all, false),
            (&search, &route("", "/search/books", &["GET"]), true),
            (&search, &route("", "/searching", &[]), false),
            (&search, &route("", "/search/", &[]), true),
            (&route("", "/search/", &[]), &search, false),
            (&route("", "/", &[]), &all, true),
            (&route("", "", &["GET"]), &all, false),
            (
                &route("", "", &["GET", "POST"]),
                &route("", "/a", &["POST"]),
                true,
            ),
            (&route("a", "", &[]), &route("b", "", &[]), false),
            (&route("a", "", &[]), &all, false),
        ] {
            assert_eq!(covers(first, second), expected, "{first:?} {second:?}");
        }
    }
}
