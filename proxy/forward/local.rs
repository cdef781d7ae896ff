//! What fails for want of something on this machine says nothing about a server.

use std::error::Error;
use std::{io, iter};

use rustix::io::Errno;

/// Descriptors, memory, ports: what a connection needs here before it concerns the other end.
const WANTING: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::ADDRNOTAVAIL,
];

/// Whether this, or what it comes from, is for want of something on this machine. Pingora puts the
/// system's error under errors of its own, and calls them after where they were found.
pub fn is_local(error: &(dyn Error + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |error| (*error).source());
    let errno = causes.find_map(|error| Errno::from_io_error(error.downcast_ref::<io::Error>()?));
    errno.is_some_and(|errno| WANTING.contains(&errno))
}

#[cfg(test)]
mod tests {
    use pingora_error::{Error, ErrorType};

    use super::*;

    /// Pingora's own is private: it holds the local address beside the system's error.
    #[derive(Debug, thiserror::Error)]
    #[error("from 192.0.2.1")]
    struct Details(#[source] io::Error);

    /// As Pingora hands on that there is no socket, and that a socket does not connect.
    fn wrapped(errno: Errno) -> [Box<Error>; 2] {
        let error = || io::Error::from_raw_os_error(errno.raw_os_error());
        let socket = Error::because(ErrorType::SocketError, "failed to create socket", error());
        let connect = Error::because(ErrorType::BindError, "Fail to connect", Details(error()));
        [socket, connect]
            .map(|error| Error::because(ErrorType::InternalError, "Fail to connect", error))
    }

    fn of(errno: Errno) -> [bool; 2] {
        wrapped(errno).map(|error| is_local(error.root_cause()))
    }

    #[test]
    fn want_of_descriptors_ports_or_memory_is_found_under_errors_of_pingora() {
        for errno in WANTING {
            assert_eq!(of(errno), [true; 2], "{errno}");
        }
        for errno in [Errno::CONNREFUSED, Errno::TIMEDOUT, Errno::HOSTUNREACH] {
            assert_eq!(of(errno), [false; 2], "{errno}");
        }
        let without_cause = Error::explain(ErrorType::ConnectTimedout, "late");
        assert!(!is_local(without_cause.root_cause()));
    }
}
