//! One input, in a process of its own: captures, encodes, writes; needs nobody once it has a policy and a ticket.
//!
//! ```text
//! socket, bus, sink, signals ─▶ Notice ─▶ mailbox ─▶ (main loop) ─▶ Event ─▶ state ─▶ Effect ─▶ effect
//! ```
//! Contract: takes the lock of its input before anything else; a worker that does not get it leaves with 0. All
//! decisions are made in [`state`], all of them performed in [`effect`], on one thread that never waits for a device
//! or a disk. SIGTERM and SIGINT stop the recording gracefully, SIGHUP is ignored.

mod effect;
mod encoder;
mod facts;
mod frames;
mod link;
mod mailbox;
mod notice;
mod pulse;
mod space;
pub mod state;
mod take;
mod viewers;

pub use notice::Notice;

use crate::model::InputId;
use crate::sys::clock::mono_now;
use crate::sys::lock;
use crate::sys::paths::Runtime;
use effect::Worker;
use gst::glib;
use mailbox::Mailbox;
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// Distance between two looks at the evidence: a tenth of the shortest watchdog (R-FM-8).
const TICK: Duration = Duration::from_millis(100);

/// A lock that is held for longer is held by a worker, not by somebody who asks whether there is one.
const HELD_FOR: Duration = Duration::from_millis(100);

/// Which worker to be.
#[derive(Debug, Clone)]
pub struct WorkerArgs {
    /// The input to serve.
    pub input: InputId,
    /// Where locks and sockets are.
    pub runtime: Runtime,
}

/// Runs until dismissed. Logging is set up by the caller.
pub fn run(args: WorkerArgs) -> ExitCode {
    match serve(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the worker cannot run");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: WorkerArgs) -> anyhow::Result<u8> {
    use anyhow::Context;
    let path = args.runtime.worker_lock(&args.input);
    let lock = lock::try_lock_within(&path, HELD_FOR)
        .with_context(|| format!("the lock {} cannot be made", path.display()))?;
    let Some(_lock) = lock else {
        tracing::info!(input = %args.input, "already_running");
        return Ok(0);
    };
    crate::media::init().context("GStreamer cannot start")?;
    let main_loop = glib::MainLoop::new(None, false);
    let mailbox = Mailbox::new().context("no event descriptor")?;
    let socket = args.runtime.worker_socket(&args.input);
    let link = link::Link::open(&socket, mailbox.clone())
        .with_context(|| format!("the socket {} cannot be made", socket.display()))?;
    let worker = Worker::new(args.input.clone(), args.runtime, link, mailbox.clone(), main_loop.clone())?;
    let worker = Rc::new(RefCell::new(worker));
    tracing::info!(input = %args.input, pid = std::process::id(), "worker ready");

    // Nothing below calls back into the worker directly: every callback only fills the mailbox.
    let receiver = worker.clone();
    mailbox.attach(move |notice| receiver.borrow_mut().on_notice(mono_now(), notice));
    let ticker = worker.clone();
    glib::timeout_add_local(TICK, move || {
        ticker.borrow_mut().on_tick(mono_now());
        glib::ControlFlow::Continue
    });
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mailbox = mailbox.clone();
        glib::source::unix_signal_add_local(signal, move || {
            mailbox.send(Notice::Terminate);
            glib::ControlFlow::Continue
        });
    }
    glib::source::unix_signal_add_local(libc::SIGHUP, || glib::ControlFlow::Continue);

    main_loop.run();
    let code = worker.borrow_mut().leave();
    tracing::info!(input = %args.input, code, "worker leaves");
    Ok(code)
}
