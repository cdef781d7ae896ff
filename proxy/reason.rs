//! Why a request was not served: the one list behind metrics, logs and responses.

/// Why a request was refused or failed. Refused: the gate said no, and the upstream saw nothing.
/// Failed: the gate said yes, and it did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// A client outside the known set in `known-only`.
    UnknownClient,
    /// An operator shut the client out.
    Blocked,
    /// The rate of the pass that lets the client in is spent.
    PassRate,
    /// The client's rate is spent.
    ClientRate,
    /// The rate of the client's wider network is spent.
    NetworkRate,
    /// The tenant's rate is spent.
    TenantRate,
    /// The tenant has as many requests in flight as its tier allows.
    TenantInFlight,
    /// The route's rate is spent, for this client, this tenant, or for all.
    RouteRate,
    /// The route has as many requests in flight as it may.
    RouteInFlight,
    /// As many requests are in flight as the gate may have.
    InFlight,
    /// The client has as many requests in flight as it may have connections.
    ClientInFlight,
    /// No route matches the host, path and method.
    NoRoute,
    /// Not HTTP, or HTTP that can be read in two ways.
    Malformed,
    /// The head has too many bytes or fields.
    HeadTooLarge,
    /// The request line is too long.
    TargetTooLong,
    /// An HTTP version other than 1.0 and 1.1.
    Version,
    /// `CONNECT` or `TRACE`.
    Method,
    /// The head was not complete by its deadline.
    HeadTimeout,
    /// The body is larger than the route takes, as its length says.
    BodyTooLarge,
    /// `OPTIONS` whose `Max-Forwards` is spent: the gate itself is the one asked.
    MaxForwards,
    /// No address is known for the upstream.
    UpstreamUnresolved,
    /// No server of the upstream took the connection.
    UpstreamConnect,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream closed early or answered something that is not HTTP.
    UpstreamBroken,
    /// The client went away before the response was complete.
    ClientGone,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The client sent its body below the minimum rate.
    BodyTooSlow,
    /// The body turned out larger than the route takes, on its way through.
    BodyOverrun,
    /// The client stopped reading its response.
    ResponseStalled,
    /// The client read its response below the minimum rate.
    ResponseTooSlow,
    /// The body's framing is malformed.
    BodyMalformed,
    /// The gate ended before the response was complete.
    Drained,
    /// An error of the gate itself.
    Internal,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Reason; 33] = [
        Reason::UnknownClient,
        Reason::Blocked,
        Reason::PassRate,
        Reason::ClientRate,
        Reason::NetworkRate,
        Reason::TenantRate,
        Reason::TenantInFlight,
        Reason::RouteRate,
        Reason::RouteInFlight,
        Reason::InFlight,
        Reason::ClientInFlight,
        Reason::NoRoute,
        Reason::Malformed,
        Reason::HeadTooLarge,
        Reason::TargetTooLong,
        Reason::Version,
        Reason::Method,
        Reason::HeadTimeout,
        Reason::BodyTooLarge,
        Reason::MaxForwards,
        Reason::UpstreamUnresolved,
        Reason::UpstreamConnect,
        Reason::UpstreamTimeout,
        Reason::UpstreamBroken,
        Reason::ClientGone,
        Reason::BodyTimeout,
        Reason::BodyTooSlow,
        Reason::BodyOverrun,
        Reason::ResponseStalled,
        Reason::ResponseTooSlow,
        Reason::BodyMalformed,
        Reason::Drained,
        Reason::Internal,
    ];

    /// The value of the `reason` label, and of the field in logs and responses.
    pub fn label(self) -> &'static str {
        match self {
            Reason::UnknownClient => "unknown_client",
            Reason::Blocked => "blocked",
            Reason::PassRate => "pass_rate",
            Reason::ClientRate => "client_rate",
            Reason::NetworkRate => "network_rate",
            Reason::TenantRate => "tenant_rate",
            Reason::TenantInFlight => "tenant_in_flight",
            Reason::RouteRate => "route_rate",
            Reason::RouteInFlight => "route_in_flight",
            Reason::InFlight => "in_flight",
            Reason::ClientInFlight => "client_in_flight",
            Reason::NoRoute => "no_route",
            Reason::Malformed => "malformed",
            Reason::HeadTooLarge => "head_too_large",
            Reason::TargetTooLong => "target_too_long",
            Reason::Version => "version",
            Reason::Method => "method",
            Reason::HeadTimeout => "head_timeout",
            Reason::BodyTooLarge => "body_too_large",
            Reason::BodyOverrun => "body_overrun",
            Reason::MaxForwards => "max_forwards",
            Reason::UpstreamUnresolved => "upstream_unresolved",
            Reason::UpstreamConnect => "upstream_connect",
            Reason::UpstreamTimeout => "upstream_timeout",
            Reason::UpstreamBroken => "upstream_broken",
            Reason::ClientGone => "client_gone",
            Reason::BodyTimeout => "body_timeout",
            Reason::BodyTooSlow => "body_too_slow",
            Reason::ResponseStalled => "response_stalled",
            Reason::ResponseTooSlow => "response_too_slow",
            Reason::BodyMalformed => "body_malformed",
            Reason::Drained => "drained",
            Reason::Internal => "internal",
        }
    }

    /// Whether the upstream never saw the request.
    pub fn is_refusal(self) -> bool {
        (self as usize) < Reason::UpstreamUnresolved as usize
    }
}
