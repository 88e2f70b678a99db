//! Sees a disk that takes nothing: the thread that writes has been at one thing for too long. Whoever waits for a frozen
//! file system cannot say so himself; and `statvfs` answers as if nothing were wrong. One thing is a write with its sync:
//! a job of many is none that hangs.

use crate::engine::event::{Event, StorageEvent};
use crate::model::MonoNs;
use crate::sys::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval};

/// A write takes milliseconds, and a second on a bad day.
const FROZEN_AFTER: Duration = Duration::from_millis(1500);
/// How often is looked.
const EVERY: Duration = Duration::from_millis(200);

/// Which job a thread is at: counted up when it begins one and when it has ended it, so odd within one.
#[derive(Debug, Clone, Default)]
pub struct AtWork(Arc<AtomicU64>);

impl AtWork {
    /// Does it, for others to see.
    pub fn while_doing<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        let done = work();
        self.0.fetch_add(1, Ordering::SeqCst);
        done
    }

    /// The next of many things within one: the disk has answered.
    pub fn step(&self) {
        self.0.fetch_add(2, Ordering::SeqCst);
    }

    fn job(&self) -> Option<u64> {
        Some(self.0.load(Ordering::SeqCst)).filter(|count| count % 2 == 1)
    }
}

/// Whether one job takes too long. Time in which nobody looked (this process stood still itself) does not count. Pure.
#[derive(Debug, Default)]
struct Standstill {
    job: Option<u64>,
    waited: Duration,
    looked: Option<MonoNs>,
}

impl Standstill {
    fn look(&mut self, now: MonoNs, job: Option<u64>) -> bool {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        let before = std::mem::replace(&mut self.job, job);
        self.waited = if job.is_some() && before == job { self.waited + since.min(2 * EVERY) } else { Duration::ZERO };
        self.waited >= FROZEN_AFTER
    }
}

/// Looks at the thread until the loop is gone, and tells when it stands still and when it no longer does.
pub async fn run(at_work: AtWork, events: Sender<Event>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut standstill, mut told) = (Standstill::default(), false);
    while !events.is_closed() {
        ticks.tick().await;
        let frozen = standstill.look(clock::mono_now(), at_work.job());
        if frozen != told {
            told = frozen;
            drop(events.send(Event::Storage(StorageEvent::Frozen(frozen))).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn one_job_that_takes_too_long_is_a_frozen_disk_and_many_short_ones_are_not() {
        let mut standstill = Standstill::default();
        for look in 0..100 {
            assert!(!standstill.look(at(look * 200), Some(2 * look + 1)), "always at something else");
        }
        let frozen: Vec<u64> = (100..120).filter(|look| standstill.look(at(look * 200), Some(777))).collect();
        assert_eq!(frozen.first(), Some(&108), "within 1.6 s, until it is done");
        assert_eq!(frozen.len(), 12);
        assert!(!standstill.look(at(24_000), None));
    }

    #[test]
    fn an_engine_that_stood_still_itself_blames_no_disk() {
        let mut standstill = Standstill::default();
        assert!(!standstill.look(at(0), Some(1)));
        assert!(!standstill.look(at(60_000), Some(1)), "it was stopped within a job");
        assert!(!standstill.look(at(60_200), None));
    }

    #[test]
    fn what_is_being_done_can_be_seen() {
        let at_work = AtWork::default();
        assert_eq!(at_work.job(), None);
        let first = at_work.while_doing(|| at_work.job());
        let second = at_work.while_doing(|| at_work.job());
        assert!(first.is_some() && second.is_some() && first != second && at_work.job().is_none());
        at_work.while_doing(|| {
            let one = at_work.job();
            at_work.step();
            assert!(at_work.job().is_some() && at_work.job() != one, "the disk answers, however long all of it takes");
        });
    }
}
