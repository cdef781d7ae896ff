//! Where operators are answered.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Folder, listeners::collide};
use crate::{
    checked::{Admin, AdminTcp, Listener, Metrics, default_admin_socket},
    findings::Findings,
    raw::{self, Written},
};

/// The longest path that fits into a socket's address, in bytes.
const LONGEST_SOCKET: usize = 107;

pub(super) fn admin(
    findings: &mut Findings<'_>,
    raw: raw::Admin,
    folder: &Folder,
    listeners: &[Listener],
    metrics: &Metrics,
) -> Admin {
    let traffic = listeners.iter().map(|listener| listener.address);
    let taken: Vec<SocketAddr> = traffic.chain(metrics.address).collect();
    Admin {
        is_named: false,
        socket: socket(findings, raw.socket, folder).unwrap_or_else(default_admin_socket),
        tcp: tcp(findings, raw.address, raw.token_file, folder, &taken),
    }
}

fn socket(
    findings: &mut Findings<'_>,
    written: Option<Written<PathBuf>>,
    folder: &Folder,
) -> Option<PathBuf> {
    let written = written?;
    let socket = folder.join(&findings.read(&written)?);
    let length = socket.as_os_str().len();
    if length > LONGEST_SOCKET {
        let right = format!(
            "the path of a socket has at most {LONGEST_SOCKET} bytes, and this one is {length} \
             bytes with its folder"
        );
        findings.wrong(&written.span(), &right);
    }
    Some(socket)
}

/// Both or neither: everybody on this machine can connect to a port.
fn tcp(
    findings: &mut Findings<'_>,
    address: Option<Written<SocketAddr>>,
    token_file: Option<Written<PathBuf>>,
    folder: &Folder,
    taken: &[SocketAddr],
) -> Option<AdminTcp> {
    let (written, file) = match (address, token_file) {
        (Some(address), Some(file)) => (address, file),
        (Some(address), None) => {
            let right = "everybody on this machine can connect to it: name the file with a token \
                         in `token_file`";
            findings.wrong(&address.span(), &right);
            return None;
        }
        (None, Some(file)) => {
            let right = "no token is asked for without `address`, such as \"127.0.0.1:9903\"";
            findings.wrong(&file.span(), &right);
            return None;
        }
        (None, None) => return None,
    };
    let (address, file) = (findings.read(&written)?, findings.read(&file)?);
    let right = match taken.iter().find(|other| collide(**other, address)) {
        _ if !address.ip().is_loopback() => Some(
            "this is for this machine alone, such as \"127.0.0.1:9903\": from elsewhere take \
                  `ssh -L`"
                .to_owned(),
        ),
        Some(other) => Some(format!(
            "another listener has \"{other}\": this one needs a port of its own"
        )),
        None => None,
    };
    if let Some(right) = right {
        findings.wrong(&written.span(), &right);
    }
    Some(AdminTcp {
        address,
        token_file: folder.join(&file),
    })
}
