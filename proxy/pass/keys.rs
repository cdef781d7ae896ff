//! The keys that sign passes: a file with the current one and, below it, the one before.

use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::regular;

/// Bytes of a key: those of the hash (RFC 2104 section 3).
const KEY: usize = 32;
/// Bytes that a key file may have, with comments.
const MAX_FILE: u64 = 64 << 10;

const HEAD: &str =
    "# Keys that sign tidegate's passes: the current one, and the one before. Keep them secret.\n";

/// The keys of one file.
pub struct Keys {
    /// Signs passes.
    pub(super) current: hmac::Key,
    /// Its passes are still believed.
    pub(super) previous: Option<hmac::Key>,
    secrets: Vec<[u8; KEY]>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct KeyError {
    path: PathBuf,
    problem: String,
}

impl fmt::Debug for Keys {
    /// Does not show them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.secrets == other.secrets
    }
}

impl Keys {
    /// Keys from their bytes.
    fn of(secrets: Vec<[u8; KEY]>) -> Option<Keys> {
        let mut keys = secrets
            .iter()
            .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret));
        Some(Keys {
            current: keys.next()?,
            previous: keys.next(),
            secrets: secrets.clone(),
        })
    }

    /// The keys in a file.
    ///
    /// # Errors
    /// When it cannot be read, everybody may read it, or it holds something else.
    pub fn read(path: &Path) -> Result<Keys, KeyError> {
        let error = |problem: String| KeyError {
            path: path.to_owned(),
            problem,
        };
        let (bytes, is_public) = regular::read_secret(path, MAX_FILE).map_err(|problem| {
            error(match problem.kind() {
                io::ErrorKind::NotFound => format!(
                    "cannot be read ({problem}); `tidegate pass new-key {}` makes one",
                    path.display()
                ),
                _ => format!("cannot be read ({problem})"),
            })
        })?;
        if is_public {
            return Err(error("everybody on this machine may read the keys, and make passes with them; chmod 600 it, and make a new key".to_owned()));
        }
        parse(&bytes).map_err(error)
    }

    /// Puts a new key into a file, which is made if there is none; the current key becomes the one
    /// before, whose passes are still believed. Whether there was one.
    ///
    /// # Errors
    /// When the file holds something else, or cannot be written.
    pub fn renew(path: &Path) -> Result<bool, KeyError> {
        let error = |problem: String| KeyError {
            path: path.to_owned(),
            problem,
        };
        let mut secret = [0; KEY];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| error("the system has no randomness".to_owned()))?;
        let fresh = line(&secret);
        let is_there = fs::exists(path).map_err(|problem| error(problem.to_string()))?;
        let written = if is_there {
            let before = Keys::read(path)?;
            let current = before.secrets.first().map(line).unwrap_or_default();
            replace(path, &format!("{HEAD}{fresh}{current}"))
        } else {
            write(path, &format!("{HEAD}{fresh}"), None)
        };
        written.map_err(|problem| error(problem.to_string()))?;
        Ok(is_there)
    }
}

fn line(secret: &[u8; KEY]) -> String {
    let digits = secret.iter().map(|byte| format!("{byte:02x}"));
    digits.chain(["\n".to_owned()]).collect()
}

/// What it says names lines and never quotes them: they may be keys.
fn parse(bytes: &[u8]) -> Result<Keys, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "holds something else than text")?;
    let mut secrets = Vec::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let secret = secret(line).ok_or_else(|| {
            format!(
                "line {number} is no key: one has {} hexadecimal digits",
                2 * KEY
            )
        })?;
        secrets.push(secret);
    }
    match secrets.len() {
        1 | 2 => Keys::of(secrets).ok_or_else(|| "holds no key".to_owned()),
        0 => Err("holds no key; `tidegate pass new-key` writes one".to_owned()),
        more => Err(format!(
            "holds {more} keys, and there are two at most: the current one and the one before"
        )),
    }
}

fn secret(line: &str) -> Option<[u8; KEY]> {
    if line.len() != 2 * KEY || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut secret = [0; KEY];
    for (place, at) in secret.iter_mut().zip((0..).step_by(2)) {
        *place = u8::from_str_radix(line.get(at..at + 2)?, 16).ok()?;
    }
    Some(secret)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Where it really is: a link to it stays one.
    let path = fs::canonicalize(path)?;
    let before = fs::metadata(&path)?;
    write(&path, text, Some(&before))
}

/// Writes a file as private as the one before, or its owner's alone.
fn write(path: &Path, text: &str, before: Option<&Metadata>) -> io::Result<()> {
    let mode = before.map_or(Permissions::from_mode(0o600), Metadata::permissions);
    let written = regular::replace(path, |file| {
        if let Some(before) = before {
            // The gate may run as somebody else than who renews its key.
            fchown(&*file, Some(before.uid()), Some(before.gid()))?;
        }
        // Before a key is in it: what an earlier try left beside may be open to others.
        file.set_permissions(mode)?;
        file.write_all(text.as_bytes())
    });
    written.map(drop)
}

#[cfg(test)]
impl Keys {
    /// Keys for tests: a byte each.
    pub(super) fn numbered(numbers: &[u8]) -> Keys {
        Keys::of(numbers.iter().map(|number| [*number; KEY]).collect()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_private_and_the_current_one_becomes_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass.key");
        assert!(!Keys::renew(&path).unwrap(), "there was none");
        let first = Keys::read(&path).unwrap();
        assert!(first.previous.is_none());
        assert!(Keys::renew(&path).unwrap());
        let second = Keys::read(&path).unwrap();
        assert_eq!(second.secrets[1], first.secrets[0]);
        assert_ne!(second.secrets[0], first.secrets[0]);
        Keys::renew(&path).unwrap();
        let third = Keys::read(&path).unwrap();
        assert_eq!(third.secrets[1], second.secrets[0], "two at most");
        assert_eq!(third.secrets.len(), 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_failure_left_beside_is_in_nobodys_way() {
        for name in ["pass.key", "pass.new"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let left = folder.path().join(format!("{name}.new"));
            let allow = |path, bits| fs::set_permissions(path, Permissions::from_mode(bits));
            let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            for bits in [0o600, 0o640] {
                let before = Keys::read(&path).ok();
                fs::write(&left, "cut").unwrap();
                allow(&left, 0o644).unwrap();
                assert_eq!(Keys::renew(&path).unwrap(), before.is_some(), "{name}");
                let now = Keys::read(&path).unwrap();
                let known = before.map(|before| before.secrets[0]);
                assert_eq!(now.secrets.get(1).copied(), known, "{name}");
                assert_eq!(mode(), bits, "{name}");
                assert!(!left.exists(), "{name}");
                allow(&path, 0o640).unwrap();
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass.key");
        let in_the_way = folder.path().join("pass.key.new");
        fs::create_dir(&in_the_way).unwrap();
        assert!(Keys::renew(&path).is_err() && !path.exists());
        fs::remove_dir(&in_the_way).unwrap();
        Keys::renew(&path).unwrap();
        let before = Keys::read(&path).unwrap();
        fs::create_dir(&in_the_way).unwrap();
        assert!(Keys::renew(&path).is_err());
        assert_eq!(Keys::read(&path).unwrap(), before);
    }

    #[test]
    fn what_is_no_key_is_told_and_not_quoted() {
        let key = "ab".repeat(KEY);
        for (text, word) in [
            (String::new(), "no key"),
            ("# nothing\n".to_owned(), "no key"),
            (format!("{key}\nSECRET\n"), "line 2"),
            (key[1..].to_owned(), "line 1"),
            (format!("{key}\n{key}\n{key}\n"), "3 keys"),
            (format!("{}é", &key[2..]), "line 1"),
        ] {
            let problem = parse(text.as_bytes()).unwrap_err();
            assert!(problem.contains(word), "{problem}");
            assert!(!problem.contains("SECRET") && !problem.contains("abab"));
        }
        assert!(parse(b"\xff").is_err());
        assert!(parse(key.to_uppercase().as_bytes()).is_ok());
    }

    #[test]
    fn keys_that_everybody_may_read_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass.key");
        Keys::renew(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let problem = Keys::read(&path).unwrap_err().to_string();
        assert!(problem.contains("chmod 600"), "{problem}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Keys::read(&path).is_ok());
    }
}
