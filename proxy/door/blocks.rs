//! Blocks: clients that an operator shut out, each until its end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::gate::Gate;
use crate::prefixes::{Added, Book, BookError, read_prefix};
use crate::state::StateError;

/// How long a block lasts when nothing else is said.
pub const USUAL: Duration = Duration::from_secs(60 * 60);
/// How long a block may last, so that a forgotten one ends.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Prefixes with fewer bits hold a good part of the Internet.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// Why a block was not made or not lifted, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The prefix holds more than an operator can mean without saying so.
    #[error("{0} {1}; nothing was blocked: write a narrower prefix, or insist with --force")]
    Dangerous(IpNet, String),
    /// The bound on entries is reached.
    #[error("{0}: remove some, or block the prefix that several lie in")]
    Full(BookError),
    /// There is no such block.
    #[error("{0} is not blocked itself{1}")]
    Absent(IpNet, String),
    /// Neither an address nor a prefix, or more than a reason.
    #[error(transparent)]
    Unfit(BookError),
}

/// Changes the book of blocks, and with it what connections are looked up in.
#[derive(Debug)]
pub struct Blocks {
    gate: Arc<Gate>,
    book: Book,
}

impl Blocks {
    /// The blocks of this gate as they were before the restart, in force from here on. One whose end
    /// has passed is gone, and one without an end gets the usual one: somebody wrote it by hand.
    pub fn new(gate: Arc<Gate>, book: Book, now: u64) -> Self {
        book.expire(now);
        book.end_all_by(now.saturating_add(USUAL.as_secs()));
        let blocks = Blocks { gate, book };
        blocks.publish();
        blocks
    }

    fn publish(&self) {
        let set = || self.book.prefixes().into_iter().collect();
        self.gate.blocks.replace(set);
    }

    /// Shuts a client out, from its next connection and request on. Gives what the operator should
    /// know beside it.
    ///
    /// # Errors
    /// When it is not a prefix, when it is a dangerous one and nobody insists, when there are too
    /// many.
    pub fn add(
        &self,
        prefix: &str,
        entry: impl FnOnce(IpNet) -> Added,
        force: bool,
    ) -> Result<(Added, Option<String>), BlockError> {
        let prefix = read_prefix(prefix).map_err(BlockError::Unfit)?;
        if let Some(danger) = self.danger(prefix).filter(|_| !force) {
            return Err(BlockError::Dangerous(prefix, danger));
        }
        let entry = entry(prefix);
        self.book
            .add(entry.clone())
            .map_err(|problem| match problem {
                BookError::Full => BlockError::Full(problem),
                problem => BlockError::Unfit(problem),
            })?;
        self.publish();
        let known = self.gate.known.overlaps(prefix) || self.gate.learned.overlaps(prefix);
        let note = known.then(|| match is_one_address(prefix) {
            true => format!("{prefix} is a known customer, and blocked all the same"),
            false => format!("{prefix} holds known customers, who are blocked with it"),
        });
        Ok((entry, note))
    }

    /// What makes a block of this prefix look like a mistake.
    fn danger(&self, prefix: IpNet) -> Option<String> {
        let overlaps = |net: &IpNet| net.contains(&prefix) || prefix.contains(net);
        let loopback: [IpNet; 2] = [
            Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
            Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        ];
        if loopback.iter().any(overlaps) {
            return Some("is or holds this machine's own address".to_owned());
        }
        let policy = self.gate.policy.load();
        if let Some(proxy) = policy
            .client
            .trusted_proxies
            .iter()
            .find(|net| overlaps(net))
        {
            return Some(format!(
                "meets {proxy} of client.trusted_proxies, through whom others' requests come"
            ));
        }
        let shortest = match prefix {
            IpNet::V4(_) => SHORTEST_V4,
            IpNet::V6(_) => SHORTEST_V6,
        };
        (prefix.prefix_len() < shortest)
            .then(|| format!("is shorter than /{shortest}, a good part of the Internet"))
    }

    /// Lets a client in again.
    ///
    /// # Errors
    /// When there is no such block.
    pub fn remove(&self, prefix: &str) -> Result<Added, BlockError> {
        let prefix = read_prefix(prefix).map_err(BlockError::Unfit)?;
        let removed = self.book.remove(prefix).map_err(|_| {
            let around = self.book.list(1, Some(prefix.addr()));
            let hint = around.first().map_or_else(
                || ": see `tidegate block list`".to_owned(),
                |entry| format!("; it lies in {}, which is", entry.prefix),
            );
            BlockError::Absent(prefix, hint)
        })?;
        self.publish();
        Ok(removed)
    }

    /// The wall clock was set, as [`Book::move_ends`](crate::prefixes::Book::move_ends) takes it.
    pub fn move_ends(&self, seconds: i64) -> bool {
        self.book.move_ends(seconds)
    }

    /// Lifts the blocks whose end has come, and gives them.
    pub fn expire(&self, now: u64) -> Vec<Added> {
        let ended = self.book.expire(now);
        if !ended.is_empty() {
            self.publish();
        }
        ended
    }

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.book.len()
    }

    /// Blocks, at most `limit` of them, that contain `address` if one is given.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Added> {
        self.book.list(limit, address)
    }

    /// Writes them down. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        self.book.save()
    }
}

fn is_one_address(prefix: IpNet) -> bool {
    prefix.prefix_len() == prefix.max_prefix_len()
}
