//! The supervision of one input's worker process. Pure: `handle(now, event, recording) -> Vec<Act>`.
//!
//! ```text
//!              lock free                linked
//! Connecting ───────────▶ Starting ───────────────▶ Linked
//!     ▲ │ linked             │ exited, late            │ link lost
//!     │ └────────────────────┼───────▶ Linked          │
//!     └──────────────────────┼─────────────────────────┘
//!                            ▼ dead: replace now, later or never
//!                Waiting ───▶ Starting            Quarantined ──(operator)──▶ Starting
//! ```
//! `Replacing` goes from Linked to Starting: the worker leaves because its source was changed.
//! A part that stalls in a worker that goes on by itself is an attempt as well; one too many, and the worker is ended.
//! A link that breaks is not a death: the lock decides (DESIGN §1). `Ending` is any phase after we signalled it.

mod ask;
mod stall;

use super::breaks::Breaks;
use super::growth::Growth;
use super::restart::{Next, PROVED_AFTER, Restarts, Settled};
pub use super::worker_event::{Act, WorkerEvent};
use crate::model::{MonoNs, SessionId};
use stall::NewMedia;
use std::time::Duration;

/// A new worker that is not linked by then is replaced: program start and GStreamer take 0.3 s, ten times that
/// on a machine under load.
pub const START_DEADLINE: Duration = Duration::from_secs(10);
/// Silence that counts as hung (R-SUP-4); a healthy worker reports every 0.5 s.
pub const HUNG_AFTER: Duration = Duration::from_secs(3);
/// Silence after which its file is watched, so that growth is known before [`HUNG_AFTER`].
const MEASURE_AFTER: Duration = Duration::from_secs(1);
/// A worker that holds its lock but never answers gets this many connection attempts of 5 s.
const MUTE_CONNECTS: u32 = 3;
/// Ticks come every 0.2 s. One this late means that the engine itself stood still (SIGSTOP, suspend, a frozen
/// machine): it has heard nobody because it did not listen, and begins to count anew ([`super::state`] does the same).
pub(super) const OWN_PAUSE: Duration = Duration::from_secs(1);
/// An idle worker that is told to leave does so within a second; its device may take two to close.
const REPLACED_AFTER: Duration = Duration::from_secs(3);
/// From SIGTERM to SIGKILL (R-SUP-8).
pub const KILL_AFTER: Duration = Duration::from_secs(2);
/// A process that survives SIGKILL this long sits in the kernel (D state).
const UNKILLABLE_AFTER: Duration = Duration::from_secs(5);

/// What a worker is doing, as far as the engine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Somebody may hold its lock.
    Connecting { tries: u32 },
    /// A process was asked for and is not linked yet.
    Starting { since: MonoNs },
    /// It answers.
    Linked { since: MonoNs },
    /// We signalled it.
    Ending { since: MonoNs, killed: bool, why: String },
    /// It is started again then.
    Waiting { until: MonoNs },
    /// Nothing more is tried.
    Quarantined,
    /// It was told to leave, and is replaced by one that serves the source as it is configured now.
    Replacing { since: MonoNs },
    /// The engine leaves; deaths are expected.
    Dismissed,
    /// It is gone for good.
    Gone,
}

/// One input's worker.
#[derive(Debug, Clone)]
pub struct Worker {
    phase: Phase,
    restarts: Restarts,
    /// What is over of an account that may still come ([`WorkerEvent::Recalled`]).
    settled: Settled,
    /// What of its media proves it.
    new_media: NewMedia,
    /// Number of the current connection; words of older ones are ignored.
    link: u64,
    breaks: Breaks,
    /// `None` = there is none, or it is of a process namespace we cannot see into.
    pid: Option<u32>,
    /// Somebody serves this input, seen or unseen.
    served: bool,
    /// The process is our child: its exit will be told.
    child: bool,
    older: bool,
    started: Option<MonoNs>,
    heard: MonoNs,
    /// Whether its file grows, watched while it is silent.
    growth: Growth,
    ticked: MonoNs,
}

impl Worker {
    /// A worker nothing is known of but how often earlier ones were replaced, and the first act: look who holds its lock.
    pub fn new(now: MonoNs, restarts: Restarts) -> (Self, Vec<Act>) {
        let worker = Self {
            phase: Phase::Connecting { tries: 0 },
            restarts,
            settled: Settled::default(),
            new_media: NewMedia::ALL,
            link: 1,
            breaks: Breaks::default(),
            pid: None,
            served: false,
            child: false,
            older: false,
            started: None,
            heard: now,
            growth: Growth::default(),
            ticked: now,
        };
        (worker, vec![Act::Connect { link: 1, child: false, pause: Duration::ZERO }])
    }

    /// Decides. `recording` = it writes media, or may: what is not known counts as recording.
    pub fn handle(&mut self, now: MonoNs, event: WorkerEvent, recording: bool) -> Vec<Act> {
        match event {
            WorkerEvent::Spawned { pid } => self.spawned(pid),
            WorkerEvent::SpawnFailed { reason } => self.died(now, reason),
            WorkerEvent::LockFree { link } if link == self.link => self.lock_free(now),
            WorkerEvent::Mute { link, pid } if link == self.link => self.mute(now, pid),
            WorkerEvent::Linked { link, pid, started, session, older } if link == self.link => {
                self.older = older;
                self.linked(now, pid, started, session)
            }
            WorkerEvent::LinkLost { link } if link == self.link => self.reconnect(now),
            WorkerEvent::Heard { link } if link == self.link => {
                self.heard = now;
                Vec::new()
            }
            WorkerEvent::Media { written } => {
                self.media(written);
                Vec::new()
            }
            WorkerEvent::Stalled => self.stalled(now),
            WorkerEvent::Measured { bytes } => {
                self.growth.seen(now, bytes);
                Vec::new()
            }
            WorkerEvent::DiskStands => {
                self.growth.excuse();
                Vec::new()
            }
            WorkerEvent::Exited { pid, how } if Some(pid) == self.pid => self.died(now, how),
            WorkerEvent::Recalled { earlier } => self.recalled(now, earlier),
            WorkerEvent::OutOfReach if matches!(self.phase, Phase::Ending { .. }) => self.cannot_end(),
            WorkerEvent::OutOfReach => Vec::new(),
            WorkerEvent::Retry => self.retry(now),
            WorkerEvent::StopLate => self.end(now, false, "it did not close its files in time"),
            WorkerEvent::Deaf if self.is_linked() => self.end(now, false, "it did not answer a command"),
            WorkerEvent::Deaf => Vec::new(),
            WorkerEvent::Outdated => self.replace(now),
            WorkerEvent::Leave => self.leave(),
            WorkerEvent::Tick => self.tick(now, recording),
            // Words of an older connection or process.
            WorkerEvent::LockFree { .. }
            | WorkerEvent::Mute { .. }
            | WorkerEvent::Linked { .. }
            | WorkerEvent::LinkLost { .. }
            | WorkerEvent::Heard { .. }
            | WorkerEvent::Exited { .. } => Vec::new(),
        }
    }

    fn spawned(&mut self, pid: u32) -> Vec<Act> {
        (self.pid, self.served, self.child) = (Some(pid), true, true);
        if matches!(self.phase, Phase::Starting { .. }) {
            vec![self.connect(true, Duration::ZERO)]
        } else {
            vec![Act::Terminate]
        }
    }

    fn connect(&mut self, child: bool, pause: Duration) -> Act {
        self.link += 1;
        Act::Connect { link: self.link, child, pause }
    }

    /// Connects anew, the later the more links in a row have broken.
    fn connect_again(&mut self) -> Act {
        let pause = self.breaks.next_pause();
        self.connect(false, pause)
    }

    /// Its source was changed: it makes room for a worker of the new one.
    fn replace(&mut self, now: MonoNs) -> Vec<Act> {
        if !self.is_linked() {
            return Vec::new();
        }
        self.phase = Phase::Replacing { since: now };
        vec![Act::Dismiss]
    }

    fn reconnect(&mut self, now: MonoNs) -> Vec<Act> {
        if let Phase::Linked { since } = self.phase {
            self.breaks.ended(now.since(since));
        }
        if matches!(self.phase, Phase::Linked { .. } | Phase::Starting { .. }) {
            self.phase = Phase::Connecting { tries: 0 };
        }
        self.growth.forget();
        // Whatever we did to it, only its lock tells whether it is gone.
        vec![self.connect_again()]
    }

    fn lock_free(&mut self, now: MonoNs) -> Vec<Act> {
        match &self.phase {
            // It lets go of its lock a moment before it is gone; a child is waited for to its end.
            Phase::Dismissed | Phase::Replacing { .. } if self.child => Vec::new(),
            // An engine that was started anew is no reason to try what another has given up.
            Phase::Connecting { .. } if !self.served && self.restarts.has_given_up() => {
                self.phase = Phase::Quarantined;
                vec![Act::GaveUp]
            }
            // Nobody served this input: that is no death.
            Phase::Connecting { .. } if !self.served => self.start(now),
            _ => self.died(now, "its connection and its lock are gone".to_owned()),
        }
    }

    fn start(&mut self, now: MonoNs) -> Vec<Act> {
        self.phase = Phase::Starting { since: now };
        vec![Act::Spawn]
    }

    fn mute(&mut self, now: MonoNs, pid: Option<u32>) -> Vec<Act> {
        (self.pid, self.served) = (pid.or(self.pid), self.served || pid.is_some());
        let Phase::Connecting { tries } = self.phase else { return vec![self.connect_again()] };
        self.phase = Phase::Connecting { tries: MUTE_CONNECTS.min(tries + 1) };
        // It may be recording: that it says nothing is no reason to end what grows.
        if tries + 1 < MUTE_CONNECTS || self.growth.still_for() < HUNG_AFTER {
            return vec![self.connect_again()];
        }
        if self.pid.is_none() {
            return self.cannot_end();
        }
        let mut acts = self.end(now, true, "it held its lock but did not answer");
        acts.push(self.connect_again());
        acts
    }

    /// Nobody to signal: another instance, perhaps outside of our sandbox, has to end it.
    fn cannot_end(&mut self) -> Vec<Act> {
        self.phase = Phase::Quarantined;
        vec![Act::GaveUp]
    }

    fn linked(&mut self, now: MonoNs, pid: Option<u32>, started: MonoNs, session: Option<SessionId>) -> Vec<Act> {
        (self.pid, self.served) = (pid, true);
        self.started = Some(started);
        self.heard = now;
        self.growth.forget();
        match self.phase {
            Phase::Connecting { .. } | Phase::Starting { .. } => {
                self.phase = Phase::Linked { since: now };
                vec![Act::Ready { session }]
            }
            Phase::Dismissed | Phase::Replacing { .. } => vec![Act::Dismiss],
            _ => Vec::new(),
        }
    }

    /// It is dead, by exit or by lock: replace it now, later, or never.
    fn died(&mut self, now: MonoNs, reason: String) -> Vec<Act> {
        (self.pid, self.served, self.child) = (None, false, false);
        (self.started, self.new_media) = (None, NewMedia::ALL);
        // A death is seen by exit and by lock; whatever comes second is of an older connection.
        self.link += 1;
        if matches!(self.phase, Phase::Dismissed | Phase::Gone) {
            self.phase = Phase::Gone;
            return Vec::new();
        }
        if matches!(self.phase, Phase::Replacing { .. }) {
            // It left as it was told: no death, and no attempt.
            return self.start(now);
        }
        // Why we ended it says more than how it ended.
        let reason = if let Phase::Ending { why, .. } = &self.phase { why.clone() } else { reason };
        let mut acts = vec![Act::Died { reason }];
        match self.restarts.next(now) {
            Next::Now => {
                self.restarts.begin(now);
                acts.extend(self.start(now));
            }
            Next::At(until) => self.phase = Phase::Waiting { until },
            Next::GiveUp => {
                self.restarts.give_up();
                self.phase = Phase::Quarantined;
                acts.push(Act::GaveUp);
            }
        }
        acts
    }

    fn retry(&mut self, now: MonoNs) -> Vec<Act> {
        self.restarts.forgive();
        self.settled = Settled::Forgiven;
        if matches!(self.phase, Phase::Quarantined | Phase::Waiting { .. }) { self.start(now) } else { Vec::new() }
    }

    fn end(&mut self, now: MonoNs, killed: bool, why: &str) -> Vec<Act> {
        if !self.served || matches!(self.phase, Phase::Ending { .. }) {
            return Vec::new();
        }
        if matches!(self.phase, Phase::Dismissed | Phase::Gone) {
            // It was told to leave and is helped on its way; nobody will mourn it.
            return self.pid.map(|_| Act::Terminate).into_iter().collect();
        }
        match self.pid {
            Some(_) => {}
            None if self.phase == Phase::Quarantined => return Vec::new(),
            None => return self.cannot_end(),
        }
        self.phase = Phase::Ending { since: now, killed, why: why.to_owned() };
        vec![if killed { Act::Kill } else { Act::Terminate }]
    }

    fn leave(&mut self) -> Vec<Act> {
        match self.phase {
            Phase::Waiting { .. } | Phase::Quarantined | Phase::Gone => {
                self.phase = Phase::Gone;
                Vec::new()
            }
            Phase::Connecting { .. } if !self.served => {
                self.phase = Phase::Gone;
                Vec::new()
            }
            _ => {
                self.phase = Phase::Dismissed;
                vec![Act::Dismiss]
            }
        }
    }

    fn tick(&mut self, now: MonoNs, recording: bool) -> Vec<Act> {
        let between = now.since(std::mem::replace(&mut self.ticked, now));
        if between >= OWN_PAUSE {
            self.heard = now;
            self.growth.forget();
            // What it may have said meanwhile is read behind this tick.
            if let Phase::Starting { since } | Phase::Replacing { since } = &mut self.phase {
                *since = since.plus(between).min(now);
            }
        }
        match &self.phase {
            Phase::Connecting { tries } if *tries > 0 && self.growth.look(now) => vec![Act::Measure],
            Phase::Starting { since } if now.since(*since) >= START_DEADLINE => {
                self.end(now, true, "it did not start in time")
            }
            Phase::Linked { since } => {
                if !recording && now.since(*since) >= PROVED_AFTER {
                    self.proved();
                }
                self.watch(now, recording)
            }
            Phase::Replacing { since } if now.since(*since) >= REPLACED_AFTER => {
                self.end(now, false, "it did not make room for the changed input")
            }
            Phase::Ending { since, killed: false, why } if now.since(*since) >= KILL_AFTER => {
                self.phase = Phase::Ending { since: now, killed: true, why: why.clone() };
                vec![Act::Kill]
            }
            Phase::Ending { since, killed: true, .. } if now.since(*since) >= UNKILLABLE_AFTER => {
                self.phase = Phase::Quarantined;
                vec![Act::Stuck]
            }
            Phase::Waiting { until } if now >= *until => {
                self.restarts.begin(now);
                self.start(now)
            }
            _ => Vec::new(),
        }
    }

    /// Hung = silent, and while recording its file does not grow either (R-SUP-4).
    fn watch(&mut self, now: MonoNs, recording: bool) -> Vec<Act> {
        let silence = now.since(self.heard);
        if silence < MEASURE_AFTER {
            self.growth.forget();
            return Vec::new();
        }
        if silence >= HUNG_AFTER && (!recording || self.growth.still_for() >= HUNG_AFTER) {
            return self.end(now, true, "it did not answer for 3 s");
        }
        if recording && self.growth.look(now) {
            return vec![Act::Measure];
        }
        Vec::new()
    }
}

#[cfg(test)]
#[path = "worker_state_tests.rs"]
mod tests;
