//! JSON schemas, as far as the gate's own description of its API goes. What it does not know of fails, so
//! that nothing goes unchecked.

use serde_json::{Map, Value};

/// What only tells.
const TELLING: [&str; 6] = [
    "title",
    "description",
    "default",
    "examples",
    "format",
    "$schema",
];

/// A document whose schemas refer to each other.
pub struct Schemas<'document>(pub &'document Value);

impl<'document> Schemas<'document> {
    /// What a `$ref` stands for.
    pub fn resolved(&self, schema: &'document Value) -> &'document Value {
        match schema["$ref"].as_str() {
            Some(to) => {
                let pointer = to.strip_prefix('#').expect("within the document");
                let found = self.0.pointer(pointer);
                found.unwrap_or_else(|| panic!("{to} leads nowhere"))
            }
            None => schema,
        }
    }

    /// What is wrong with a value, where.
    pub fn wrong(&self, schema: &'document Value, value: &Value, at: &str) -> Vec<String> {
        let Some(schema) = self.resolved(schema).as_object() else {
            return match schema {
                Value::Bool(true) => Vec::new(),
                _ => vec![format!("{at}: {schema} is no schema")],
            };
        };
        let mut wrong = Vec::new();
        for (keyword, of) in schema {
            wrong.extend(self.wrong_by(keyword, of, schema, value, at));
        }
        wrong
    }

    fn wrong_by(
        &self,
        keyword: &str,
        of: &'document Value,
        schema: &'document Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Vec<String> {
        let holds = match keyword {
            "type" => is_of_type(of, value),
            "enum" => of.as_array().unwrap().contains(value),
            "const" => of == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|value| value >= of.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|value| value <= of.as_f64().unwrap()),
            "minItems" => has(value, |length| length >= of.as_u64().unwrap()),
            "maxItems" => has(value, |length| length <= of.as_u64().unwrap()),
            "required" => {
                let mut names = of.as_array().unwrap().iter();
                names.all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "anyOf" | "oneOf" => {
                let mut forms = of.as_array().unwrap().iter();
                forms.any(|form| self.wrong(form, value, at).is_empty())
            }
            "properties" => return self.wrong_properties(of, schema, value, at),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                return items
                    .flat_map(|(index, item)| self.wrong(of, item, &format!("{at}[{index}]")))
                    .collect();
            }
            // Beside `properties`, which looks at both.
            "additionalProperties" => true,
            telling if TELLING.contains(&telling) => true,
            other => panic!("{at}: nothing here knows of {other:?}"),
        };
        match holds {
            true => Vec::new(),
            false => vec![format!("{at}: {value} against {keyword}: {of}")],
        }
    }

    /// Each that has a schema fits, and each has one.
    fn wrong_properties(
        &self,
        properties: &'document Value,
        schema: &'document Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Vec<String> {
        let found = value.as_object().into_iter().flatten();
        let wrong = found.flat_map(|(name, value)| {
            let at = format!("{at}.{name}");
            match properties.get(name).or(schema.get("additionalProperties")) {
                Some(schema) => self.wrong(schema, value, &at),
                None => vec![format!("{at} is not described")],
            }
        });
        wrong.collect()
    }
}

fn has(value: &Value, fits: impl Fn(u64) -> bool) -> bool {
    let items = value.as_array();
    items.is_none_or(|items| fits(items.len() as u64))
}

fn is_of_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    };
    match types {
        Value::Array(types) => types.iter().any(is),
        one => is(one),
    }
}
