//! Structured logs on standard error (R-OBS-1).
//!
//! `HOLDFAST_LOG` filters (`info`, `holdfast=debug`), `HOLDFAST_LOG_FORMAT=json|text` chooses the form. Set up once
//! per process, before anything else.

use tracing_subscriber::EnvFilter;

/// The form a role writes when nobody chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object per line: engine and workers.
    Json,
    /// For people: window and command line.
    Text,
}

/// Our own messages from `info`, those of dependencies from `warn`.
const DEFAULT_FILTER: &str = "warn,holdfast=info";

/// Starts logging; a filter that is not understood is replaced by the default and named.
pub fn init(default: Form) {
    let form = match std::env::var("HOLDFAST_LOG_FORMAT").as_deref() {
        Ok("json") => Form::Json,
        Ok("text") => Form::Text,
        _ => default,
    };
    let wanted = std::env::var("HOLDFAST_LOG").unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let (filter, refused) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error.to_string())),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // A second set-up (several roles in one test process) keeps the first.
    let _ = match form {
        Form::Json => builder.json().flatten_event(true).try_init(),
        Form::Text => builder.try_init(),
    };
    if let Some(error) = refused {
        tracing::warn!(filter = wanted, error, "HOLDFAST_LOG is not understood; using the default");
    }
}
