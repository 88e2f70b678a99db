//! A worker process of the simulated world: the real state machine, real files and locks; pipelines are imagined.

use super::world::{Clock, Link};
use crate::support::process::Deadline;
use holdfast::media::durable_sink::Progress;
use holdfast::media::signal::VideoFormat;
use holdfast::model::encoding::Container;
use holdfast::model::session::{Fact, Line, PartEnd, PartFrames, PartRecord};
use holdfast::model::snapshot::Frames;
use holdfast::model::{InputId, MonoNs, SessionId};
use holdfast::protocol::worker::{Command, Report, Ticket};
use holdfast::storage::journal::{self, Log};
use holdfast::storage::layout;
use holdfast::sys::lock::{Lock, try_lock, try_lock_fd};
use holdfast::worker::state::{Answers, Asked, Effect, Event, Evidence, PartClosing, Reply, State, TakeEvidence};
use rustix::event::Timespec;
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Media reaches the file in pieces of this length.
const FRAGMENT: Duration = Duration::from_millis(500);
const FPS: u64 = 30;
/// Tens of milliseconds on a busy machine; nothing but a fault of ours takes this long.
const FORKS_END_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Asks again, in the time of the real world, for a lock that nobody of this world holds: a process that another test
/// starts has a copy of every descriptor of ours until it runs its program.
pub fn outwait_forks<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(FORKS_END_WITHIN);
    loop {
        let taken = attempt();
        if taken.is_some() || deadline.left().is_none() {
            return taken;
        }
        let pause = rustix::event::poll(&mut [], Some(&ASK_AGAIN));
        assert!(matches!(pause, Ok(0) | Err(rustix::io::Errno::INTR)), "{pause:?}");
    }
}

/// A part being written: its file, locked.
#[derive(Debug)]
struct Take {
    part: u32,
    file: String,
    ticket: Ticket,
    since: MonoNs,
    until: Option<MonoNs>,
    end: PartEnd,
    _lock: File,
}

impl Take {
    fn written(&self, now: MonoNs) -> Duration {
        let whole = self.until.unwrap_or(now).since(self.since.max(self.ticket.start_at_ns));
        // What is closed is flushed to its last frame.
        if self.until.is_some() { whole } else { FRAGMENT * (whole.as_millis() / FRAGMENT.as_millis()) as u32 }
    }

    fn frames(&self, now: MonoNs) -> u64 {
        self.written(now).as_millis() as u64 * FPS / 1000
    }
}

/// The one that has the lock of `input`.
pub fn holder(workers: &[SimWorker], input: &InputId) -> Option<usize> {
    workers.iter().position(|worker| worker.input == *input && worker.lock.is_some())
}

/// One worker process.
#[derive(Debug)]
pub struct SimWorker {
    pub input: InputId,
    pub pid: u32,
    pub started: MonoNs,
    /// Stopped by a signal.
    pub frozen: bool,
    /// It left by itself.
    pub left: bool,
    /// Held once it has come up.
    pub lock: Option<Lock>,
    pub state: State,
    inbox: VecDeque<Event>,
    facts: VecDeque<(SessionId, PathBuf, i64, Fact)>,
    /// What keeps its session from being closed.
    hold: Option<(SessionId, File)>,
    /// It lets go behind its last fact.
    lets_go: bool,
    take: Option<Take>,
    /// The part that begins at the next keyframe behind this.
    next: Option<(MonoNs, Take)>,
    /// The part before a boundary, while it is being closed.
    settling: Option<Take>,
    /// What it answered.
    pub answers: Answers,
    /// The engine's end of the connection.
    pub link: Option<Link>,
}

impl SimWorker {
    pub fn new(input: InputId, pid: u32, now: MonoNs) -> Self {
        let state = State::new(input.clone(), now);
        let (inbox, facts, answers) = Default::default();
        let (lock, hold, take, next, settling, link) = (None, None, None, None, None, None);
        Self {
            input,
            pid,
            started: now,
            frozen: false,
            left: false,
            lock,
            state,
            inbox,
            facts,
            hold,
            lets_go: false,
            take,
            next,
            settling,
            answers,
            link,
        }
    }

    /// Comes up: without its lock, which another one of its input may hold, it leaves at once.
    pub fn boot(&mut self, locks: &Path, held: bool) {
        let path = locks.join(format!("{}.lock", self.input));
        let lock = || try_lock(&path).expect("a lock file");
        self.lock = if held { lock() } else { outwait_forks(lock) };
        self.left = self.lock.is_none();
    }

    /// It has a source that delivers.
    pub fn is_live(&self) -> bool {
        self.lock.is_some() && self.state.picture().is_some()
    }

    /// The session it records.
    pub fn session(&self) -> Option<SessionId> {
        self.state.session()
    }

    /// It keeps `session` from being closed, or a part of it is open.
    pub fn holds(&self, session: SessionId) -> bool {
        let takes = [&self.take, &self.settling].into_iter().flatten().chain(self.next.as_ref().map(|(_, take)| take));
        let writes = takes.map(|take| take.ticket.session).any(|written| written == session);
        writes || self.hold.as_ref().is_some_and(|(held, _)| *held == session)
    }

    /// Something it could do now.
    pub fn is_busy(&self) -> bool {
        let heard = self.link.as_ref().is_some_and(|link| !link.down.is_empty());
        !self.frozen && (heard || !self.inbox.is_empty() || !self.facts.is_empty())
    }

    /// Does one thing: hears a command, learns what its pipelines did, or finishes writing a fact.
    pub fn step(&mut self, clock: Clock, choice: u8) {
        if !self.facts.is_empty() && (choice.is_multiple_of(3) || self.inbox.is_empty()) {
            return self.write_fact(clock);
        }
        if let Some(event) = self.inbox.pop_front() {
            return self.decide(clock.mono, event);
        }
        let Some(command) = self.link.as_mut().and_then(|link| link.down.pop_front()) else { return };
        let reply = |id| Reply { connection: 1, id };
        match command.id().map(|id| (id, self.answers.ask(reply(id)))) {
            Some((_, Asked::Begun)) => return,
            Some((id, Asked::Answered(refused))) => return self.tell(Report::Ack { id, refused }),
            Some((_, Asked::New)) | None => {}
        }
        let event = match command {
            Command::Configure { id, input, policy } => {
                Event::Configure { reply: reply(id), input: Box::new(input), policy }
            }
            Command::Start { id, ticket } => Event::Start { reply: reply(id), ticket: Box::new(ticket) },
            Command::Stop { id, session } => Event::Stop { reply: reply(id), session },
            Command::Split { id, session, at_ns } => Event::Split { reply: reply(id), session, at: at_ns },
            Command::Retry { id } => Event::Retry { reply: reply(id) },
            Command::ClearClip { id } => Event::ClearClip { reply: reply(id) },
            Command::Shed { id, shed } => Event::Shed { reply: reply(id), shed },
            Command::Leave { id } => Event::Leave { reply: reply(id) },
            Command::Hello { .. } | Command::Watch { .. } => return,
        };
        self.decide(clock.mono, event);
    }

    /// Its main loop looks at the evidence.
    pub fn tick(&mut self, now: MonoNs) {
        if let Some((at, next)) = &mut self.next
            && now >= *at
        {
            next.since = now;
            self.inbox.push_back(Event::PartSplit { part: next.part });
        }
        let take = self.take.as_ref().map(|take| {
            let written = take.written(now);
            let bytes = written.as_millis() as u64 * 500;
            let safe = written.saturating_sub(FRAGMENT);
            let frames = frames(take.frames(now));
            let progress = Progress { written, safe, bytes, video_frames: take.frames(now) };
            let origin = Some(take.since.max(take.ticket.start_at_ns));
            TakeEvidence { progress, frames, origin, overflowed: 0 }
        });
        let evidence = Evidence { frame_at: Some(now), sound_at: Some(now), take, ..Evidence::default() };
        self.decide(now, Event::Tick(Box::new(evidence)));
        self.publish(now);
    }

    pub fn decide(&mut self, now: MonoNs, event: Event) {
        for effect in self.state.handle(now, event) {
            self.perform(now, effect);
        }
    }

    fn tell(&mut self, report: Report) {
        if let Some(link) = &mut self.link {
            link.up.push_back(report);
        }
    }

    fn publish(&mut self, now: MonoNs) {
        let status = self.state.status(now);
        self.tell(Report::Status(Box::new(status)));
    }

    fn perform(&mut self, now: MonoNs, effect: Effect) {
        match effect {
            Effect::OpenSource { .. } => self.inbox.push_back(Event::SourceFormat(VideoFormat {
                width: 640,
                height: 360,
                pixels: "I420".into(),
                coding: None,
                rate: None,
            })),
            Effect::CloseSource => self.inbox.push_back(Event::SourceReleased),
            Effect::OpenPart { part, path, ticket, split_at, .. } => {
                self.open_part(now, part, &path, *ticket, split_at);
            }
            Effect::ClosePart { at, end } => {
                if let Some(take) = self.take.take() {
                    self.inbox.push_back(Event::PartFlushed { part: take.part });
                    self.close_part(at, take, end);
                }
            }
            Effect::CutPart { end } => {
                if let Some(take) = self.take.take() {
                    self.close_part(now, take, end);
                }
            }
            Effect::AdvancePart => {
                let Some((_, next)) = self.next.take() else { return };
                if let Some(before) = self.take.replace(next) {
                    self.inbox.push_back(Event::PartFlushed { part: before.part });
                    self.settling = Some(before);
                    self.settle(now);
                }
            }
            Effect::DropNext => {
                if let Some((_, next)) = self.next.take() {
                    let since = next.since;
                    self.close_part(since, next, PartEnd::Empty);
                }
            }
            Effect::CutSettling => self.settle(now),
            Effect::ReleaseEncoders | Effect::Shed(_) => {}
            Effect::HoldSession { reply, session, dir } => {
                // A close of this world is one step: nobody is in the middle of one.
                let file = outwait_forks(|| journal::hold(&dir).expect("a journal")).expect("nobody closes it");
                self.hold = Some((session, file));
                self.inbox.push_back(Event::SessionHeld { reply, session, result: Ok(()) });
            }
            Effect::LetGoOfSession(_) if self.facts.is_empty() => self.hold = None,
            // Behind the last fact.
            Effect::LetGoOfSession(_) => self.lets_go = true,
            Effect::WriteFact { session, dir, t_ns, fact } => self.facts.push_back((session, dir, t_ns, *fact)),
            Effect::Ack { reply, refused } => {
                let reply = self.answers.answer(reply, &refused);
                self.tell(Report::Ack { id: reply.id, refused });
            }
            Effect::PublishStatus => self.publish(now),
            Effect::Exit(_) => self.left = true,
            Effect::Prepare(_) | Effect::CloseSound | Effect::Freeze(_) | Effect::Log(_) | Effect::ClearClip => {}
        }
    }

    /// The part before a boundary is closed.
    fn settle(&mut self, now: MonoNs) {
        if let Some(take) = self.settling.take() {
            self.close_part(now, take, PartEnd::Split);
        }
    }

    fn open_part(&mut self, now: MonoNs, part: u32, path: &Path, ticket: Ticket, split_at: Option<MonoNs>) {
        let file = match File::create_new(path) {
            Ok(file) => file,
            Err(error) => {
                // A number that was used before: the invariant this test exists for.
                panic!("{}: {error}; first part {}", path.display(), ticket.first_part);
            }
        };
        assert!(try_lock_fd(&file).expect("a lock"), "{}: two writers", path.display());
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let take = Take { part, file: name, ticket, since: now, until: None, end: PartEnd::Completed, _lock: file };
        self.inbox.push_back(Event::PartOpened { part, file: take.file.clone() });
        match split_at {
            Some(at) => self.next = Some((at, take)),
            None => self.take = Some(take),
        }
    }

    /// What was written until `at` is in the file, and nothing behind it.
    fn close_part(&mut self, at: MonoNs, mut take: Take, end: PartEnd) {
        (take.until, take.end) = (Some(at), end);
        let now = at;
        let duration = take.written(now);
        let count = take.frames(now);
        let start = i128::from(take.ticket.start_at_ns.0);
        let origin = i128::from(take.since.max(take.ticket.start_at_ns).0);
        let end = if duration.is_zero() { PartEnd::Empty } else { take.end };
        let record = PartRecord {
            offset_ns: (!duration.is_zero()).then_some((origin - start) as i64),
            duration_ns: duration.as_nanos() as u64,
            bytes: 1,
            frames: PartFrames { written: Some(count), ..PartFrames::default() },
            ..PartRecord::new(take.part, take.file.clone(), Container::Mp4, end)
        };
        let closing = PartClosing {
            session: take.ticket.session,
            record,
            frames: frames(count),
            safe: duration,
            doubt: None,
            unfinalised: None,
        };
        self.inbox.push_back(Event::PartReleased { part: take.part });
        self.inbox.push_back(Event::PartClosed(Box::new(closing)));
    }

    /// The fact survives an fsync first, then it is reported.
    fn write_fact(&mut self, clock: Clock) {
        let Some((session, dir, t_ns, fact)) = self.facts.pop_front() else { return };
        let path = dir.join(layout::facts_file(&self.input));
        let line = Line { t_ns, at: clock.wall, kind: fact.clone() };
        Log::open(&path).and_then(|mut log| log.append(&line)).expect("a fact is written");
        self.tell(Report::Fact { session, t_ns, fact: Box::new(fact) });
        if self.facts.is_empty() && std::mem::take(&mut self.lets_go) {
            self.hold = None;
        }
    }
}

/// Counters of a part in which nothing was lost.
fn frames(count: u64) -> Frames {
    let (count, zero) = (Some(count), Some(0));
    let dropped = holdfast::model::snapshot::Dropped { source: zero, queue: zero, encoder: zero };
    Frames { captured: count, encoded: count, written: count, duplicated: zero, dropped }
}
