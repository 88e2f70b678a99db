//! Structured logs on standard error (R-OBS-1).
//!
//! `HOLDFAST_LOG` filters (`info`, `holdfast=debug`), `HOLDFAST_LOG_FORMAT=json|text` chooses the form. Set up once
//! per process, before anything else.
//!
//! Contract: nobody who logs ever waits for whoever takes the log. Standard error may be a file on the very disk that
//! freezes, or a pipe that nobody empties; then lines are lost, their number is told as soon as lines are taken
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
    let (writer, thread) = Lossy::into(form, std::io::stderr());
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
    /// Lines lost before the last one was handed over.
    before: Arc<AtomicUsize>,
    /// Lost lines that were told already.
    told: Arc<AtomicUsize>,
}

impl Lossy {
    fn into(form: Form, taker: impl Write + Send + 'static) -> (Self, WorkerGuard) {
        let queue = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).thread_name("log");
        let (queue, thread) = queue.finish(taker);
        (Self { queue, form, before: Arc::default(), told: Arc::default() }, thread)
    }
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = NonBlocking;

    fn make_writer(&'a self) -> NonBlocking {
        let mut queue = self.queue.clone();
        let lost = self.queue.error_counter().dropped_lines();
        let room = self.before.swap(lost, Ordering::Relaxed) == lost;
        // Only once a line went through: a report that is lost would be one more to be reported.
        if room && lost > self.told.load(Ordering::Relaxed) {
            let told = self.told.swap(lost, Ordering::Relaxed);
            let report = lost_lines(self.form, lost.saturating_sub(told));
            // A queue refuses nothing; what it has no room for it counts.
            let _ = queue.write_all(report.as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Takes a line whenever it is let, and passes it on.
    struct Taker {
        /// Told once, when there is a line to take.
        has: SyncSender<()>,
        may: Receiver<()>,
        taken: SyncSender<String>,
    }

    impl Write for Taker {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.has.try_send(());
            // Once nobody forbids it any more, all of them.
            let _ = self.may.recv();
            let line_taken = self.taken.send(String::from_utf8_lossy(line).into_owned());
            line_taken.map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_takes_holds_nobody_up_and_what_it_lost_is_told() {
        let (let_it, may) = sync_channel(1);
        let (taken, lines) = sync_channel(3 * WAITING);
        let (has, has_one) = sync_channel(1);
        let (log, thread) = Lossy::into(Form::Json, Taker { has, may, taken });
        // A thread that begins late would make room in the middle of the lines that are lost.
        log.make_writer().write_all(b"0\n").expect("a queue takes everything");
        has_one.recv().expect("the log takes its first line");
        for n in 1..2 * WAITING {
            // Would never return if it waited: nothing is taken yet.
            log.make_writer().write_all(format!("{n}\n").as_bytes()).expect("a queue takes everything");
        }
        let lost = log.queue.error_counter().dropped_lines();
        assert_eq!(lost, WAITING - 1, "one is with the taker");
        drop(let_it);
        for n in 0..2 * WAITING - lost {
            assert_eq!(lines.recv().expect("a line"), format!("{n}\n"));
        }
        for line in ["again\n", "and again\n"] {
            log.make_writer().write_all(line.as_bytes()).expect("a queue takes everything");
        }
        assert_eq!(lines.recv().as_deref(), Ok("again\n"));
        let told: serde_json::Value = serde_json::from_str(&lines.recv().expect("a line")).expect("JSON");
        assert_eq!(told["message"], format!("{lost} lines of this log were lost: whoever takes it did not"));
        assert_eq!(lines.recv().as_deref(), Ok("and again\n"));
        drop(thread);
    }
}
