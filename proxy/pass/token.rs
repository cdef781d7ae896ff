//! What a pass looks like: a version, a number, two times, and their HMAC-SHA256 (RFC 2104, FIPS 180-4),
//! in base64url (RFC 4648 section 5). All of one length, so that anything else is no pass at a glance.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::Keys;

const VERSION: u8 = 1;
/// Bytes of the number: two of a billion passes are the same with a chance of 1 in 10^11.
const ID: usize = 12;
/// Bytes of a time in seconds since the epoch.
const TIME: usize = 6;
const CONTENT: usize = 1 + ID + 2 * TIME;
const TAG: usize = 32;
const WHOLE: usize = CONTENT + TAG;
/// Characters of a pass: a multiple of four, so that there is one way to write it.
pub(super) const TEXT: usize = WHOLE / 3 * 4;

/// The number of a pass. As text it has 24 hexadecimal digits.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub struct Id([u8; ID]);

impl Id {
    /// One that nobody can guess; `None` when the system has no randomness.
    fn random() -> Option<Id> {
        let mut bytes = [0; ID];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Id(bytes))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        let digits = text.len() == 2 * ID && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        let bytes = number.map(u128::to_be_bytes);
        let last = bytes.as_ref().and_then(|bytes| bytes.last_chunk::<ID>());
        last.map(|bytes| Id(*bytes)).ok_or_else(|| {
            format!("the number of a pass has {} hexadecimal digits, as in the access log and in `tidegate explain`", 2 * ID)
        })
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Id, String> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.to_string()
    }
}

/// What a pass says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its number.
    pub id: Id,
    /// When it was issued, in seconds since the epoch.
    pub issued: u64,
    /// When it ends.
    pub expires: u64,
}

impl Pass {
    /// A pass from `now` on: a new one, or the same one for longer, so that to revoke it keeps its
    /// effect. `None` when the system has no randomness.
    pub fn issue(earlier: Option<Pass>, now: u64, lifetime: u64) -> Option<Pass> {
        let id = match earlier {
            Some(earlier) => earlier.id,
            None => Id::random()?,
        };
        Some(Pass {
            id,
            issued: now,
            expires: now.saturating_add(lifetime),
        })
    }

    /// Whether more than half of its time is left.
    pub fn is_fresh(&self, now: u64) -> bool {
        let left = self.expires.saturating_sub(now);
        left.saturating_mul(2) > self.expires.saturating_sub(self.issued)
    }

    fn content(&self) -> [u8; CONTENT] {
        let mut bytes = [VERSION; CONTENT];
        let mut rest = bytes.iter_mut().skip(1);
        let [issued, expires] = [self.issued, self.expires].map(u64::to_be_bytes);
        let times = issued
            .iter()
            .skip(8 - TIME)
            .chain(expires.iter().skip(8 - TIME));
        for byte in self.id.0.iter().chain(times) {
            if let Some(place) = rest.next() {
                *place = *byte;
            }
        }
        bytes
    }

    fn of(content: &[u8; CONTENT]) -> Option<Pass> {
        let (version, rest) = content.split_first()?;
        let (id, times) = rest.split_first_chunk::<ID>()?;
        let (issued, expires) = times.split_first_chunk::<TIME>()?;
        let seconds = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        (*version == VERSION).then(|| Pass {
            id: Id(*id),
            issued: seconds(issued),
            expires: seconds(expires),
        })
    }

    /// The pass as text, signed. `epoch`: that of the gate, which is signed and not written, so that
    /// all passes of earlier ones end with it.
    pub fn seal(&self, keys: &Keys, epoch: u64) -> ArrayString<TEXT> {
        let content = self.content();
        let mut whole = [0; WHOLE];
        let (front, back) = whole.split_at_mut(CONTENT);
        front.copy_from_slice(&content);
        let tag = hmac::sign(&keys.current, &signed_message(&content, epoch));
        back.copy_from_slice(tag.as_ref());
        let mut text = [0; TEXT];
        // The lengths match; a test writes one.
        let _ = URL_SAFE_NO_PAD.encode_slice(whole, &mut text);
        ArrayString::from_byte_string(&text).unwrap_or_default()
    }

    /// The pass that this text is, if one of the keys has signed it; whether it has ended is another
    /// question. Allocates nothing, and takes the same time wherever a signature is wrong.
    pub fn open(text: &str, keys: &Keys, epoch: u64) -> Option<Pass> {
        if text.len() != TEXT {
            return None;
        }
        let mut whole = [0; WHOLE];
        URL_SAFE_NO_PAD.decode_slice(text, &mut whole).ok()?;
        let (content, tag) = whole.split_first_chunk::<CONTENT>()?;
        let signed = [Some(&keys.current), keys.previous.as_ref()];
        let mut signed = signed.into_iter().flatten();
        let message = signed_message(content, epoch);
        let good = signed.any(|key| hmac::verify(key, &message, tag).is_ok());
        Pass::of(content).filter(|_| good)
    }
}

/// What is signed: all that the pass says, and the epoch that it does not say.
fn signed_message(content: &[u8; CONTENT], epoch: u64) -> [u8; CONTENT + 8] {
    let mut message = [0; CONTENT + 8];
    let (front, back) = message.split_at_mut(CONTENT);
    front.copy_from_slice(content);
    back.copy_from_slice(&epoch.to_be_bytes());
    message
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
