//! Who asks.

use std::time::Duration;

/// How long a name may take that a directory service has to be asked for.
const NAMING: Duration = Duration::from_secs(1);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operator {
    /// The user of the process at the other end of the socket, by number: a name may take time.
    Peer(Option<u32>),
    /// Whoever connected over TCP.
    Tcp,
}

impl Operator {
    /// What the audit log calls it.
    pub(super) async fn name(self) -> String {
        let uid = match self {
            Operator::Peer(Some(uid)) => uid,
            Operator::Peer(None) => return "unknown".to_owned(),
            Operator::Tcp => return "token over TCP".to_owned(),
        };
        let found = tokio::task::spawn_blocking(move || nix::unistd::User::from_uid(uid.into()));
        match tokio::time::timeout(NAMING, found).await {
            Ok(Ok(Ok(Some(user)))) => user.name,
            _ => format!("uid {uid}"),
        }
    }
}
