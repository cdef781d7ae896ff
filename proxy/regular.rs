//! Regular files, read whole and not beyond a bound.

use std::fs::File;
use std::io::{self, Read, Take};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The bytes of a file of at most so many.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, most)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file of at most so many bytes; what it grows by while it is read does not come.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn open(path: &Path, most: u64) -> io::Result<Take<File>> {
    // Opening a named pipe would wait for somebody who writes to it.
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        let found = if meta.is_dir() { "a folder, " } else { "" };
        return Err(io::Error::other(format!("it is {found}not a regular file")));
    }
    if meta.len() > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(file.take(most))
}
