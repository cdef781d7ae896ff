//! Messages and descriptors between two generations of the gate, within a deadline.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that a message may have; a thousand listeners need a tenth of it.
const LONGEST: usize = 1 << 20;
/// Descriptors in one packet; Linux allows 253.
const AT_ONCE: usize = 64;
/// Descriptors in all: no more are waited for, whatever the other side announces.
const MOST_DESCRIPTORS: usize = 4096;

/// One end of the connection between the gate that goes and the one that comes.
///
/// A message is its length in four bytes (big-endian) and that much JSON. Descriptors travel beside
/// one byte for each packet of them. Nothing is read past what was asked for: a plain read would
/// throw descriptors away.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    deadline: Instant,
}

impl Channel {
    /// Everything on this stream has to be over by the deadline.
    pub(super) fn new(stream: UnixStream, deadline: Instant) -> Self {
        Channel { stream, deadline }
    }

    /// From here on there is this much time.
    #[cfg(test)]
    pub(super) fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// The stream itself, for what is told by its end alone.
    pub(super) fn stream(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Sends one message.
    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let length = u32::try_from(bytes.len()).ok();
        let length = length
            .filter(|_| bytes.len() <= LONGEST)
            .ok_or_else(too_long)?;
        self.write_all(&[&length.to_be_bytes()[..], &bytes].concat())
    }

    /// Receives one message.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut length = [0; 4];
        self.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(too_long());
        }
        let mut bytes = vec![0; length];
        self.read_exact(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Sends descriptors; this process keeps its own.
    pub(super) fn send_descriptors(&mut self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        for some in descriptors.chunks(AT_ONCE) {
            self.stream.set_write_timeout(Some(self.left()?))?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            // There is room for so many.
            control.push(SendAncillaryMessage::ScmRights(some));
            let byte = [IoSlice::new(&[0])];
            // A peer that is gone is an error, not a signal.
            sendmsg(&self.stream, &byte, &mut control, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Receives so many descriptors.
    pub(super) fn receive_descriptors(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        if count > MOST_DESCRIPTORS {
            return Err(io::Error::other(format!(
                "{count} descriptors are too many"
            )));
        }
        let mut received = Vec::new();
        while received.len() < count {
            self.stream.set_read_timeout(Some(self.left()?))?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let mut room = [IoSliceMut::new(&mut byte)];
            // Not to be inherited by programs that this one may start.
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = recvmsg(&self.stream, &mut room, &mut control, flags);
            let got = got.map_err(|error| in_time(error.into()))?;
            let before = received.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    received.extend(descriptors);
                }
            }
            if got.bytes == 0 || received.len() == before {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        match received.len() == count {
            true => Ok(received),
            false => Err(io::Error::other("more descriptors than were announced")),
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}

impl Read for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into).map_err(in_time)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket whose time is over says that it would block.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

fn too_long() -> io::Error {
    io::Error::other(format!("a message of more than {LONGEST} bytes"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;

    fn pair(time: Duration) -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + time;
        (Channel::new(one, deadline), Channel::new(other, deadline))
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn messages_and_descriptors_arrive_in_their_order() {
        let (mut here, mut there) = pair(LONG);
        let sockets: Vec<_> = (0..150)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect();
        here.send(&addresses).unwrap();
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        here.send_descriptors(&descriptors).unwrap();
        here.send(&"behind them").unwrap();
        let announced: Vec<std::net::SocketAddr> = there.receive().unwrap();
        let received = there.receive_descriptors(announced.len()).unwrap();
        let received = received.into_iter().map(|descriptor| {
            let socket = TcpListener::from(descriptor);
            socket.local_addr().unwrap()
        });
        assert_eq!(received.collect::<Vec<_>>(), addresses);
        assert_eq!(there.receive::<String>().unwrap(), "behind them");
    }

    #[test]
    fn silence_half_a_message_and_a_reader_that_reads_nothing_end_in_time() {
        let started = Instant::now();
        let (mut here, mut there) = pair(SHORT);
        assert_eq!(
            there.receive::<String>().unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        here.allow(SHORT);
        let all = vec![0; 64 << 20];
        assert_eq!(
            here.write_all(&all).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        let (mut here, mut there) = pair(SHORT);
        here.write_all(&[0, 0, 0, 9, b'"']).unwrap();
        assert_eq!(
            there.receive::<String>().unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        there.allow(SHORT);
        let descriptors = there.receive_descriptors(1).unwrap_err();
        assert_eq!(descriptors.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    }

    #[test]
    fn bytes_that_come_one_by_one_do_not_prolong_the_deadline() {
        let (mut here, mut there) = pair(SHORT);
        here.allow(LONG);
        let drip = thread::spawn(move || {
            here.write_all(&[0, 0, 255, 255]).unwrap();
            while here.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let error = there.receive::<String>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(there);
        drip.join().unwrap();
    }

    #[test]
    fn what_is_too_long_malformed_or_cut_is_an_error() {
        for bytes in [&[255; 4][..], b"\0\0\0\x02{]", b"\0\0\0\x09{", b""] {
            let (mut here, mut there) = pair(LONG);
            here.write_all(bytes).unwrap();
            drop(here);
            assert!(there.receive::<String>().is_err(), "{bytes:?}");
            assert!(there.receive_descriptors(1).is_err(), "{bytes:?}");
        }
        let (mut here, _there) = pair(LONG);
        assert!(here.send(&"x".repeat(LONGEST)).is_err());
        assert!(here.receive_descriptors(MOST_DESCRIPTORS + 1).is_err());
    }
}
