//! The addresses that the demo's senders have.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// Known customers: their network, and how many there are.
pub(super) const CUSTOMERS: Group = Group {
    network: Ipv4Addr::new(127, 10, 0, 0),
    size: 4,
};
/// Visitors that the gate does not know.
pub(super) const VISITORS: Group = Group {
    network: Ipv4Addr::new(127, 20, 0, 0),
    size: 6,
};
/// The flood.
pub(super) const FLOOD: Group = Group {
    network: Ipv4Addr::new(127, 66, 0, 0),
    size: 200,
};

/// Two customers on the move: at home when they log in, and abroad, where the gate has not seen them.
pub(super) const HOME: Ipv4Addr = Ipv4Addr::new(127, 30, 0, 1);
pub(super) const ABROAD: [Ipv4Addr; 2] =
    [Ipv4Addr::new(127, 40, 0, 1), Ipv4Addr::new(127, 50, 0, 1)];

/// Addresses of one kind of sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    network: Ipv4Addr,
    pub(super) size: u32,
}

impl Group {
    pub(super) fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let first = self.network.to_bits();
        (1..=self.size).map(move |host| Ipv4Addr::from_bits(first | host))
    }

    /// The first and the last one, for people.
    pub(super) fn range(self) -> String {
        let first = Ipv4Addr::from_bits(self.network.to_bits() | 1);
        format!("{first} to .{}", self.size)
    }
}

/// How a sender comes to have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Its connections come from there: on Linux, all of 127.0.0.0/8 is this machine.
    Bound,
    /// It is named in `X-Forwarded-For`, as behind a load balancer: other systems have one loopback
    /// address.
    Named,
}

impl Origin {
    /// What works on this system.
    pub(super) fn of_this_system() -> Self {
        let bound = |address| std::net::TcpListener::bind((address, 0)).is_ok();
        match FLOOD.addresses().next().is_some_and(bound) {
            true => Origin::Bound,
            false => Origin::Named,
        }
    }

    /// A connection to the gate.
    pub(super) async fn connect(
        self,
        address: Ipv4Addr,
        gate: SocketAddr,
    ) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if self == Origin::Bound {
            socket.bind((address, 0).into())?;
        }
        let stream = socket.connect(gate).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
