//! What the admin API takes and answers, as OpenAPI 3.1: from the very types that go over it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::Problem;
use super::wire::{
    AuditQuery, BlockList, BlockRequest, Changed, ExplainQuery, Explanation, ImportQuery, Imported,
    KnownList, KnownRequest, LogReopened, ModeRequest, PassRequest, PrefixQuery, PreviewQuery,
    ReloadRequest, Reloaded, ReopenRequest, ReportQuery, Status, TenantList, TenantName,
    TenantQuery, TenantRequest, TopQuery, Unblock, UpgradeRequest,
};
use crate::audit;
use crate::minutes::Report;
use crate::mode::Record;
use crate::pass::RevokedList;
use crate::prefixes::Added;
use crate::recent::Preview;
use crate::tail::TailQuery;
use crate::tenants::Moved;
use crate::top::Sources;
use crate::upgrade::Upgraded;

const JSON: &str = "application/json";
/// One JSON value a line.
const LINES: &str = "application/x-ndjson";

/// The description.
pub fn document() -> Value {
    let mut api = Description::default();
    reads(&mut api);
    changes(&mut api);
    let problem = api.answers.subschema_for::<Problem>();
    let schemas = api.answers.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate's admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP/1.1 over the Unix socket that admin.socket names; over TCP where admin.address says so, with `Authorization: Bearer` and the token of admin.token_file.",
        },
        "paths": api.paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "Why it was not done, and what to do",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "Over TCP alone" },
            },
        },
        "security": [{}, { "token": [] }],
    })
}

fn reads(api: &mut Description) {
    api.get::<(), Status>("/v1/status", "How the gate is");
    api.get::<(), Record>("/v1/mode", "The mode in force");
    api.get::<PrefixQuery, KnownList>("/v1/known", "Known customers");
    api.get::<PrefixQuery, BlockList>("/v1/blocks", "Who is shut out");
    api.get::<TenantQuery, TenantList>("/v1/tenants", "Tenants and their tiers");
    api.get::<(), RevokedList>("/v1/passes", "Revoked passes");
    api.get::<ExplainQuery, Explanation>("/v1/explain", "What decides about a client's request");
    api.get::<PreviewQuery, Preview>("/v1/preview", "What a mode or a limit would have refused");
    api.get::<TopQuery, Sources>("/v1/top", "Who sends the most");
    api.get::<ReportQuery, Report>("/v1/report", "What an incident was");
    api.get::<AuditQuery, Vec<audit::Record>>("/v1/audit", "Who changed what");
    api.get::<(), Map<String, Value>>("/v1/openapi.json", "This description");
    api.lines::<TailQuery>(
        "/v1/tail",
        "What is decided, as it happens: lines as in the log",
    );
}

fn changes(api: &mut Description) {
    api.post::<ModeRequest, Changed<Record>>("/v1/mode", "Switches the mode");
    api.post::<ReopenRequest, Changed<Record>>("/v1/reopen", "Opens again in steps");
    api.post::<KnownRequest, Changed<Added>>("/v1/known", "Makes a customer known");
    api.delete::<KnownRequest, Changed<Added>>("/v1/known", "Makes a customer unknown");
    api.import(
        "/v1/known/import",
        "Makes many customers known, all or none",
    );
    api.post::<BlockRequest, Changed<Added>>("/v1/blocks", "Shuts a client out");
    api.delete::<Unblock, Changed<Added>>("/v1/blocks", "Lets a client in again");
    api.post::<TenantRequest, Changed<Moved>>("/v1/tenants", "Moves a tenant to another tier");
    api.delete::<TenantName, Changed<Moved>>("/v1/tenants", "Lets a tenant return");
    api.delete::<PassRequest, Changed<PassRequest>>("/v1/passes", "Revokes passes");
    api.post::<ReloadRequest, Reloaded>("/v1/reload", "Takes the configuration over anew");
    api.post::<(), LogReopened>("/v1/log/reopen", "Opens the log's file anew");
    api.post::<UpgradeRequest, Upgraded>("/v1/upgrade", "Lets another process go on");
}

/// The description as it is sent, made once.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    &TEXT
}

/// The paths that there are, and what each takes.
pub(super) fn methods() -> &'static BTreeMap<String, Vec<String>> {
    static METHODS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
        let mut api = Description::default();
        reads(&mut api);
        changes(&mut api);
        let methods = |path: &Value| {
            let names = path.as_object().into_iter().flat_map(Map::keys);
            names.map(|name| name.to_uppercase()).collect()
        };
        let paths = api.paths.iter();
        paths
            .map(|(name, path)| (name.clone(), methods(path)))
            .collect()
    });
    &METHODS
}

/// Paths, and the schemas of what they answer.
struct Description {
    paths: Map<String, Value>,
    answers: SchemaGenerator,
}

impl Default for Description {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .for_serialize()
            .with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            });
        Description {
            paths: Map::new(),
            answers: settings.into_generator(),
        }
    }
}

/// The schema of what is sent to the gate, whole: it is named once.
fn asked<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}

impl Description {
    fn get<Query: JsonSchema, Answer: JsonSchema>(&mut self, path: &str, summary: &str) {
        let operation = self.operation::<Answer>(summary, JSON);
        self.add(path, "get", operation, "parameters", parameters::<Query>());
    }

    fn lines<Query: JsonSchema>(&mut self, path: &str, summary: &str) {
        let operation = self.operation::<Map<String, Value>>(summary, LINES);
        self.add(path, "get", operation, "parameters", parameters::<Query>());
    }

    fn post<Body: JsonSchema, Answer: JsonSchema>(&mut self, path: &str, summary: &str) {
        let operation = self.operation::<Answer>(summary, JSON);
        self.add(path, "post", operation, "requestBody", body::<Body>());
    }

    fn delete<Body: JsonSchema, Answer: JsonSchema>(&mut self, path: &str, summary: &str) {
        let operation = self.operation::<Answer>(summary, JSON);
        self.add(path, "delete", operation, "requestBody", body::<Body>());
    }

    fn import(&mut self, path: &str, summary: &str) {
        let mut operation = self.operation::<Changed<Imported>>(summary, JSON);
        put(&mut operation, "parameters", parameters::<ImportQuery>());
        let text = json!({ "schema": { "type": "string" } });
        let body = json!({ "required": true, "content": { "text/plain": text } });
        self.add(path, "post", operation, "requestBody", body);
    }

    fn operation<Answer: JsonSchema>(&mut self, summary: &str, kind: &str) -> Value {
        let schema = self.answers.subschema_for::<Answer>();
        json!({
            "summary": summary,
            "responses": {
                "200": { "description": "Done", "content": { kind: { "schema": schema } } },
                "default": { "$ref": "#/components/responses/Problem" },
            },
        })
    }

    fn add(&mut self, path: &str, method: &str, mut operation: Value, key: &str, asked: Value) {
        put(&mut operation, key, asked);
        let path = self.paths.entry(path).or_insert_with(|| json!({}));
        put(path, method, operation);
    }
}

/// Adds what there is.
fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut().filter(|_| !value.is_null()) {
        object.insert(key.to_owned(), value);
    }
}

/// What stands in a query: a parameter for each field.
fn parameters<Query: JsonSchema>() -> Value {
    let schema = asked::<Query>().to_value();
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return Value::Null;
    };
    let parameter = |(name, schema): (&String, &Value)| {
        json!({
            "in": "query",
            "name": name,
            "required": is_required(name),
            "schema": schema,
        })
    };
    fields.iter().map(parameter).collect()
}

fn body<Body: JsonSchema>() -> Value {
    let schema = asked::<Body>();
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => json!({ "required": true, "content": { JSON: { "schema": schema } } }),
        _ => Value::Null,
    }
}
