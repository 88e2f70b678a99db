//! What the window gives up for the recorder (R-SUP-7): it dies first when memory runs out, keeps off one processor while
//! something is recorded, and goes to nice +10 where nobody gives the recorder a higher priority.
//!
//! Contract: the thread that spawns keeps what the window was started with, because an ordinary user gets no nice value
//! back; nothing of this is inherited by an engine. What cannot be done is said once in the log and hurts nobody.

use crate::model::snapshot::Snapshot;
use crate::sys::priority::affinity::{self, Cpus, Plan};
use crate::sys::priority::{nice, oom, threads};
use std::io;

/// Rounds over the threads: those that appear meanwhile inherit from one that may not have had its turn.
const ROUNDS: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct StepBack {
    /// The thread that is left alone.
    spawner: u32,
    allowed: Cpus,
    secondary: Option<Cpus>,
    lowered: bool,
    restricted: bool,
}

/// What a snapshot asks of a window. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    lower: bool,
    restrict: bool,
}

impl Wish {
    fn of(snapshot: &Snapshot) -> Self {
        let records = snapshot.is_running();
        Self { lower: snapshot.priority.is_refused(), restrict: records }
    }
}

impl StepBack {
    /// Steps back as far as it costs nothing; `spawner` = the thread that starts engines.
    pub fn begin(spawner: u32) -> Self {
        if let Err(error) = oom::raise_own(oom::WINDOW) {
            tracing::warn!("the window cannot offer itself to the system that runs out of memory: {error}");
        }
        let Plan { secondary, .. } = Plan::here();
        Self { spawner, allowed: affinity::allowed(), secondary, lowered: false, restricted: false }
    }

    /// Does what a new state of the recorder asks for.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        let wish = Wish::of(snapshot);
        if wish.lower && !self.lowered {
            self.lowered = true;
            let group = nice::lower_own_group();
            let lower = |tid| match nice::of_thread(tid) {
                Some(own) if own < nice::LOWERED => nice::set_thread(tid, nice::LOWERED),
                _ => Ok(()),
            };
            self.every_thread("nice", lower);
            tracing::warn!(group, "the recorder got no higher priority; the window goes to nice {}", nice::LOWERED);
        }
        let Some(secondary) = &self.secondary else { return };
        if wish.restrict != self.restricted {
            self.restricted = wish.restrict;
            let cpus = if wish.restrict { secondary } else { &self.allowed };
            self.every_thread("affinity", |tid| affinity::set_thread(tid, cpus));
            tracing::debug!(?cpus, "the window runs there");
        }
    }

    /// Applies to every thread but the spawner, until no new one turns up.
    fn every_thread(&self, what: &str, apply: impl Fn(u32) -> io::Result<()>) {
        let mut done = vec![self.spawner];
        for _ in 0..ROUNDS {
            let new: Vec<u32> = threads(std::process::id()).into_iter().filter(|tid| !done.contains(tid)).collect();
            if new.is_empty() {
                return;
            }
            for tid in &new {
                match apply(*tid) {
                    // One that has ended meanwhile.
                    Err(_) if nice::of_thread(*tid).is_none() => {}
                    Err(error) => return tracing::warn!(what, "the window cannot step back: {error}"),
                    Ok(()) => {}
                }
            }
            done.extend(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::{Rung, RungResult, RungView, SessionState};
    use crate::sys::process::own_thread;
    use crate::ui::desk::tests::{session, snapshot};

    #[test]
    fn it_steps_back_only_when_everybody_refused_and_keeps_off_a_processor_only_while_something_is_recorded() {
        let mut quiet = snapshot(Vec::new());
        assert_eq!(Wish::of(&quiet), Wish { lower: false, restrict: false });
        let rung = |rung, result| RungView { rung, result, detail: String::new() };
        quiet.priority.rungs =
            vec![rung(Rung::Setpriority, RungResult::Refused), rung(Rung::Rtkit, RungResult::NotNeeded)];
        assert!(!Wish::of(&quiet).lower, "there is still hope");
        quiet.priority.rungs[1].result = RungResult::Absent;
        assert!(Wish::of(&quiet).lower);
        quiet.priority.rungs.clear();
        quiet.session = Some(session(SessionState::Recording));
        assert_eq!(Wish::of(&quiet), Wish { lower: false, restrict: true });
    }

    #[test]
    fn the_thread_that_spawns_is_left_alone() {
        let own = own_thread();
        let (say, told) = std::sync::mpsc::sync_channel(0);
        let (end, ended) = std::sync::mpsc::sync_channel::<()>(0);
        let other = std::thread::spawn(move || {
            say.send(own_thread()).expect("somebody listens");
            ended.recv().expect_err("the other end goes");
        });
        let other_tid = told.recv().expect("its id");
        let step = StepBack { spawner: own, allowed: Cpus::new(), secondary: None, lowered: false, restricted: false };
        let reached = std::cell::RefCell::new(Vec::new());
        step.every_thread("a test", |tid| {
            reached.borrow_mut().push(tid);
            Ok(())
        });
        assert!(reached.borrow().contains(&other_tid) && !reached.borrow().contains(&own));
        drop(end);
        other.join().expect("the thread");
    }
}
