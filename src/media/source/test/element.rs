//! `TestSrc`, a synthetic capture device as a GStreamer element.
//!
//! Contract: frame `n` is captured at running time `n / fps`, so its number is the monotonic clock counted in
//! frames: equal rates show equal numbers at the same moment in every process, and numbers go on across
//! restarts. Like a device it owns four buffers: whoever reads later than four periods loses the oldest frames
//! for good, and [`TestSrc::dropped`] counts them. A source that only lags could not prove "no frame lost".

use super::pattern::Painter;
use crate::model::input::TestPattern;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Buffers of the emulated device; more late frames than this are lost.
const DEVICE_BUFFERS: u64 = 4;
/// No limit in the pool: the queues behind it are bounded, and a pool that waits could not be torn down.
const POOL_MAX_BUFFERS: u32 = 0;

/// What a test device shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestFormat {
    /// The pattern.
    pub pattern: TestPattern,
    /// Pixels; made even.
    pub width: u32,
    /// Pixels; made even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

glib::wrapper! {
    /// The element; see the module.
    pub struct TestSrc(ObjectSubclass<imp::TestSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

impl TestSrc {
    /// A device called `name` that shows `format`.
    pub fn new(name: &str, format: TestFormat) -> Self {
        let element: Self = glib::Object::builder().property("name", name).build();
        element.set_live(true);
        element.set_format(gst::Format::Time);
        element.imp().configure(format);
        element
    }

    /// Frames lost because nobody fetched them in time. The counter outlives the element.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.imp().dropped.clone()
    }
}

/// Which frame to deliver next, and how many were lost: pure.
///
/// `last` was delivered before, `captured` is the newest frame the device has.
fn next_frame(last: Option<u64>, captured: u64) -> (u64, u64) {
    let wanted = last.map_or(captured + 1, |last| last + 1);
    let oldest_kept = (captured + 1).saturating_sub(DEVICE_BUFFERS);
    (wanted.max(oldest_kept), oldest_kept.saturating_sub(wanted))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

mod imp {
    use super::*;

    struct Running {
        painter: Painter,
        pool: gst::BufferPool,
        last: Option<u64>,
    }

    #[derive(Default)]
    pub struct TestSrc {
        format: Mutex<Option<TestFormat>>,
        running: Mutex<Option<Running>>,
        /// The clock wait in progress; `None` also while unlocked.
        wait: Mutex<Wait>,
        pub(super) dropped: Arc<AtomicU64>,
    }

    #[derive(Default)]
    struct Wait {
        clock_id: Option<gst::SingleShotClockId>,
        flushing: bool,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for TestSrc {
        const NAME: &'static str = "HoldfastTestSrc";
        type Type = super::TestSrc;
        type ParentType = gst_base::PushSrc;
    }

    impl TestSrc {
        pub(super) fn configure(&self, format: TestFormat) {
            let even = |pixels: u32| (pixels & !1).max(2);
            let format = TestFormat { width: even(format.width), height: even(format.height), ..format };
            *lock(&self.format) = Some(format);
        }

        fn caps_of(format: TestFormat) -> gst::Caps {
            gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", format.width as i32)
                .field("height", format.height as i32)
                .field("framerate", gst::Fraction::new(format.fps as i32, 1))
                .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
                .field("interlace-mode", "progressive")
                .field("colorimetry", if format.height < 720 { "bt601" } else { "bt709" })
                .build()
        }

        /// Sleeps until `clock` shows `at`; `Err` when woken by a state change.
        fn wait_until(&self, clock: &gst::Clock, at: gst::ClockTime) -> Result<(), gst::FlowError> {
            let id = clock.new_single_shot_id(at);
            {
                let mut wait = lock(&self.wait);
                if wait.flushing {
                    return Err(gst::FlowError::Flushing);
                }
                wait.clock_id = Some(id.clone());
            }
            let (result, _) = id.wait();
            let mut wait = lock(&self.wait);
            wait.clock_id = None;
            if wait.flushing || result == Err(gst::ClockError::Unscheduled) {
                return Err(gst::FlowError::Flushing);
            }
            Ok(())
        }
    }

    impl ObjectImpl for TestSrc {}
    impl GstObjectImpl for TestSrc {}

    impl ElementImpl for TestSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Holdfast test device",
                    "Source/Video",
                    "Numbers every frame and drops those that are fetched late",
                    "Holdfast",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = gst::Caps::builder("video/x-raw").field("format", "I420").build();
                let pad = gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps);
                pad.into_iter().collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for TestSrc {
        fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
            let Some(format) = *lock(&self.format) else {
                return self.parent_caps(filter);
            };
            let caps = Self::caps_of(format);
            Some(filter.map_or_else(|| caps.clone(), |filter| filter.intersect(&caps)))
        }

        fn start(&self) -> Result<(), gst::ErrorMessage> {
            let Some(format) = *lock(&self.format) else {
                return Err(gst::error_msg!(gst::ResourceError::Settings, ["a test device without a format"]));
            };
            let painter = Painter::new(format.pattern, format.width, format.height);
            let pool = gst::BufferPool::new();
            let mut config = pool.config();
            config.set_params(Some(&Self::caps_of(format)), painter.frame_bytes() as u32, 0, POOL_MAX_BUFFERS);
            pool.set_config(config)
                .and_then(|()| pool.set_active(true))
                .map_err(|error| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ["no picture buffers: {error}"]))?;
            *lock(&self.running) = Some(Running { painter, pool, last: None });
            Ok(())
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            if let Some(running) = lock(&self.running).take() {
                // Buffers still in use free themselves; a pool that does not deactivate only leaks until exit.
                let _ = running.pool.set_active(false);
            }
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            false
        }

        fn unlock(&self) -> Result<(), gst::ErrorMessage> {
            let mut wait = lock(&self.wait);
            wait.flushing = true;
            if let Some(id) = wait.clock_id.take() {
                id.unschedule();
            }
            Ok(())
        }

        fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
            lock(&self.wait).flushing = false;
            Ok(())
        }

        fn query(&self, query: &mut gst::QueryRef) -> bool {
            if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
                latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                return true;
            }
            BaseSrcImplExt::parent_query(self, query)
        }
    }

    impl PushSrcImpl for TestSrc {
        fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
            let format = (*lock(&self.format)).ok_or(gst::FlowError::NotNegotiated)?;
            let element = self.obj();
            let (Some(clock), Some(base)) = (element.clock(), element.base_time()) else {
                return Err(gst::FlowError::Error);
            };
            let frames_in = |time: gst::ClockTime| time.nseconds().mul_div_floor(u64::from(format.fps), 1_000_000_000);
            let time_of = |frame: u64| frame.mul_div_ceil(1_000_000_000, u64::from(format.fps));
            let overflow = gst::FlowError::Error;

            let last = lock(&self.running).as_ref().ok_or(gst::FlowError::Flushing)?.last;
            let now = clock.time().saturating_sub(base);
            let (frame, lost) = next_frame(last, frames_in(now).ok_or(overflow)?);
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            let start = gst::ClockTime::from_nseconds(time_of(frame).ok_or(overflow)?);
            let end = gst::ClockTime::from_nseconds(time_of(frame + 1).ok_or(overflow)?);
            self.wait_until(&clock, base + start)?;

            let mut running = lock(&self.running);
            let running = running.as_mut().ok_or(gst::FlowError::Flushing)?;
            let mut buffer = running.pool.acquire_buffer(None)?;
            let writable = buffer.get_mut().ok_or(gst::FlowError::Error)?;
            writable.set_pts(start);
            writable.set_duration(end - start);
            writable.set_offset(frame);
            if lost > 0 || last.is_none() {
                writable.set_flags(gst::BufferFlags::DISCONT);
            }
            let time_of_day = crate::sys::clock::wall_now().as_millisecond().rem_euclid(86_400_000) as u64;
            let mut map = writable.map_writable().map_err(|_| gst::FlowError::Error)?;
            running.painter.paint(&mut map, frame as u32, time_of_day);
            drop(map);
            running.last = Some(frame);
            Ok(CreateSuccess::NewBuffer(buffer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reader_in_time_gets_every_frame() {
        assert_eq!(next_frame(None, 100), (101, 0));
        assert_eq!(next_frame(Some(100), 100), (101, 0));
        assert_eq!(next_frame(Some(96), 100), (97, 0));
        assert_eq!(next_frame(Some(95), 100), (97, 1));
    }

    proptest! {
        #[test]
        fn no_frame_is_lost_uncounted(last in 0u64..1_000_000, ahead in 0u64..1000) {
            let (frame, lost) = next_frame(Some(last), last + ahead);
            prop_assert_eq!(frame, last + 1 + lost);
            prop_assert!(lost == 0 || frame + DEVICE_BUFFERS == last + ahead + 1);
        }
    }
}
