//! How modes and shares are written in JSON: as people type them.

/// Modes in JSON, under the names that people type.
pub mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use tidegate_config::Mode;

    /// Writes the mode's name.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(mode: &Mode, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(mode)
    }

    /// Reads a mode's name.
    ///
    /// # Errors
    /// When there is no such mode.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(D::Error::custom)
    }
}

/// Shares in JSON, as people type them.
pub mod as_percentage {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use tidegate_config::Share;

    /// Writes the percentage.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(share: &Share, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(share)
    }

    /// Reads a percentage.
    ///
    /// # Errors
    /// When it is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Share, D::Error> {
        let share = String::deserialize(from)?;
        share.parse().map_err(D::Error::custom)
    }
}
