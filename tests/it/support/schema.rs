//! Every answer and event a test sees is held against the engine's own OpenAPI document (R-OBS-4).
//!
//! Contract: an answer of a route that is not described, a status that is not, and a field that is not, all fail the
//! test that saw them.

use super::api::{self, Reply};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where the document stands.
pub const ADDRESS: &str = "/api/v1/openapi.json";

/// The description of the API under test.
#[derive(Debug)]
pub struct Description {
    document: Value,
    validators: Mutex<HashMap<String, Validator>>,
}

impl Description {
    /// The document of the engine that listens on `socket`; every engine of a test run is the same program.
    pub fn of(socket: &Path) -> Option<&'static Self> {
        static KNOWN: OnceLock<Description> = OnceLock::new();
        if let Some(known) = KNOWN.get() {
            return Some(known);
        }
        let reply = api::request(socket, "GET", ADDRESS, &[], None).ok().filter(|reply| reply.status == 200)?;
        Some(KNOWN.get_or_init(|| Self::new(reply.body)))
    }

    fn new(mut document: Value) -> Self {
        close(&mut document);
        Self { document, validators: Mutex::default() }
    }

    /// What is described: methods in upper case and addresses with `{parameters}`.
    pub fn routes(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        let methods = |(path, item): (&String, &Value)| {
            let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
            methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
        };
        paths.flat_map(methods).collect()
    }

    /// Holds an answer against the document; `Err` = what is wrong.
    pub fn check_reply(&self, method: &str, path: &str, reply: &Reply) -> Result<(), String> {
        if reply.headers.get("x-trace-id").is_none_or(String::is_empty) {
            return Err(format!("{method} {path}: no trace id: {reply:?}"));
        }
        if reply.headers.get("x-response-time-ms").is_none_or(|time| time.parse::<f64>().is_err()) {
            return Err(format!("{method} {path}: no response time: {reply:?}"));
        }
        let path = path.split('?').next().unwrap_or_default();
        let Some(template) = self.template(path) else { return self.check("ApiError", &reply.body) };
        let Some(operation) = self.document["paths"][template].get(method.to_lowercase()) else {
            return self.check("ApiError", &reply.body);
        };
        let responses = &operation["responses"];
        let response = responses.get(reply.status.to_string());
        let response = response.ok_or_else(|| format!("{method} {path}: status {} is not described", reply.status))?;
        match response["content"]["application/json"]["schema"]["$ref"].as_str() {
            Some(name) => self.check(name.rsplit('/').next().unwrap_or_default(), &reply.body),
            None => Ok(()),
        }
    }

    /// Holds `value` against the schema `name`.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(name.to_owned()).or_insert_with(|| {
            let reference = format!("#/components/schemas/{name}");
            let schema = json!({"$ref": reference, "components": self.document["components"]});
            jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("schema {name}: {error}"))
        });
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("no {name}: {wrong:#?}\n{value:#}")) }
    }

    fn template(&self, path: &str) -> Option<&String> {
        let fits = |template: &str| {
            let (mut wanted, mut given) = (template.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(given))
                        if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
                    _ => return false,
                }
            }
        };
        self.document["paths"].as_object()?.keys().find(|template| fits(template))
    }
}

/// Lets no object hold a field that is not described, except where several schemas describe one object together.
fn close(document: &mut Value) {
    let mut together = BTreeSet::new();
    gather(document, &mut together);
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas are described");
    for (name, schema) in schemas {
        if !together.contains(name) {
            close_schema(schema);
        }
    }
}

fn gather(schema: &Value, together: &mut BTreeSet<String>) {
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        let names = all.iter().filter_map(|one| one["$ref"].as_str()?.rsplit('/').next().map(str::to_owned));
        together.extend(names);
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| gather(field, together)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, together)),
        _ => {}
    }
}

fn close_schema(schema: &mut Value) {
    if schema.get("allOf").is_some() {
        return;
    }
    if let Some(fields) = schema.as_object_mut()
        && fields.contains_key("properties")
        && !fields.contains_key("additionalProperties")
    {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close_schema),
        Value::Array(items) => items.iter_mut().for_each(close_schema),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_not_described_is_an_error() {
        let schemas = json!({
            "ApiError": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}},
            "Thing": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
        });
        let content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}});
        let refused = json!({"application/json": {"schema": {"$ref": "#/components/schemas/ApiError"}}});
        let responses = json!({"200": {"content": content}, "default": {"content": refused}});
        let paths = json!({"/a/{id}": {"get": {"responses": responses}}});
        let description = Description::new(json!({"components": {"schemas": schemas}, "paths": paths}));
        assert_eq!(description.routes(), [("GET".to_owned(), "/a/{id}".to_owned())]);
        let headers: BTreeMap<_, _> =
            [("x-trace-id", "t"), ("x-response-time-ms", "0.1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let ask = |method: &str, path: &str, status, body| {
            description.check_reply(method, path, &Reply { status, headers: headers.clone(), body }).is_ok()
        };
        assert!(ask("GET", "/a/7?x=1", 200, json!({"id": 7})));
        assert!(!ask("GET", "/a/7", 200, json!({"id": "7"})));
        assert!(!ask("GET", "/a/7", 200, json!({"id": 7, "more": 1})));
        assert!(!ask("GET", "/a/7", 418, json!({"id": 7})));
        assert!(!ask("GET", "/a/7", 418, json!({"code": "teapot"})), "`default` describes nothing");
        assert!(ask("GET", "/b", 404, json!({"code": "not_found"})));
        assert!(!ask("DELETE", "/a/7", 405, json!({})));
        let bare = Reply { status: 200, headers: BTreeMap::new(), body: json!({"id": 7}) };
        assert!(description.check_reply("GET", "/a/7", &bare).is_err());
    }
}
