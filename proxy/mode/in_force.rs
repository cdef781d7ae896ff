//! What a request needs to know of the mode, in one atomic.

use std::fmt;

use tidegate_config::{Mode, Share};

/// What a request needs to know of the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The mode.
    pub mode: Mode,
    /// Which share of the unknown clients it lets in, in `known-only`.
    pub admit_unknown: Share,
}

impl InForce {
    /// In one number, for an atomic.
    pub(super) fn packed(self) -> u32 {
        let mode = match self.mode {
            Mode::Observe => 0,
            Mode::Normal => 1,
            Mode::KnownOnly => 2,
        };
        mode << 16 | u32::from(self.admit_unknown.parts())
    }

    /// What was packed.
    pub(super) fn unpacked(packed: u32) -> Self {
        InForce {
            mode: match packed >> 16 {
                0 => Mode::Observe,
                2 => Mode::KnownOnly,
                _ => Mode::Normal,
            },
            // The lower half.
            admit_unknown: Share::of_parts(packed as u16),
        }
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mode.fmt(f)?;
        match self.admit_unknown {
            Share::NONE => Ok(()),
            share => write!(f, ", {share} of unknown clients admitted"),
        }
    }
}
