//! Starts an engine when none runs (R-SUP-11), from a thread that keeps the priority the window was started with:
//! nice can only go up, so whatever the window later gives away must not be inherited by the recorder.

use crate::model::MonoNs;
use crate::sys::clock::mono_now;
use crate::sys::process::{self, Priority, Process};
use std::ffi::OsString;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that may wait; one link asks for one engine at a time.
const WAITING: usize = 1;

/// An engine that ends within this time did not come up: it takes less than one second to read its configuration.
const COMING_UP: Duration = Duration::from_secs(2);

/// How the last engine this window started is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It runs (or is coming up).
    Running,
    /// It could not be started, or ended at once; the words say why.
    Failed(String),
}

type Request = oneshot::Sender<Started>;

/// Asks the thread for an engine.
#[derive(Debug, Clone)]
pub struct EngineStarter {
    requests: SyncSender<Request>,
}

impl EngineStarter {
    /// Starts the thread. `args` follow `engine --spawned`. Call before the window's priority is changed.
    pub fn new(args: Vec<OsString>) -> io::Result<Self> {
        let (requests, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("engine-starter".to_owned()).spawn(move || serve(&waiting, &args))?;
        Ok(Self { requests })
    }

    /// Starts an engine unless the one started before still runs; says how that went.
    pub async fn ensure(&self) -> Started {
        let (reply, answer) = oneshot::channel();
        if self.requests.try_send(reply).is_err() {
            return Started::Running;
        }
        answer.await.unwrap_or_else(|_| Started::Failed("the window is closing".to_owned()))
    }
}

/// The engine this window started last.
struct Engine {
    process: Process,
    since: MonoNs,
}

fn serve(waiting: &Receiver<Request>, args: &[OsString]) {
    let mut engine = None;
    while let Ok(reply) = waiting.recv() {
        let started = ensure(&mut engine, args).unwrap_or_else(|error| Started::Failed(error.to_string()));
        // The link that asked may be gone; the engine stays.
        let _ = reply.send(started);
    }
}

/// An engine that had worked is replaced at once; one that ended while coming up is told first, and replaced when asked
/// again.
fn ensure(engine: &mut Option<Engine>, args: &[OsString]) -> io::Result<Started> {
    if let Some(Engine { process, since }) = engine {
        let Some(how) = process.ended()? else { return Ok(Started::Running) };
        let came_up = mono_now().since(*since) > COMING_UP;
        *engine = None;
        if !came_up {
            return Ok(Started::Failed(how));
        }
        tracing::warn!("the engine ended ({how}); it is started again, recordings go on meanwhile");
    }
    let mut all = vec![OsString::from("engine"), OsString::from("--spawned")];
    all.extend_from_slice(args);
    *engine = Some(Engine { process: process::spawn(&all, Priority::Inherited)?, since: mono_now() });
    Ok(Started::Running)
}
