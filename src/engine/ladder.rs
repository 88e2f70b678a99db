//! The ladder of R-SUP-7: who is asked next for a higher priority, and what has come of every rung. Pure.
//!
//! ```text
//! inherited ─▶ setpriority ─▶ realtime portal ─▶ RealtimeKit ─▶ the window steps back
//! ```
//! Contract: [`super::protect`] looks at every thread and tries `setpriority`, which costs nothing; the helpers on the
//! buses are asked here, for the threads that are left, and only while something is recorded: they lend to so many
//! threads at a time ([`LENT`]), and those shall be the ones that work. No rung is fatal, each is tried again.

mod report;

pub use report::Protection;

use crate::model::MonoNs;
use crate::sys::priority::affinity::{Cpus, Plan};
use crate::sys::priority::io::Class;
use crate::sys::priority::nice;
use crate::sys::priority::realtime::{Helper, Refusal};
use std::collections::HashSet;
use std::time::Duration;

/// Threads of one user RealtimeKit lends to at a time, unless told otherwise.
const LENT: usize = 25;
/// Once it has lent all it has, in a burst (25 questions in 20 s) or altogether, it is asked again after this long.
const BUSY: Duration = Duration::from_secs(20);
/// Who is absent or refuses may have come or changed its mind after this long.
const AGAIN: Duration = Duration::from_secs(60);
/// Of many threads only those are worth a place that used this much of the time since the last look, of 1000.
const WORKS: u32 = 3;

/// Questions between two looks: both helpers are called, and asked for as many threads as are lent; some that have ended
/// are asked for besides. Whatever a helper answers, there is an end of it.
const ASKS: u32 = 64;

/// One thread of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub tid: u32,
    /// Its nice value, read back.
    pub nice: i32,
    /// How much it ran since the last look, of 1000.
    pub busy: u32,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Its process.
    pub pid: u32,
    /// Its threads.
    pub threads: Vec<Thread>,
    /// The worst class of any of them.
    pub io: Option<Class>,
    /// Where any of them may run.
    pub cpus: Option<Cpus>,
    /// Its `oom_score_adj`.
    pub oom: Option<i32>,
    /// The nice value of its scheduling group, `None` where there are no such groups.
    pub group: Option<i32>,
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Nice value of its main thread.
    pub nice: i32,
    /// Its `oom_score_adj`.
    pub oom: Option<i32>,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Every worker that runs.
    pub workers: Vec<Seen>,
    /// Every window that shows them.
    pub windows: Vec<Window>,
    /// There is one more, of a process namespace we cannot see into.
    pub unseen_window: bool,
    /// A session runs.
    pub recording: bool,
    /// What `setpriority` said to a thread that needed it; `None` = nothing was refused.
    pub refused: Option<String>,
    /// What `ioprio_set` said.
    pub io_refused: Option<String>,
}

/// What an engine knows of itself.
#[derive(Debug, Clone)]
pub struct Here {
    /// Its own nice value, which its children begin with.
    pub nice: i32,
    /// Who runs where.
    pub plan: Plan,
    /// Where it may run itself.
    pub allowed: Cpus,
}

/// A question to a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Whether it is there.
    Call(Helper),
    /// For a thread.
    Raise {
        /// Whom.
        helper: Helper,
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
        /// The nice value.
        nice: i32,
    },
}

/// The answer: how far it goes, or that it was done (the number is then of no account).
pub type Answer = Result<i32, Refusal>;

/// See the module.
#[derive(Debug)]
pub struct Ladder {
    here: Here,
    look: Look,
    /// Looks since the recording began; a thread shows what it does from the second on.
    recorded: u32,
    helpers: [Asked; 2],
    /// Threads that were asked for since the last look.
    asked: HashSet<(Helper, u32)>,
    /// Questions answered since the last look.
    asks: u32,
    looked: bool,
}

/// What is known of a helper.
#[derive(Debug)]
struct Asked {
    helper: Helper,
    state: State,
    /// Threads it has raised.
    raised: HashSet<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Unknown,
    /// It goes down to this nice value.
    Here(i32),
    Busy(i32, MonoNs),
    Absent(String, MonoNs),
    Refused(String, MonoNs),
}

impl Ladder {
    /// Nothing was tried yet.
    pub fn new(here: Here) -> Self {
        let asked = |helper| Asked { helper, state: State::Unknown, raised: HashSet::new() };
        let helpers = [asked(Helper::Portal), asked(Helper::RealtimeKit)];
        Self { here, look: Look::default(), recorded: 0, helpers, asked: HashSet::new(), asks: 0, looked: false }
    }

    /// Takes in a look.
    pub fn look(&mut self, look: Look) {
        self.recorded = if look.recording { self.recorded.saturating_add(1) } else { 0 };
        self.asked.clear();
        self.asks = 0;
        let alive: HashSet<u32> = look.workers.iter().flat_map(|seen| &seen.threads).map(|thread| thread.tid).collect();
        for asked in &mut self.helpers {
            asked.raised.retain(|tid| alive.contains(tid));
        }
        self.look = look;
        self.looked = true;
    }

    /// The next question; `None` = nothing is to be asked now.
    pub fn ask(&self, now: MonoNs) -> Option<Ask> {
        let needy = self.needy();
        if needy.is_empty() || self.asks >= ASKS {
            return None;
        }
        for Asked { helper, state, .. } in &self.helpers {
            match state {
                State::Unknown => return Some(Ask::Call(*helper)),
                State::Absent(_, again) | State::Refused(_, again) if now >= *again => return Some(Ask::Call(*helper)),
                State::Absent(..) | State::Refused(..) => continue,
                State::Busy(_, again) if now < *again => continue,
                State::Here(lowest) | State::Busy(lowest, _) => {
                    let wanted = nice::RECORDING.max(*lowest);
                    let worth = |(_, thread): &&(u32, Thread)| {
                        thread.nice > wanted && self.is_worth_it(thread) && !self.asked.contains(&(*helper, thread.tid))
                    };
                    if let Some((pid, thread)) = needy.iter().find(worth) {
                        return Some(Ask::Raise { helper: *helper, pid: *pid, tid: thread.tid, nice: wanted });
                    }
                }
            }
        }
        None
    }

    /// Takes in an answer.
    pub fn answer(&mut self, now: MonoNs, ask: Ask, answer: Answer) {
        self.asks += 1;
        let of = match ask {
            Ask::Call(helper) | Ask::Raise { helper, .. } => helper,
        };
        let Some(asked) = self.helpers.iter_mut().find(|asked| asked.helper == of) else { return };
        if let Ask::Raise { tid, .. } = ask {
            self.asked.insert((of, tid));
        }
        match (ask, answer) {
            (Ask::Call(_), Ok(lowest)) => asked.state = State::Here(lowest),
            (Ask::Raise { tid, nice, .. }, Ok(_)) => {
                asked.raised.insert(tid);
                if let State::Busy(lowest, _) = asked.state {
                    asked.state = State::Here(lowest);
                }
                let threads = self.look.workers.iter_mut().flat_map(|seen| &mut seen.threads);
                threads.filter(|thread| thread.tid == tid).for_each(|thread| thread.nice = nice);
            }
            (Ask::Raise { .. }, Err(Refusal::Gone)) => {}
            // No thread is asked for yet: what is not there is the helper.
            (Ask::Call(_), Err(Refusal::Gone)) => {
                asked.state = State::Absent("it is not there".to_owned(), now.plus(AGAIN))
            }
            (_, Err(Refusal::Busy)) => {
                let lowest = match asked.state {
                    State::Here(lowest) | State::Busy(lowest, _) => lowest,
                    _ => nice::RECORDING,
                };
                asked.state = State::Busy(lowest, now.plus(BUSY));
            }
            (_, Err(Refusal::Absent(why))) => asked.state = State::Absent(why, now.plus(AGAIN)),
            (_, Err(Refusal::Refused(why))) => asked.state = State::Refused(why, now.plus(AGAIN)),
        }
    }

    fn threads(&self) -> impl Iterator<Item = (u32, Thread)> {
        self.look.workers.iter().flat_map(|seen| seen.threads.iter().map(|thread| (seen.pid, *thread)))
    }

    /// Threads that are not where they should be, those that work most first.
    fn needy(&self) -> Vec<(u32, Thread)> {
        let mut needy: Vec<_> = self.threads().filter(|(_, thread)| thread.nice > nice::RECORDING).collect();
        needy.sort_by_key(|(_, thread)| (std::cmp::Reverse(thread.busy), thread.tid));
        needy
    }

    /// Whether a helper is to be asked for this thread: there is something to protect, and a place for it.
    fn is_worth_it(&self, thread: &Thread) -> bool {
        let lent: usize = self.helpers.iter().map(|asked| asked.raised.len()).sum();
        let few = self.threads().count() <= LENT;
        self.recorded > 0 && (few || (self.recorded > 1 && lent < LENT && thread.busy >= WORKS))
    }
}

#[cfg(test)]
mod tests;
