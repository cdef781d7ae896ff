//! Listening sockets on their way from one process to the next.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The listening sockets of a gate, by how they are configured. The process that goes holds copies of
/// its own, to give away; the one that comes takes from it what its configuration asks for.
#[derive(Debug)]
pub struct Inheritance {
    /// For traffic, in the order of the configuration.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
    /// For metrics.
    pub metrics: Option<(SocketAddr, TcpListener)>,
    /// For operators.
    pub admin: AdminSocket,
    /// For operators, over TCP.
    pub admin_tcp: Option<(SocketAddr, TcpListener)>,
}

/// The admin socket with its file.
#[derive(Debug)]
pub struct AdminSocket {
    /// The file.
    pub path: PathBuf,
    /// Tells this file from another one with the same name.
    pub inode: u64,
    /// The socket, until somebody takes it.
    pub listener: Option<UnixListener>,
}

/// An inheritance in words: its descriptors come in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    listeners: Vec<SocketAddr>,
    metrics: Option<SocketAddr>,
    admin: (PathBuf, u64),
    admin_tcp: Option<SocketAddr>,
}

impl Announced {
    /// How many descriptors come with it.
    pub(super) fn count(&self) -> usize {
        let tcp = [self.metrics, self.admin_tcp];
        self.listeners.len() + tcp.iter().flatten().count() + 1
    }
}

impl Inheritance {
    pub(super) fn announced(&self) -> Announced {
        Announced {
            listeners: self.listeners.iter().map(|(address, _)| *address).collect(),
            metrics: self.metrics.as_ref().map(|(address, _)| *address),
            admin: (self.admin.path.clone(), self.admin.inode),
            admin_tcp: self.admin_tcp.as_ref().map(|(address, _)| *address),
        }
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let tcp = self.listeners.iter().chain(&self.metrics);
        let tcp = tcp.chain(&self.admin_tcp);
        let tcp = tcp.map(|(_, socket)| socket.as_fd());
        tcp.chain(self.admin.listener.iter().map(AsFd::as_fd))
            .collect()
    }

    /// Puts together what was announced and what came.
    ///
    /// # Errors
    /// When a descriptor is missing or no listening socket.
    pub(super) fn received(announced: Announced, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or(io::ErrorKind::UnexpectedEof);
        let mut tcp = |address| -> io::Result<(SocketAddr, TcpListener)> {
            let socket = TcpListener::from(next()?);
            // An error, if it is no such socket.
            socket.local_addr()?;
            Ok((address, socket))
        };
        let listeners = announced.listeners.into_iter();
        let listeners = listeners.map(&mut tcp).collect::<io::Result<_>>()?;
        let metrics = announced.metrics.map(&mut tcp).transpose()?;
        let admin_tcp = announced.admin_tcp.map(tcp).transpose()?;
        let (path, inode) = announced.admin;
        let listener = UnixListener::from(next()?);
        listener.local_addr()?;
        Ok(Inheritance {
            listeners,
            metrics,
            admin_tcp,
            admin: AdminSocket {
                path,
                inode,
                listener: Some(listener),
            },
        })
    }

    /// The first socket for traffic that was configured with this address; of several with port 0, or
    /// the same address, each in its turn.
    pub fn take_listener(&mut self, configured: SocketAddr) -> Option<TcpListener> {
        let mut listeners = self.listeners.iter();
        let position = listeners.position(|(address, _)| *address == configured)?;
        Some(self.listeners.remove(position).1)
    }

    /// The socket for metrics, if it was configured with this address.
    pub fn take_metrics(&mut self, configured: SocketAddr) -> Option<TcpListener> {
        let taken = self.metrics.take_if(|(address, _)| *address == configured);
        taken.map(|(_, socket)| socket)
    }

    /// The socket for operators over TCP, if it was configured with this address.
    pub fn take_admin_tcp(&mut self, configured: SocketAddr) -> Option<TcpListener> {
        let taken = self
            .admin_tcp
            .take_if(|(address, _)| *address == configured);
        taken.map(|(_, socket)| socket)
    }

    /// The admin socket, if its file has this path and is still there.
    pub fn take_admin(&mut self, path: &Path) -> Option<UnixListener> {
        let there = fs::metadata(path).is_ok_and(|meta| meta.ino() == self.admin.inode);
        match there && self.admin.path == path {
            true => self.admin.listener.take(),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> (SocketAddr, TcpListener) {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        (address, TcpListener::bind(address).unwrap())
    }

    fn inheritance(folder: &Path) -> Inheritance {
        let path = folder.join("admin.sock");
        let admin = UnixListener::bind(&path).unwrap();
        Inheritance {
            listeners: vec![any_port(), any_port()],
            metrics: Some(any_port()),
            admin_tcp: Some(any_port()),
            admin: AdminSocket {
                inode: fs::metadata(&path).unwrap().ino(),
                path,
                listener: Some(admin),
            },
        }
    }

    fn sent(inheritance: &Inheritance) -> Vec<OwnedFd> {
        let descriptors = inheritance.descriptors().into_iter();
        descriptors
            .map(|one| one.try_clone_to_owned().unwrap())
            .collect()
    }

    #[test]
    fn sockets_are_taken_by_how_they_are_configured_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let given = inheritance(folder.path());
        let announced = given.announced();
        assert_eq!(announced.count(), given.descriptors().len());
        let mut got = Inheritance::received(announced, sent(&given)).unwrap();
        let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
        let (address, _) = given.listeners[0];
        let other = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(got.take_listener(other).is_none());
        assert!(got.take_metrics(other).is_none());
        for (_, before) in &given.listeners {
            let after = got.take_listener(address).unwrap();
            assert_eq!(port(&after), port(before));
        }
        assert!(got.take_listener(address).is_none(), "given twice");
        for (given, taken) in [
            (&given.metrics, got.take_metrics(address)),
            (&given.admin_tcp, got.take_admin_tcp(address)),
        ] {
            let (_, before) = given.as_ref().unwrap();
            assert_eq!(port(&taken.unwrap()), port(before));
        }
        assert!(got.take_admin(&folder.path().join("other.sock")).is_none());
        assert!(got.take_admin(&folder.path().join("admin.sock")).is_some());
    }

    #[test]
    fn an_admin_socket_whose_file_is_another_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut given = inheritance(folder.path());
        let path = folder.path().join("admin.sock");
        // The first file is kept under another name, so that its number is not given out again.
        fs::rename(&path, folder.path().join("old.sock")).unwrap();
        assert!(given.take_admin(&path).is_none());
        let _other = UnixListener::bind(&path).unwrap();
        assert!(given.take_admin(&path).is_none());
    }

    #[test]
    fn what_is_no_socket_or_missing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let given = inheritance(folder.path());
        let mut few = sent(&given);
        few.pop();
        assert!(Inheritance::received(given.announced(), few).is_err());
        let mut files = sent(&given);
        files[0] = fs::File::open("/dev/null").unwrap().into();
        assert!(Inheritance::received(given.announced(), files).is_err());
    }
}
