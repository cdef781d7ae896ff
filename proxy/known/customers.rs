//! The known customers as they are in force: the book, and the set in the gate that follows it.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::bail;
use ipnet::IpNet;

use super::book::{Book, Entry, KnownError};
use crate::gate::Gate;
use crate::learn::{Counts, Keeper};
use crate::lists::FromFile;
use crate::prefixes::{Added, read_prefix};
use crate::state::StateError;

/// Changes the book, and with it what requests are looked up in.
#[derive(Debug)]
pub struct Customers {
    gate: Arc<Gate>,
    book: Book,
    learned: Arc<Keeper>,
}

impl Customers {
    /// The book of this gate, whose set is already in force.
    pub fn new(gate: Arc<Gate>, book: Book, learned: Arc<Keeper>) -> Self {
        Customers {
            gate,
            book,
            learned,
        }
    }

    fn publish(&self) {
        self.gate.known.replace(|| self.book.set());
    }

    /// Customers do not leave by the half: files that say so were cut, emptied or mistaken.
    ///
    /// # Errors
    /// When fewer than half of the prefixes of files would be left.
    pub fn refuse_shrunk(&self, files: &[FromFile<IpNet>]) -> anyhow::Result<()> {
        let (before, _) = self.book.counts();
        let after: usize = files.iter().map(|(_, prefixes)| prefixes.len()).sum();
        if after * 2 < before {
            bail!(
                "known.files: only {after} of {before} prefixes are left, as if a file was cut or emptied; if that is meant, `tidegate reload --force`; nothing was changed"
            );
        }
        Ok(())
    }

    /// Takes files over that were read whole, and says what that changed.
    pub fn replace_files(&self, files: Vec<FromFile<IpNet>>) -> Option<String> {
        let before = self.gate.known.len();
        self.book.replace_files(files);
        self.publish();
        let after = self.gate.known.len();
        (before != after).then(|| format!("known prefixes: {before} -> {after}"))
    }

    /// Known prefixes: lines of files, added by operators.
    pub fn counts(&self) -> (usize, usize) {
        self.book.counts()
    }

    /// Known prefixes that the app confirmed, and how learning goes.
    pub fn learned(&self) -> Counts {
        self.learned.counts()
    }

    /// Entries, at most `limit` of them, that contain `address` if one is given.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Entry> {
        let mut entries = self.book.list(limit, address);
        let left = limit.saturating_sub(entries.len());
        let learned = self.learned.list(left, address).into_iter();
        entries.extend(learned.map(|(prefix, confirmed)| Entry {
            prefix,
            source: "learned".to_owned(),
            until: None,
            reason: None,
            confirmed: Some(confirmed),
        }));
        entries
    }

    /// Makes a customer known, from the next request on.
    ///
    /// # Errors
    /// See [`KnownError`].
    pub fn add(
        &self,
        prefix: &str,
        until: Option<u64>,
        reason: Option<String>,
    ) -> Result<Added, KnownError> {
        let added = self.book.add(prefix, until, reason)?;
        self.publish();
        Ok(added)
    }

    /// Takes a customer out who was added or learned.
    ///
    /// # Errors
    /// See [`KnownError`].
    pub fn remove(&self, prefix: &str) -> Result<IpNet, KnownError> {
        let net = read_prefix(prefix)?;
        let forgotten = self.learned.forget(net);
        match self.book.remove(prefix) {
            Ok(_) => self.publish(),
            Err(_) if forgotten => {}
            Err(error) => return Err(error),
        }
        Ok(net)
    }

    /// Takes out what has ended, and says whether anything had.
    pub fn expire(&self, now: u64) -> bool {
        let ended = self.book.expire(now) > 0;
        if ended {
            self.publish();
        }
        ended
    }

    /// Writes down what operators added. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        self.book.save()
    }
}
