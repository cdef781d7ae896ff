//! A connection's end that leaves nothing behind in the system.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use pingora_core::protocols::Stream;
use rustix::net::sockopt::set_socket_linger;

/// Makes this connection's close a reset, which drops what the client has not taken. The system would
/// keep it, for minutes, outside of every cap of the gate: measured with 1,000 clients that do not
/// read, 1.1 GB of its memory after their connections had ended.
pub fn at_close(stream: &Stream) {
    let number = stream.id();
    if number < 0 {
        return;
    }
    // SAFETY: the identity of a stream is its socket's descriptor, which the stream owns and closes
    // when it is dropped: not while it is borrowed here. It is no -1.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    // Without it the connection ends all the same.
    let _ = set_socket_linger(socket, Some(Duration::ZERO));
}
