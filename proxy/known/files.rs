//! Known customers from files: one address or prefix a line, `#` starts a comment.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

/// Bytes that one file may have: a million IPv6 prefixes fit four times.
const MAX_FILE: u64 = 256 << 20;
/// Bytes of a line, comment included.
const MAX_LINE: usize = 1024;
/// A line that is too long is not read further than to see that it is.
const LINE_AND_END: u64 = 1026;

/// Why a file of known customers was not taken over; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A pattern that is not one.
    #[error("known.files: {pattern:?} is not a pattern: {problem}")]
    Pattern {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file without wildcards in its name that is not there.
    #[error("known.files: {0} does not exist; create it, or use a pattern such as known.d/*.txt")]
    Missing(PathBuf),
    /// A file that cannot be read.
    #[error("{path}: cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A line that is neither an address nor a prefix.
    #[error("{path}:{line}: found {found:?}; {hint}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        hint: String,
    },
}

/// A file, and the prefixes in it.
pub type FromFile = (PathBuf, Vec<IpNet>);

/// Every prefix in the files that the patterns name, with the file it stands in.
pub(super) fn read(patterns: &[PathBuf]) -> Result<Vec<FromFile>, FilesError> {
    let mut files = Vec::new();
    for pattern in patterns {
        for path in expand(pattern)? {
            let prefixes = read_file(&path)?;
            files.push((path, prefixes));
        }
    }
    Ok(files)
}

fn expand(pattern: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let text = pattern.to_string_lossy();
    let bad = |problem: String| FilesError::Pattern {
        pattern: text.to_string(),
        problem,
    };
    let found = glob::glob(&text).map_err(|error| bad(error.to_string()))?;
    let paths: Vec<PathBuf> = found
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if paths.is_empty() && !text.contains(['*', '?', '[']) {
        return Err(FilesError::Missing(pattern.to_owned()));
    }
    Ok(paths)
}

fn read_file(path: &Path) -> Result<Vec<IpNet>, FilesError> {
    let unreadable = |problem: String| FilesError::Unreadable {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let meta = file
        .metadata()
        .map_err(|error| unreadable(error.to_string()))?;
    if !meta.is_file() {
        return Err(unreadable("it is not a regular file".to_owned()));
    }
    if meta.len() > MAX_FILE {
        return Err(unreadable(format!("it is larger than {MAX_FILE} bytes")));
    }
    let mut prefixes = Vec::new();
    // The bound holds for a file that grows while it is read, too.
    let reader = BufReader::new(file.take(MAX_FILE));
    let mut lines = reader;
    for index in 0.. {
        let mut line = Vec::new();
        let read = (&mut lines).take(LINE_AND_END).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(error.to_string()))? == 0 {
            break;
        }
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        let bad = |found: &str, hint: String| FilesError::Line {
            path: path.to_owned(),
            line: index + 1,
            found: found.chars().take(80).collect(),
            hint,
        };
        if line.len() > MAX_LINE {
            let start = String::from_utf8_lossy(line.get(..40).unwrap_or_default()).into_owned();
            return Err(bad(&start, format!("a line has at most {MAX_LINE} bytes")));
        }
        let text = String::from_utf8_lossy(&line);
        let entry = text.split('#').next().unwrap_or_default().trim();
        if !ended {
            let hint =
                "the last line has no end, as in a file that is cut short: end it with a new line";
            return Err(bad(entry, hint.to_owned()));
        }
        if !entry.is_empty() {
            prefixes.push(parse_prefix(entry).map_err(|hint| bad(entry, hint))?);
        }
    }
    Ok(prefixes)
}

/// `ADDRESS/LENGTH`, by the standard library's strict reading of addresses: ipnet's own takes
/// `010.0.0.0/8` for `10.0.0.0/8`.
fn network(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let length = Some(length).filter(|length| length.bytes().all(|byte| byte.is_ascii_digit()))?;
    IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()
}

/// Reads an address or a prefix; the error says what would be right.
pub fn parse_prefix(text: &str) -> Result<IpNet, String> {
    const EXAMPLE: &str =
        "write one address or prefix, such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/48";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let net = network(text).ok_or(EXAMPLE)?;
    if net.addr() != net.network() {
        return Err(format!(
            "an address with a prefix length has no bits behind it: write {} for the network, or {} for the one address",
            net.trunc(),
            net.addr()
        ));
    }
    match net {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err("write IPv4 addresses in their own form, such as 192.0.2.0/24".to_owned())
        }
        _ => Ok(net),
    }
}
