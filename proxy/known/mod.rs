//! The known set: the addresses and prefixes of known customers.

mod book;
mod customers;
mod files;
mod import;

pub use book::{Book, Counts, Entry, KnownError};
pub use customers::Customers;
pub use files::{KnownFiles, Shrunk};
pub use import::{Facts, Import, Imported, Imports, MAX_IMPORTED, MAX_IMPORTS};

use std::io::Read;
use std::path::Path;

use ipnet::IpNet;

use crate::lists::{self, ListError};
use crate::prefixes::parse_prefix;

/// Reads prefixes as from a file of this name: one a line, or CSV.
///
/// # Errors
/// When a line cannot be understood, the last one has no end, or there are more than one import may
/// have.
pub fn read_prefixes(name: &Path, from: impl Read) -> Result<Vec<IpNet>, ListError> {
    let mut prefixes = Vec::new();
    lists::read_from(name, from, &files::COLUMNS, |_, text| {
        if prefixes.len() >= MAX_IMPORTED {
            return Err(format!(
                "no more than {MAX_IMPORTED} prefixes can be imported: put them in a file that known.files names"
            ));
        }
        prefixes.push(parse_prefix(text)?);
        Ok(())
    })?;
    Ok(prefixes)
}
