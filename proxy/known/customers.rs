//! The known customers as they are in force: the book, and the set in the gate that follows it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use super::book::{Book, Counts, Entry, KnownError};
use super::files::KnownFiles;
use super::import::Facts;
use crate::gate::Gate;
use crate::learn::{self, Keeper};
use crate::note::Note;
use crate::prefixes::{Added, read_prefix};
use crate::state::StateError;

/// Changes the book, and with it what requests are looked up in. A change may build a large set and waits
/// for another that does: none is for a thread that others wait for.
#[derive(Debug)]
pub struct Customers {
    gate: Arc<Gate>,
    book: Book,
    learned: Arc<Keeper>,
    /// One change at a time.
    turn: Mutex<()>,
}

impl Customers {
    /// The book of this gate, whose set is already in force.
    pub fn new(gate: Arc<Gate>, book: Book, learned: Arc<Keeper>) -> Self {
        Customers {
            gate,
            book,
            learned,
            turn: Mutex::new(()),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        self.gate.known.replace_all(|| self.book.layers());
    }

    /// What the files say.
    pub fn files(&self) -> Arc<KnownFiles> {
        self.book.files()
    }

    /// Takes files over that were read whole, and says what that changed.
    pub fn replace_files(&self, files: KnownFiles) -> Option<String> {
        let _turn = self.turn();
        let before = self.gate.known.len();
        let replaced = self.book.replace_files(files);
        self.publish();
        let after = self.gate.known.len();
        let files = replaced.changes(&self.book.files());
        let files = match files.as_str() {
            "" => String::new(),
            files => format!(" ({files})"),
        };
        (before != after || !files.is_empty())
            .then(|| format!("known prefixes: {before} -> {after}{files}"))
    }

    /// Known prefixes by where they come from.
    pub fn counts(&self) -> Counts {
        self.book.counts()
    }

    /// Known prefixes that the app confirmed, and how learning goes.
    pub fn learned(&self) -> learn::Counts {
        self.learned.counts()
    }

    /// Entries, at most `limit` of them, that contain `address` if one is given. Goes through all.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Entry> {
        let mut entries = self.book.list(limit, address);
        let left = limit.saturating_sub(entries.len());
        let learned = self.learned.list(left, address).into_iter();
        entries.extend(learned.map(|(prefix, confirmed)| Entry {
            prefix,
            source: "learned".to_owned(),
            line: None,
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
    pub fn add(&self, prefix: &str, note: Note) -> Result<Added, KnownError> {
        let _turn = self.turn();
        let added = self.book.add(prefix, note)?;
        self.publish();
        Ok(added)
    }

    /// Makes many customers known, all or none.
    ///
    /// # Errors
    /// When there are too many, or the reason is too long.
    pub fn import(&self, prefixes: Vec<IpNet>, facts: Facts) -> Result<Facts, String> {
        let _turn = self.turn();
        let facts = self.book.import(prefixes, facts)?;
        self.publish();
        Ok(facts)
    }

    /// Takes a customer out who was added or learned.
    ///
    /// # Errors
    /// See [`KnownError`].
    pub fn remove(&self, prefix: &str) -> Result<IpNet, KnownError> {
        let _turn = self.turn();
        let net = read_prefix(prefix)?;
        let forgotten = self.learned.forget(net);
        match self.book.remove(prefix) {
            Ok(_) => self.publish(),
            Err(_) if forgotten => {}
            Err(error) => return Err(error),
        }
        Ok(net)
    }

    /// The wall clock was set, as [`Book::move_ends`] takes it.
    pub fn move_ends(&self, seconds: i64) -> bool {
        self.book.move_ends(seconds)
    }

    /// Takes out what has ended, and says whether anything had. Not while another change is under way.
    pub fn expire(&self, now: u64) -> bool {
        let Ok(_turn) = self.turn.try_lock() else {
            return false;
        };
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

    /// Writes down what operators imported.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save_import(&self) -> Result<(), StateError> {
        self.book.save_import()
    }
}
