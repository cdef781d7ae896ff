/// Why a connection that was let in has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The client closed it, or it broke, between two requests or in a head.
    Client,
    /// No request came.
    NoRequest,
    /// No further request came.
    KeepaliveIdle,
    /// The client did not read the reply to a refused request.
    NotReading,
    /// It has had as many requests as one may have.
    RequestsLimit,
    /// It was upgraded, and silent for too long.
    TunnelIdle,
    /// The gate goes down.
    Drained,
    /// Its last request ended it: the client asked for that, or it was refused or failed in a way
    /// that nothing can follow.
    Request,
}

impl Closing {
    /// Every reason, in the order of declaration.
    pub const ALL: [Closing; 8] = [
        Closing::Client,
        Closing::NoRequest,
        Closing::KeepaliveIdle,
        Closing::NotReading,
        Closing::RequestsLimit,
        Closing::TunnelIdle,
        Closing::Drained,
        Closing::Request,
    ];

    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Closing::Client => "client",
            Closing::NoRequest => "no_request",
            Closing::KeepaliveIdle => "keepalive_idle",
            Closing::NotReading => "not_reading",
            Closing::RequestsLimit => "requests_limit",
            Closing::TunnelIdle => "tunnel_idle",
            Closing::Drained => "drained",
            Closing::Request => "request",
        }
    }
}
