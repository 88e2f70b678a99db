//! Structured logs on standard error (R-OBS-1).
//!
//! `HOLDFAST_LOG` filters (`info`, `holdfast=debug`), `HOLDFAST_LOG_FORMAT=json|text` chooses the form. Set up once
//! per process, before anything else.
//!
//! Contract: nobody who logs ever waits for whoever takes the log. Standard error may be a file on the very disk that
//! freezes, or a pipe that nobody empties; then lines are lost, their number is told in the first line that is taken
//! again, and recordings are not held up (a loop that hangs in a log line is a worker that hangs).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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

/// Lines that wait for whoever takes them; a line is some hundred bytes, so this is a megabyte at most.
const WAITING: usize = 2000;

/// Logging, until this is dropped at the end of the process: what waits is then written, for a second at most.
#[derive(Debug)]
#[must_use = "dropped at once, it ends the log"]
pub struct Log {
    _thread: WorkerGuard,
}

/// Starts logging; a filter that is not understood is replaced by the default and named.
pub fn init(default: Form) -> Log {
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
    let (lossy, thread) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(std::io::stderr());
    let writer = Lossy { queue: lossy, form, told: Arc::default() };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A second set-up (several roles in one test process) keeps the first.
    let _ = match form {
        Form::Json => builder.json().flatten_event(true).try_init(),
        Form::Text => builder.try_init(),
    };
    if let Some(error) = refused {
        tracing::warn!(filter = wanted, error, "HOLDFAST_LOG is not understood; using the default");
    }
    Log { _thread: thread }
}

/// Hands lines to the thread that writes them, and says how many it could not hand over.
#[derive(Debug, Clone)]
struct Lossy {
    queue: NonBlocking,
    form: Form,
    /// Lost lines that were told already.
    told: Arc<AtomicUsize>,
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = NonBlocking;

    fn make_writer(&'a self) -> NonBlocking {
        let mut queue = self.queue.clone();
        let lost = self.queue.error_counter().dropped_lines();
        let told = self.told.swap(lost, Ordering::Relaxed);
        if lost > told {
            // Lost like any other line where there is still no room; it is counted then, and told with the next.
            let _ = queue.write_all(lost_lines(self.form, lost - told).as_bytes());
        }
        queue
    }
}

fn lost_lines(form: Form, lines: usize) -> String {
    let message = format!("{lines} lines of this log were lost: whoever takes it did not");
    match form {
        Form::Json => {
            format!("{}\n", serde_json::json!({ "level": "WARN", "message": message, "target": "holdfast::sys::log" }))
        }
        Form::Text => format!("WARN holdfast::sys::log: {message}\n"),
    }
}
