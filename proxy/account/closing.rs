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
    /// Too many of its requests over HTTP/2 were malformed.
    Malformed,
    /// A flood of HTTP/2 frames that ask for nothing.
    Http2Frames,
    /// HTTP/2 streams opened to be cancelled.
    Http2Resets,
    /// An HTTP/2 header block that did not end in time, or in too many pieces.
    Http2HeaderBlock,
    /// Its last request ended it: the client asked for that, or it was refused or failed in a way
    /// that nothing can follow.
    Request,
}

impl Closing {
    /// Every reason, in the order of declaration.
    pub const ALL: [Closing; 12] = [
        Closing::Client,
        Closing::NoRequest,
        Closing::KeepaliveIdle,
        Closing::NotReading,
        Closing::RequestsLimit,
        Closing::TunnelIdle,
        Closing::Drained,
        Closing::Malformed,
        Closing::Http2Frames,
        Closing::Http2Resets,
        Closing::Http2HeaderBlock,
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
            Closing::Malformed => "malformed",
            Closing::Http2Frames => "http2_frames",
            Closing::Http2Resets => "http2_resets",
            Closing::Http2HeaderBlock => "http2_header_block",
            Closing::Request => "request",
        }
    }
}
