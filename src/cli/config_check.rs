//! `holdfast config check`: what the configuration means, or what is wrong with it.

use super::{Outcome, failed, print_json};
use crate::config::{Config, Flags};
use serde_json::json;

pub(super) fn run(flags: &Flags, as_json: bool) -> Outcome {
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(problem) => return failed(problem),
    };
    let file = config.file.as_ref().map(|file| file.display().to_string());
    let library = config.library.as_ref().map(|dir| dir.display().to_string());
    if as_json {
        let inputs: Vec<_> =
            config.inputs.iter().map(|i| json!({"id": i.id, "name": i.name, "kind": i.source.kind()})).collect();
        return print_json(&json!({"file": file, "library": library, "inputs": inputs}));
    }
    println!("configuration: {}", file.as_deref().unwrap_or("none, defaults are used"));
    println!("library: {}", library.as_deref().unwrap_or("none: set HOME or use --library"));
    println!("inputs: {}", config.inputs.len());
    for input in &config.inputs {
        println!("  {:<12} {:<6} {}", input.id.to_string(), input.source.kind(), input.name);
    }
    Outcome::Done
}
