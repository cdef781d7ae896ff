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
    /// The mode leaves its client nothing that it could ask for.
    ShutOut,
    /// Its last request ended it: the client asked for that, or it was refused or failed in a way
    /// that nothing can follow.
    Request,
    /// Over HTTP/2, it sent a flood of frames that ask for nothing, or of errors in streams.
    Http2Frames,
    /// Over HTTP/2, it opened streams to cancel them.
    Http2Resets,
    /// Over HTTP/2, a header block did not end in time, or came in too many pieces.
    Http2HeaderBlock,
    /// Over HTTP/2, too many of its requests were malformed, or what it sent is no HTTP/2.
    Http2Malformed,
}

impl Closing {
    /// Every reason, in the order of declaration.
    pub const ALL: [Closing; 13] = [
        Closing::Client,
        Closing::NoRequest,
        Closing::KeepaliveIdle,
        Closing::NotReading,
        Closing::RequestsLimit,
        Closing::TunnelIdle,
        Closing::Drained,
        Closing::ShutOut,
        Closing::Request,
        Closing::Http2Frames,
        Closing::Http2Resets,
        Closing::Http2HeaderBlock,
        Closing::Http2Malformed,
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
            Closing::ShutOut => "shut_out",
            Closing::Request => "request",
            Closing::Http2Frames => "http2_frames",
            Closing::Http2Resets => "http2_resets",
            Closing::Http2HeaderBlock => "http2_header_block",
            Closing::Http2Malformed => "http2_malformed",
        }
    }
}
