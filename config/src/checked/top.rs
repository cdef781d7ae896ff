use std::path::PathBuf;

/// Databases in MaxMind's format that say whose an address is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Of autonomous systems, absolute.
    pub systems_file: Option<PathBuf>,
    /// Of countries, absolute.
    pub countries_file: Option<PathBuf>,
}
