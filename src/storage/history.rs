//! What an open session's journal, facts and files say so far: enough for another engine to go on with it.
//!
//! Contract: reading changes nothing. [`adopt`] folds the facts the journal lacks into it, each once, and appends the
//! line that says who goes on; done twice it folds nothing twice. Blocks on the disk.

use super::journal::Log;
use super::manifest::calendar;
use super::recovery::{media_files, read_facts, unfolded};
use super::{journal, layout, markers};
use crate::model::calendar::Calendar;
use crate::model::marker::Marker;
use crate::model::session::{FactKind, JournalKind, Line, PartEnd, PartRecord, Plan};
use crate::model::snapshot::{Dropped, Frames};
use crate::model::{InputId, SessionId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A session that has not been closed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Somebody asked to stop it.
    pub stop_requested: bool,
    /// Its markers with the keys of their requests, oldest first.
    pub markers: Vec<(String, Marker)>,
    /// Its inputs, as far as anything is known of them.
    pub inputs: BTreeMap<InputId, InputHistory>,
}

/// One input's recording so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputHistory {
    /// Its parts, in order.
    pub parts: Vec<PastPart>,
    /// Media was seen in one of its files.
    pub started: bool,
    /// Its worker ended the recording itself.
    pub done: bool,
    /// Its last part ended because there was no room for more.
    pub starved: bool,
    /// A worker has written something since the last loss of one; whether it lives is another question.
    pub served: bool,
    /// When workers were lost, since the session's origin, oldest first.
    pub lost_ns: Vec<i64>,
    /// Parts that stalled, and when they were closed, since the session's origin, in their order.
    pub stalled: Vec<(u32, i64)>,
}

/// A part, as far as it is known without reading its media.
#[derive(Debug, Clone, PartialEq)]
pub struct PastPart {
    /// Its number.
    pub part: u32,
    /// Media time; of a part nobody closed at least this much, by the time of its last write.
    pub media_ms: u64,
    /// Its frames; `None` = nobody lived to count them.
    pub frames: Option<Frames>,
}

impl History {
    /// Nothing of this session was ever recorded or asked to stop.
    pub fn is_blank(&self) -> bool {
        !self.stop_requested && self.inputs.values().all(|input| !input.served && input.parts.is_empty())
    }

    /// What the journal alone says.
    pub(super) fn of_journal(lines: &[Line<JournalKind>]) -> Self {
        let mut history = Self { markers: markers::kept(lines), ..Self::default() };
        for line in lines {
            match &line.kind {
                JournalKind::StopRequested => history.stop_requested = true,
                JournalKind::Started { input } => history.input(input).started = true,
                JournalKind::WorkerLost { input, .. } => history.input(input).lost_ns.push(line.t_ns),
                _ => {}
            }
        }
        history
    }

    /// What is known of the session `plan` in `dir`, whose journal says `lines`.
    pub(super) fn read(dir: &Path, plan: &Plan, lines: &[Line<JournalKind>]) -> io::Result<Self> {
        let mut history = Self::of_journal(lines);
        let files = media_files(dir)?;
        let calendar = calendar(plan, lines);
        for spec in &plan.inputs {
            let facts = read_facts(dir, &spec.id)?;
            let input = history.input(&spec.id);
            let lost = input.lost_ns.last().copied();
            input.served = facts.iter().any(|line| lost.is_none_or(|lost| line.t_ns > lost));
            input.done = facts.last().is_some_and(|line| matches!(line.kind.kind, FactKind::Done { .. }));
            let mut offsets = BTreeMap::new();
            let mut parts = BTreeMap::new();
            for line in &facts {
                match &line.kind.kind {
                    FactKind::PartStarted { part, offset_ns } => {
                        offsets.insert(*part, *offset_ns);
                    }
                    FactKind::PartClosed(record) | FactKind::PartUnfinished(record) => {
                        input.started |= record.end != PartEnd::Empty;
                        input.starved = record.end == PartEnd::DiskFull;
                        if record.stalled && input.stalled.last().is_none_or(|(part, _)| *part < record.part) {
                            input.stalled.push((record.part, line.t_ns));
                        }
                        parts.insert(record.part, closed_part(record));
                    }
                    _ => {}
                }
            }
            for (name, _, part) in files.iter().filter(|(_, owner, _)| *owner == spec.id) {
                let media_ms =
                    offsets.get(part).and_then(|offset| written_ms(dir, name, (plan, &calendar), *offset)).unwrap_or(0);
                // By the wall clock: what was written a fragment's length behind the first picture was media.
                input.started |= media_ms > 0;
                parts.entry(*part).or_insert(PastPart { part: *part, media_ms, frames: None });
            }
            input.parts = parts.into_values().collect();
        }
        Ok(history)
    }

    fn input(&mut self, id: &InputId) -> &mut InputHistory {
        self.inputs.entry(id.clone()).or_default()
    }
}

fn closed_part(record: &PartRecord) -> PastPart {
    let counted = &record.frames;
    // The record sums the drops up; by cause they are known only when there was none.
    let none = (counted.dropped == Some(0)).then_some(0);
    let frames = Frames {
        captured: counted.captured,
        encoded: counted.encoded,
        written: counted.written,
        duplicated: counted.duplicated,
        dropped: Dropped { source: none, queue: none, encoder: none },
    };
    PastPart { part: record.part, media_ms: record.duration_ns / 1_000_000, frames: Some(frames) }
}

/// Media that is in a part at least: it was written while it was captured, one fragment behind at most.
fn written_ms(dir: &Path, name: &str, (plan, calendar): (&Plan, &Calendar), offset_ns: i64) -> Option<u64> {
    let touched = Timestamp::try_from(fs::metadata(dir.join(name)).ok()?.modified().ok()?).ok()?;
    let (written, _) = calendar.times_of(touched);
    let ms = written.saturating_sub(offset_ns) / 1_000_000 - i64::from(plan.encoding.fragment_ms);
    u64::try_from(ms.max(0)).ok()
}

/// Makes the engine of `epoch` the one that goes on with the session in `dir`: folds what the journal lacks into it,
/// appends `adopted`, and says what is known. `t_ns` = now, since the session's origin; `id` = the
/// session meant; `step` = told of each line that is on the disk.
pub fn adopt(dir: &Path, id: SessionId, epoch: u64, t_ns: i64, step: impl Fn()) -> io::Result<History> {
    let path = dir.join(layout::JOURNAL);
    let (mut lines, _) = journal::read::<Line<JournalKind>>(&path)?;
    let plan = lines.iter().find_map(|line| match &line.kind {
        JournalKind::Plan(plan) if plan.id == id => Some(plan.clone()),
        _ => None,
    });
    let plan = plan.ok_or_else(|| io::Error::other("its journal holds another plan"))?;
    let mut log = journal::Log::open(&path)?;
    for line in unfolded(dir, &plan, folded(&lines))? {
        log.append(&line)?;
        step();
        lines.push(line);
    }
    log.append(&Line { t_ns, at: crate::sys::clock::wall_now(), kind: JournalKind::Adopted { epoch } })?;
    History::read(dir, &plan, &lines)
}

/// Input and number of every fact in a journal.
pub fn folded(lines: &[Line<JournalKind>]) -> BTreeSet<(InputId, u64)> {
    let fact = |line: &Line<JournalKind>| match &line.kind {
        JournalKind::Fact { input, fact } => Some((input.clone(), fact.n)),
        _ => None,
    };
    lines.iter().filter_map(fact).collect()
}

/// A journal that is being written, with room kept for the lines to come. A fact that stands in it is not written again: after an adoption workers may tell
/// what was folded from their files a moment before.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    log: Log,
    folded: BTreeSet<(InputId, u64)>,
}

impl Journal {
    /// Opens the journal of the session in `dir`, making it when there is none.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(layout::JOURNAL);
        let folded = match journal::read(&path) {
            Ok((lines, _)) => folded(&lines),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { dir: dir.to_owned(), log: Log::open(&path)?, folded })
    }

    /// The session's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a line and waits until it is on the disk.
    pub fn append(&mut self, line: &Line<JournalKind>) -> io::Result<()> {
        let fact = match &line.kind {
            JournalKind::Fact { input, fact } => Some((input.clone(), fact.n)),
            _ => None,
        };
        if fact.as_ref().is_some_and(|fact| self.folded.contains(fact)) {
            // Whoever wrote it may not have got it onto the disk: that it can be read shows nothing.
            return self.log.sync();
        }
        if let Err(error) = self.log.keep_room() {
            tracing::debug!(dir = %self.dir.display(), %error, "no room can be kept for the journal");
        }
        self.log.append(line)?;
        self.folded.extend(fact);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MonoNs;
    use crate::model::encoding::{Container, Encoding};
    use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern};
    use crate::model::session::Fact;

    #[test]
    fn parts_that_stalled_are_read_once_each_whatever_they_are_called() {
        let dir = tempfile::tempdir().expect("a folder");
        let id: InputId = "a".parse().expect("an id");
        let source = SourceSpec::Test { pattern: TestPattern::Bars, width: 64, height: 64, fps: 30, tone_hz: 440 };
        let spec = InputSpec {
            id: id.clone(),
            name: "A".into(),
            source,
            audio: AudioChoice::Auto,
            on_signal_loss: OnSignalLoss::Split,
            codec: None,
            importance: 0,
            armed: true,
        };
        let plan = Plan {
            id: SessionId(uuid::Uuid::nil()),
            name: "test".parse().expect("a name"),
            key: "k".into(),
            request: String::new(),
            start_at_ns: MonoNs(0),
            boot_id: "b".into(),
            started_at: crate::sys::clock::wall_now(),
            inputs: vec![spec],
            encoding: Encoding::default(),
            files: vec!["a.mp4".into()],
        };
        let part = |part, end, stalled| PartRecord {
            stalled,
            ..PartRecord::new(part, format!("a.part{part}.mp4"), Container::Mp4, end)
        };
        let parts = [
            FactKind::PartUnfinished(part(1, PartEnd::Stalled, true)),
            FactKind::PartClosed(part(1, PartEnd::Stalled, true)),
            FactKind::PartClosed(part(2, PartEnd::SignalLost, false)),
            FactKind::PartClosed(part(3, PartEnd::Empty, true)),
        ];
        let mut log = journal::Log::open(&dir.path().join(layout::facts_file(&id))).expect("facts");
        for (n, kind) in (1..).zip(parts) {
            let line = Line { t_ns: n * 10, at: plan.started_at, kind: Fact { n: n.unsigned_abs(), kind } };
            log.append(&line).expect("a fact");
        }
        let history = History::read(dir.path(), &plan, &[]).expect("read");
        assert_eq!(history.inputs[&id].stalled, [(1, 10), (3, 40)]);
    }
}
