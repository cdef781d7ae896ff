//! A listed tenant: the name of its tier, or that with its own numbers.

use std::{borrow::Cow, fmt, num::NonZeroU32};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml::Spanned;

use super::{Limit, Written};
use crate::literal::Name;

/// What stands behind a tenant in `[tenants]`: its tier alone, or a table.
pub(crate) struct Listed(pub(crate) Own);

/// A tenant with its own numbers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    example = serde_json::json!({ "tier": "verified" }),
    example = serde_json::json!({ "tier": "verified", "name": "acme" })
)]
pub(crate) struct Own {
    /// The tier it is in.
    #[schemars(example = &"verified")]
    pub(crate) tier: Written<String>,
    /// What it is called in the log and on the command line. All that is listed
    /// under one name is one tenant, with one budget. Default: what it is told by.
    #[schemars(example = &"acme")]
    pub(crate) name: Option<Written<Name>>,
    /// What it may request, instead of what its tier says.
    pub(crate) limit: Option<Limit>,
    /// Its requests that may be under way at a time, instead of what its tier says.
    #[schemars(range(min = 1, max = 10_000_000), example = 20)]
    pub(crate) in_flight: Option<NonZeroU32>,
}

/// Either form. serde's own `untagged` would lose the places.
enum Form {
    Tier(String),
    Own(Box<Own>),
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listed, D::Error> {
        let form = Spanned::<Form>::deserialize(deserializer)?;
        let span = form.span();
        Ok(Listed(match form.into_inner() {
            Form::Own(own) => *own,
            Form::Tier(tier) => Own {
                tier: Written::from(Spanned::new(span, tier)),
                name: None,
                limit: None,
                in_flight: None,
            },
        }))
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Form, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a tier, or a table with it")
    }

    fn visit_str<E>(self, tier: &str) -> Result<Form, E> {
        Ok(Form::Tier(tier.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Form, A::Error> {
        let own = Own::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Form::Own(Box::new(own)))
    }
}

impl JsonSchema for Listed {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Listed".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "string",
                    "description": "The name of its tier.",
                    "examples": ["verified"],
                },
                generator.subschema_for::<Own>(),
            ],
        })
    }
}
