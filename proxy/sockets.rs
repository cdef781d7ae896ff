//! The sockets that the gate listens on: bound, or taken over from the process before this one.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tidegate_config::Config;

use crate::admin::{Addresses, Socket};
use crate::upgrade::{AdminSocket, Inheritance, Predecessor};

/// Every socket that the gate listens on, there before anything else is started, so that a busy port
/// is an error and not a gate that half runs.
pub struct Sockets {
    /// For traffic, with where they listen.
    pub traffic: Vec<(SocketAddr, TcpListener)>,
    /// For metrics.
    pub metrics: Option<TcpListener>,
    /// For operators.
    pub admin: Socket,
    /// For operators, over TCP.
    pub admin_tcp: Option<TcpListener>,
    /// Where they listen.
    pub addresses: Addresses,
}

impl Sockets {
    /// What the configuration asks for: what the process before this one has, and the rest bound.
    ///
    /// # Errors
    /// When something else has an address, or the system does not give it.
    pub fn open(
        config: &Config,
        mut predecessor: Option<&mut Predecessor>,
    ) -> anyhow::Result<Sockets> {
        let admin = open_admin(config, predecessor.as_deref_mut())?;
        let mut own = |address: Option<SocketAddr>, key, take| {
            let open = |address| open_tcp(address, key, predecessor.as_deref_mut(), take);
            address.map(open).transpose()
        };
        let admin_tcp = admin_address(config);
        let admin_tcp = own(admin_tcp, "admin.address", Inheritance::take_admin_tcp)?;
        let metrics = config.metrics.address;
        let metrics = own(metrics, "metrics.address", Inheritance::take_metrics)?;
        let mut traffic = Vec::new();
        for listener in &config.listeners {
            let before = predecessor.as_deref_mut();
            let take = Inheritance::take_listener;
            let socket = open_tcp(listener.address, "listener.address", before, take)?;
            traffic.push((socket.local_addr()?, socket));
        }
        let addresses = Addresses {
            listeners: traffic.iter().map(|(address, _)| *address).collect(),
            metrics: metrics.as_ref().map(TcpListener::local_addr).transpose()?,
            admin: admin_tcp
                .as_ref()
                .map(TcpListener::local_addr)
                .transpose()?,
        };
        Ok(Sockets {
            traffic,
            metrics,
            admin,
            admin_tcp,
            addresses,
        })
    }

    /// Copies of all of them, for the process after this one.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn copies(&self, config: &Config) -> anyhow::Result<Inheritance> {
        let configured = config.listeners.iter().map(|listener| listener.address);
        let listeners = configured.zip(&self.traffic);
        let listeners = listeners.map(|(address, (_, socket))| Ok((address, socket.try_clone()?)));
        let copied = |address: Option<SocketAddr>, socket: &Option<TcpListener>| {
            let both = address.zip(socket.as_ref());
            let copy = both.map(|(address, socket)| Ok((address, socket.try_clone()?)));
            copy.transpose().map_err(|error: io::Error| error)
        };
        Ok(Inheritance {
            listeners: listeners.collect::<io::Result<_>>()?,
            metrics: copied(config.metrics.address, &self.metrics)?,
            admin_tcp: copied(admin_address(config), &self.admin_tcp)?,
            admin: AdminSocket {
                path: self.admin.path().to_owned(),
                inode: self.admin.inode(),
                listener: Some(self.admin.accepting()?),
            },
        })
    }
}

fn admin_address(config: &Config) -> Option<SocketAddr> {
    config.admin.tcp.as_ref().map(|tcp| tcp.address)
}

fn open_admin(config: &Config, predecessor: Option<&mut Predecessor>) -> anyhow::Result<Socket> {
    const NAME: &str = "admin.socket";
    let path = &config.admin.socket;
    let Some(before) = predecessor else {
        return Socket::bind(path, NAME);
    };
    match before.sockets.take_admin(path) {
        Some(listener) => {
            before.took_admin();
            before.handed_over(format!("{NAME} {}", path.display()));
            Ok(Socket::inherit(path, listener, NAME)?)
        }
        None => {
            before.not_handed_over(format!("{NAME} {}: bound anew", path.display()));
            Socket::bind(path, NAME)
        }
    }
}

fn open_tcp(
    address: SocketAddr,
    key: &str,
    predecessor: Option<&mut Predecessor>,
    take: fn(&mut Inheritance, SocketAddr) -> Option<TcpListener>,
) -> anyhow::Result<TcpListener> {
    let taken = predecessor.and_then(|before| {
        let taken = take(&mut before.sockets, address);
        match taken {
            Some(_) => before.handed_over(format!("{key} {address}")),
            None => before.not_handed_over(format!("{key} {address}: bound anew")),
        }
        taken
    });
    taken.map_or_else(|| listen(address, key), Ok)
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    // std sets SO_REUSEADDR, so that a restart does not wait for old connections' last packets.
    let bind = || -> std::io::Result<TcpListener> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    bind().map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                ": another program listens there; stop it, or choose another port"
            }
            std::io::ErrorKind::PermissionDenied => {
                ": ports below 1024 need CAP_NET_BIND_SERVICE, or choose a higher one"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                ": no interface of this machine has this address"
            }
            _ => "",
        };
        anyhow::anyhow!("{key} {address}: {error}{hint}")
    })
}
