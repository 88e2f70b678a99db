//! Pictures that were lost before anybody here could count them.
//!
//! Contract: a number is measured or it is unknown, never guessed: 0 is said only by who would have noticed (R-TRU-3).
//! Reading never waits for the source, and goes on when that is gone.

use crate::media::element;
use gst::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a source tells what it lost; cheap to clone, outlives the source.
#[derive(Debug, Clone)]
pub enum Losses {
    /// It hands over everything and waits until that is taken, like a file.
    Impossible,
    /// The device counts them.
    Counted(Arc<AtomicU64>),
    /// The driver numbers its pictures; gaps are losses.
    Numbered(Arc<Mutex<Numbers>>),
    /// Packets that never came; each cost one picture at most, and belonged to one.
    Packets(Arc<Mutex<Vec<JitterBuffer>>>),
}

impl Losses {
    /// Pictures lost since the source was opened, `None` = nobody can tell.
    pub fn count(&self) -> Option<u64> {
        match self {
            Losses::Impossible => Some(0),
            Losses::Counted(count) => Some(count.load(Ordering::Relaxed)),
            Losses::Numbered(numbers) => lock(numbers).lost,
            Losses::Packets(buffers) => {
                let counts: Vec<u64> = lock(buffers).iter_mut().filter_map(JitterBuffer::lost).collect();
                (!counts.is_empty()).then(|| counts.iter().sum())
            }
        }
    }

    /// Counts the gaps between the numbers a driver gives to what passes `pad`.
    pub fn numbered(pad: &gst::Pad) -> Self {
        let numbers = Arc::new(Mutex::new(Numbers::default()));
        let theirs = numbers.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer() {
                lock(&theirs).take((buffer.offset() != u64::MAX).then(|| buffer.offset()));
            }
            gst::PadProbeReturn::Ok
        });
        Losses::Numbered(numbers)
    }

    /// Counts what is missing in the jitter buffers of pictures among those that are [watched](Self::watch).
    pub fn of_packets() -> Self {
        Losses::Packets(Arc::default())
    }

    /// Counts what is missing in `jitter_buffer` as well, where packets are counted.
    pub fn watch(&self, jitter_buffer: &gst::Element) {
        if let Losses::Packets(buffers) = self {
            lock(buffers).push(JitterBuffer { element: jitter_buffer.downgrade(), last: None });
        }
    }
}

/// What is known from a driver's numbers.
#[derive(Debug, Default)]
pub struct Numbers {
    last: Option<u64>,
    /// Unknown until the numbers were seen to rise: some drivers leave them at 0.
    lost: Option<u64>,
}

impl Numbers {
    fn take(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        if let Some(steps) = self.last.and_then(|last| number.checked_sub(last)).filter(|steps| *steps > 0) {
            self.lost = Some(self.lost.unwrap_or(0) + steps - 1);
        }
        self.last = Some(number);
    }
}

/// One jitter buffer, as long as it lives, and its last word after that.
#[derive(Debug)]
pub struct JitterBuffer {
    element: gst::glib::WeakRef<gst::Element>,
    last: Option<u64>,
}

impl JitterBuffer {
    /// Packets of pictures it waited for in vain; `None` for sound.
    fn lost(&mut self) -> Option<u64> {
        if let Some(element) = self.element.upgrade().filter(holds_pictures)
            && let Ok(lost) = element.property::<gst::Structure>("stats").get::<u64>("num-lost")
        {
            self.last = Some(lost);
        }
        self.last
    }
}

fn holds_pictures(jitter_buffer: &gst::Element) -> bool {
    let caps = element::pad(jitter_buffer, "sink").ok().and_then(|pad| pad.current_caps());
    caps.as_ref().and_then(|caps| caps.structure(0)).is_some_and(|media| media.get::<&str>("media") == Ok("video"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(numbers: &[Option<u64>]) -> Option<u64> {
        let mut seen = Numbers::default();
        numbers.iter().for_each(|number| seen.take(*number));
        seen.lost
    }

    #[test]
    fn a_number_that_is_left_out_is_a_lost_picture() {
        assert_eq!(lost(&[Some(7), Some(8), Some(9)]), Some(0));
        assert_eq!(lost(&[Some(7), Some(9), Some(12)]), Some(3));
        // Numbered anew: what lies between is not known to be a loss.
        assert_eq!(lost(&[Some(7), Some(9), Some(0), Some(2)]), Some(2));
    }

    #[test]
    fn a_driver_that_does_not_number_knows_nothing() {
        assert_eq!(lost(&[]), None);
        assert_eq!(lost(&[Some(0)]), None);
        assert_eq!(lost(&[Some(0), Some(0), Some(0)]), None);
        assert_eq!(lost(&[None, None]), None);
    }

    #[test]
    fn packets_are_unknown_without_a_jitter_buffer_of_pictures() {
        assert_eq!(Losses::Packets(Arc::default()).count(), None);
    }
}
