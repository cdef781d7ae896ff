//! Text that stands for something, with the place where it was written.

use std::{borrow::Cow, marker::PhantomData, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::literal::Literal;

/// Text that stands for a `T` and has not been read yet.
///
/// Reading waits until the whole file is known, so that every text that is
/// wrong is reported at once, each at its place.
pub(crate) struct Written<T> {
    text: Spanned<String>,
    value: PhantomData<fn() -> T>,
}

impl<T: Literal> Written<T> {
    /// The bytes of the source that it was written in.
    pub(crate) fn span(&self) -> Range<usize> {
        self.text.span()
    }

    /// The text without its quotes.
    pub(crate) fn text(&self) -> &str {
        self.text.get_ref()
    }

    /// Reads it; the error says what would be right.
    pub(crate) fn read(&self) -> Result<T, String> {
        T::read(self.text())
    }
}

impl<T> From<Spanned<String>> for Written<T> {
    fn from(text: Spanned<String>) -> Written<T> {
        Written {
            text,
            value: PhantomData,
        }
    }
}

impl<'de, T> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written<T>, D::Error> {
        Spanned::<String>::deserialize(deserializer).map(Written::from)
    }
}

impl<T: Literal> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "string", "examples": T::EXAMPLES });
        if let Some(pattern) = T::PATTERN {
            schema.insert("pattern".to_owned(), pattern.into());
        }
        schema
    }
}
