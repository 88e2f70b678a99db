//! A pipeline under the rules every pipeline here obeys: one clock, one bus consumer, one way out.
//!
//! Contract: running time *is* CLOCK_MONOTONIC ([`crate::sys::clock::mono_now`]) in every pipeline, so times can
//! be compared between pipelines and processes. The bus is consumed once, on the glib main loop, and mapped to
//! [`BusEvent`]s; nothing is decided here. There is one teardown, on a thread of its own, because NULL blocks until
//! every streaming thread has returned, which a broken driver may never do: [`Pipeline::discard`], and the same when a
//! pipeline is dropped because something beside it could not be made.

use super::error::{BuildError, Failure};
use super::joint;
use super::level;
use super::signal::VideoFormat;
use crate::model::snapshot::Meter;
use gst::glib;
use gst::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a pipeline may take to let go. Measured: below 50 ms when healthy; seconds with a device in D state.
pub const TEARDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// What a bus said.
#[derive(Debug, Clone, PartialEq)]
pub enum BusEvent {
    /// The pipeline failed and is of no more use.
    Failed(Failure),
    /// All its sinks have seen the end.
    Ended,
    /// New audio levels.
    Meters(Vec<Meter>),
    /// The video of a source has this format from now on.
    Format(VideoFormat),
    /// The source has no sound.
    Silent,
}

/// A running (or failed) pipeline.
#[derive(Debug)]
pub struct Pipeline {
    pipeline: gst::Pipeline,
    watch: Option<gst::bus::BusWatchGuard>,
    /// Set by [`Self::discard`]: a start on another thread that comes too late undoes itself.
    discarded: Arc<AtomicBool>,
}

/// The clock of every pipeline.
fn monotonic_clock() -> &'static gst::Clock {
    static CLOCK: OnceLock<gst::Clock> = OnceLock::new();
    CLOCK.get_or_init(|| {
        // Not the shared system clock: somebody may have switched that one to another time base.
        glib::Object::builder::<gst::SystemClock>().property("clock-type", gst::ClockType::Monotonic).build().upcast()
    })
}

impl Pipeline {
    /// An empty pipeline called `name`.
    pub fn new(name: &str) -> Self {
        let pipeline = gst::Pipeline::with_name(name);
        pipeline.use_clock(Some(monotonic_clock()));
        // Without a start time the base time is left alone at PLAYING; 0 makes running time = clock time.
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::ZERO);
        Self { pipeline, watch: None, discarded: Arc::default() }
    }

    /// The bin to add elements to.
    pub fn bin(&self) -> &gst::Bin {
        self.pipeline.upcast_ref()
    }

    /// Starts it; `on_event` is called on the glib main loop of this thread. For pipelines without a device, whose
    /// elements start at once.
    pub fn play(&mut self, on_event: impl FnMut(BusEvent) + 'static) -> Result<(), BuildError> {
        self.watch(on_event)?;
        match self.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(()),
            // The element says why on the bus; that text is better than "state change failed".
            Err(error) => Err(self.first_error().map_or_else(|| error.into(), |f| BuildError::Unreachable(f.reason))),
        }
    }

    /// Like [`Self::play`] for sources: a device or a server may block for seconds, so the state changes on a thread
    /// of GStreamer's, and a failure comes as [`BusEvent::Failed`].
    pub fn play_detached(&mut self, on_event: impl FnMut(BusEvent) + 'static) -> Result<(), BuildError> {
        self.watch(on_event)?;
        let discarded = self.discarded.clone();
        self.pipeline.call_async(move |pipeline| {
            if discarded.load(Ordering::SeqCst) {
                return;
            }
            if pipeline.set_state(gst::State::Playing).is_err() {
                // After the element's own message, which comes first and says more.
                gst::element_error!(pipeline, gst::ResourceError::OpenRead, ["it does not start"]);
            }
            if discarded.load(Ordering::SeqCst) {
                // Its failure is reported by the teardown that runs at the same time.
                let _ = pipeline.set_state(gst::State::Null);
            }
        });
        Ok(())
    }

    fn watch(&mut self, mut on_event: impl FnMut(BusEvent) + 'static) -> Result<(), BuildError> {
        let bus = self.pipeline.bus().ok_or_else(|| BuildError::Refused("a pipeline without a bus".to_owned()))?;
        let name = self.pipeline.name();
        let watch = bus.add_watch_local(move |_, message| {
            if let Some(event) = interpret(&name, message) {
                on_event(event);
            }
            glib::ControlFlow::Continue
        })?;
        self.watch = Some(watch);
        Ok(())
    }

    fn first_error(&self) -> Option<Failure> {
        let bus = self.pipeline.bus()?;
        let message = bus.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(Failure::from_message(error)),
            _ => None,
        }
    }

    /// Throws the pipeline away. `done` is called on the teardown thread once everything has let go; it never is
    /// when a driver blocks, so the caller arms [`TEARDOWN_DEADLINE`].
    pub fn discard(mut self, done: impl FnOnce() + Send + 'static) {
        self.tear_down(done);
    }

    fn tear_down(&mut self, done: impl FnOnce() + Send + 'static) {
        self.watch = None;
        if self.discarded.swap(true, Ordering::SeqCst) {
            return;
        }
        let pipeline = self.pipeline.clone();
        let name = format!("stop-{}", pipeline.name());
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            if let Err(error) = pipeline.set_state(gst::State::Null) {
                tracing::warn!(pipeline = %pipeline.name(), %error, "a pipeline did not stop cleanly");
            }
            drop(pipeline);
            done();
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to stop a pipeline; it is left behind");
        }
    }
}

impl Drop for Pipeline {
    /// Elements must not be freed while they run.
    fn drop(&mut self) {
        self.tear_down(|| {});
    }
}

fn interpret(pipeline: &str, message: &gst::Message) -> Option<BusEvent> {
    match message.view() {
        gst::MessageView::Error(error) => {
            let failure = Failure::from_message(error);
            tracing::debug!(pipeline, element = failure.element, reason = failure.reason, "a pipeline failed");
            Some(BusEvent::Failed(failure))
        }
        gst::MessageView::Warning(warning) => {
            let text = crate::model::redact::redact(warning.error().message());
            tracing::debug!(pipeline, text, "GStreamer warns");
            None
        }
        gst::MessageView::Eos(_) => Some(BusEvent::Ended),
        gst::MessageView::Element(element) => level::meters(element.structure()?).map(BusEvent::Meters),
        gst::MessageView::Application(message) => {
            let structure = message.structure()?;
            match structure.name().as_str() {
                joint::SILENT_MESSAGE => Some(BusEvent::Silent),
                joint::FORMAT_MESSAGE => {
                    let caps = structure.get::<gst::Caps>("caps").ok()?;
                    VideoFormat::from_caps(&caps).map(BusEvent::Format)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::element;

    #[test]
    fn a_pipeline_that_is_dropped_while_playing_stops() {
        gst::init().expect("GStreamer");
        let context = glib::MainContext::new();
        let stopped = context.with_thread_default(|| {
            let mut pipeline = Pipeline::new("dropped");
            let source = element::make("audiotestsrc", "dropped-source").expect("an element");
            let sink = element::make("fakesink", "dropped-sink").expect("an element");
            element::chain(pipeline.bin(), &[&source, &sink]).expect("linked");
            let (tell, told) = std::sync::mpsc::channel();
            pipeline.pipeline.bus().expect("a bus").set_sync_handler(move |_, message| {
                if let gst::MessageView::StateChanged(change) = message.view()
                    && change.current() == gst::State::Ready
                    && change.old() == gst::State::Paused
                {
                    // Nobody listens any more once the first has been heard.
                    let _ = tell.send(());
                }
                gst::BusSyncReply::Pass
            });
            pipeline.play(|_| {}).expect("playing");
            drop(pipeline);
            told.recv_timeout(TEARDOWN_DEADLINE)
        });
        stopped.expect("a context of its own").expect("it went on playing");
    }
}
