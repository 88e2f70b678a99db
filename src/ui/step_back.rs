//! What the window gives up for the recorder (R-SUP-7): it dies first when memory runs out, keeps off one processor while
//! something is recorded, and goes to nice +10 where nobody gives the recorder a higher priority.
//!
//! Contract: the thread that spawns keeps what the window was started with, because an ordinary user gets no nice value
//! back; nothing of this is inherited by an engine. What cannot be done is said once in the log, hurts nobody, and is tried
//! again with the next state; so is what the engine does not find done when it reads it back.

use crate::model::snapshot::{Rung, RungResult, Snapshot};
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
    /// What could not be done, as it was said.
    failed: Vec<&'static str>,
}

/// What a snapshot asks of a window. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    lower: bool,
    /// The engine has looked, and it was not so.
    lower_again: bool,
    restrict: bool,
}

impl Wish {
    fn of(snapshot: &Snapshot) -> Self {
        let mut rungs = snapshot.priority.rungs.iter();
        let unseen = rungs.any(|rung| rung.rung == Rung::UiLowered && rung.result == RungResult::Refused);
        let lower = snapshot.priority.is_refused();
        Self { lower, lower_again: lower && unseen, restrict: snapshot.is_running() }
    }
}

impl StepBack {
    /// Steps back as far as it costs nothing; `spawner` = the thread that starts engines.
    pub fn begin(spawner: u32) -> Self {
        if let Err(error) = oom::raise_own(oom::WINDOW) {
            tracing::warn!("the window cannot offer itself to the system that runs out of memory: {error}");
        }
        let Plan { secondary, .. } = Plan::here();
        Self { spawner, allowed: affinity::allowed(), secondary, lowered: false, restricted: false, failed: Vec::new() }
    }

    /// Does what a new state of the recorder asks for.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        let wish = Wish::of(snapshot);
        if wish.lower && (!self.lowered || wish.lower_again) {
            let group = nice::lower_own_group();
            let lower = |tid| match nice::of_thread(tid) {
                Some(own) if own < nice::LOWERED => nice::set_thread(tid, nice::LOWERED),
                _ => Ok(()),
            };
            if self.every_thread("nice", lower) && !std::mem::replace(&mut self.lowered, true) {
                tracing::warn!(group, "the recorder got no higher priority; the window goes to nice {}", nice::LOWERED);
            }
        }
        let Some(secondary) = &self.secondary else { return };
        if wish.restrict != self.restricted {
            let cpus = if wish.restrict { secondary.clone() } else { self.allowed.clone() };
            if self.every_thread("affinity", |tid| affinity::set_thread(tid, &cpus)) {
                self.restricted = wish.restrict;
                tracing::debug!(?cpus, "the window runs there");
            }
        }
    }

    /// Applies to every thread but the spawner, until no new one turns up; `false` = one of them could not be had, which
    /// keeps no other one from its turn, or none is known: in a sandbox with the `/proc` of another.
    fn every_thread(&mut self, what: &'static str, apply: impl Fn(u32) -> io::Result<()>) -> bool {
        let mut failed = None;
        let mut done = vec![self.spawner];
        for _ in 0..ROUNDS {
            let all = threads(std::process::id());
            if all.is_empty() {
                return self.said(what, Some("its threads are not known here".to_owned()));
            }
            let new: Vec<u32> = all.into_iter().filter(|tid| !done.contains(tid)).collect();
            if new.is_empty() {
                return self.said(what, failed);
            }
            for tid in &new {
                match apply(*tid) {
                    // One that has ended meanwhile.
                    Err(_) if nice::of_thread(*tid).is_none() => {}
                    Err(error) => failed = Some(error.to_string()),
                    Ok(()) => {}
                }
            }
            done.extend(new);
        }
        self.said(what, failed.or_else(|| Some("threads come and go".to_owned())))
    }

    /// Says once that something could not be done.
    fn said(&mut self, what: &'static str, failed: Option<String>) -> bool {
        let Some(why) = failed else { return true };
        if !self.failed.contains(&what) {
            self.failed.push(what);
            tracing::warn!(what, "the window cannot step back yet: {why}");
        }
        false
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
        assert_eq!(Wish::of(&quiet), Wish { lower: false, lower_again: false, restrict: false });
        let rung = |rung, result| RungView { rung, result, detail: String::new() };
        quiet.priority.rungs =
            vec![rung(Rung::Setpriority, RungResult::Refused), rung(Rung::Rtkit, RungResult::NotNeeded)];
        assert!(!Wish::of(&quiet).lower, "there is still hope");
        quiet.priority.rungs[1].result = RungResult::Absent;
        assert!(Wish::of(&quiet).lower && !Wish::of(&quiet).lower_again);
        quiet.priority.rungs.push(rung(Rung::UiLowered, RungResult::Refused));
        assert!(Wish::of(&quiet).lower_again, "the engine has read back that it is not");
        quiet.priority.rungs.clear();
        quiet.session = Some(session(SessionState::Recording));
        assert_eq!(Wish::of(&quiet), Wish { lower: false, lower_again: false, restrict: true });
    }

    fn step_back(spawner: u32) -> StepBack {
        StepBack {
            spawner,
            allowed: Cpus::new(),
            secondary: None,
            lowered: false,
            restricted: false,
            failed: Vec::new(),
        }
    }

    #[test]
    fn who_does_not_know_its_threads_has_not_stepped_back() {
        let (mut step, known) = (step_back(0), threads(std::process::id()));
        assert_eq!(step.every_thread("a test", |_| Ok(())), known.contains(&own_thread()));
    }

    #[test]
    fn also_in_a_sandbox() {
        crate::sys::sandbox::runs("ui::step_back::tests::who_does_not_know_its_threads_has_not_stepped_back", &[]);
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
        let mut step = step_back(own);
        let reached = std::cell::RefCell::new(Vec::new());
        step.every_thread("a test", |tid| {
            reached.borrow_mut().push(tid);
            Ok(())
        });
        assert!(reached.borrow().contains(&other_tid) && !reached.borrow().contains(&own));
        // One that cannot be had keeps nobody else from stepping back, and is not taken for done.
        reached.borrow_mut().clear();
        let all = step.every_thread("a test", |tid| {
            reached.borrow_mut().push(tid);
            if tid == other_tid { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        });
        assert!(!all && reached.borrow().contains(&other_tid));
        assert!(reached.borrow().iter().any(|tid| *tid != other_tid), "the thread of the tests is one of them");
        drop(end);
        other.join().expect("the thread");
    }
}
