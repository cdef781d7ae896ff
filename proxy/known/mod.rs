//! The known set: the addresses and prefixes of known customers.

mod book;
mod customers;

pub use book::{Book, Entry, KnownError};
pub use customers::Customers;
