//! The token that is asked for over TCP.

use std::fmt;
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::SystemRandom;

use crate::regular;

/// Characters of a token: 128 bits in hexadecimal digits.
const LEAST: usize = 32;
/// Bytes of its file.
const MAX_FILE: u64 = 4096;

/// A token, to compare others with.
pub struct Token {
    text: String,
    key: hmac::Key,
    tag: hmac::Tag,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct TokenError {
    path: PathBuf,
    problem: String,
}

impl fmt::Debug for Token {
    /// Does not show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Token {
    /// The token in a file.
    ///
    /// # Errors
    /// When it cannot be read, everybody may read it, or it is none.
    pub fn read(path: &Path) -> Result<Token, TokenError> {
        let error = |problem: String| TokenError {
            path: path.to_owned(),
            problem,
        };
        let text = read_text(path)?;
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| error("the system gives no random numbers".to_owned()))?;
        let tag = hmac::sign(&key, text.as_bytes());
        Ok(Token { text, key, tag })
    }

    /// Whether this is the token. Takes as long for a guess that is nearly right as for any other: what is
    /// compared, in constant time, are authentication codes under a key that nobody knows.
    pub(super) fn is(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }
}

impl PartialEq for Token {
    /// For who may read the files.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The token in a file, as a client sends it.
///
/// # Errors
/// As [`Token::read`].
pub fn read_text(path: &Path) -> Result<String, TokenError> {
    let error = |problem: String| TokenError {
        path: path.to_owned(),
        problem,
    };
    let (bytes, is_public) = regular::read_secret(path, MAX_FILE)
        .map_err(|problem| error(format!("cannot be read ({problem})")))?;
    if is_public {
        let problem =
            "everybody on this machine may read the token; chmod 600 it, and make a new one";
        return Err(error(problem.to_owned()));
    }
    let text = bytes.trim_ascii();
    // RFC 6750 section 2.1 allows less; what is visible and has no spaces is sent as it stands.
    if !text.iter().all(u8::is_ascii_graphic) {
        let problem = "a token is one line of visible ASCII characters without spaces";
        return Err(error(problem.to_owned()));
    }
    if text.len() < LEAST {
        let problem = format!(
            "a token has at least {LEAST} characters, such as `openssl rand -hex 32` prints"
        );
        return Err(error(problem));
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}
