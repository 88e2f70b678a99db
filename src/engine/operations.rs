//! Long operations and their deadlines (R-ALR-4). Pure.
//!
//! Contract: nobody has to say that an operation begins or ends: what runs is told as a whole ([`Operations::follow`]),
//! and what is not told any more is over. An operation keeps its number from its first to its last tick, and numbers are
//! not used twice, also not by the next engine. Past its deadline it is stuck, which is said once.

use crate::model::MonoNs;
use crate::protocol::operations::{OperationKind, OperationView, OperationsReply};
use std::collections::VecDeque;
use std::time::Duration;

/// Operations a reply names; the stuck ones first.
const LISTED: usize = 10;
/// Operations that are over and still known, so that a clean-up that is repeated is answered as before.
const ENDED: usize = 100;
/// Numbers of one engine, as a power of two.
const BLOCK_BITS: u32 = 20;

/// Something that runs now, as the state sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What.
    pub kind: OperationKind,
    /// Input, or `engine`.
    pub source: String,
    /// Tells two tasks of one kind and source apart: a session, a proof.
    pub key: String,
    /// How long it may take.
    pub within: Duration,
}

/// A task with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its number.
    pub id: u64,
    /// What it is.
    pub task: Task,
    since: MonoNs,
    stuck: bool,
}

/// What has become of one that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ended by itself.
    Over,
    /// It was cleaned up.
    Cleaned,
}

/// What a clean-up may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleanup {
    /// It is to be given up.
    Stuck(Operation),
    /// It was cleaned up before.
    Done(Operation),
    /// It still has time.
    InTime,
    /// It has ended by itself.
    Over,
    /// There is no such operation.
    Unknown,
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Past their deadlines since the last time, each with how long it has run.
    pub stuck: Vec<(Operation, Duration)>,
    /// Those that were stuck and are over.
    pub over: Vec<Operation>,
}

/// See the module.
#[derive(Debug)]
pub struct Operations {
    next: u64,
    open: Vec<Operation>,
    ended: VecDeque<(Operation, End)>,
}

impl Operations {
    /// None yet; the engine with this number counts in a block of its own.
    pub fn new(epoch: u64) -> Self {
        Self { next: epoch.saturating_mul(1 << BLOCK_BITS), open: Vec::new(), ended: VecDeque::new() }
    }

    /// Exactly these tasks run now.
    pub fn follow(&mut self, now: MonoNs, tasks: Vec<Task>) -> Changes {
        let mut changes = Changes::default();
        let gone = |operation: &Operation| {
            let task = &operation.task;
            tasks.iter().all(|other| (other.kind, &other.source, &other.key) != (task.kind, &task.source, &task.key))
        };
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition::<Vec<_>, _>(gone);
        self.open = open;
        for operation in over {
            self.end(operation.clone(), End::Over);
            changes.over.extend(operation.stuck.then_some(operation));
        }
        for task in tasks {
            let same = |open: &&mut Operation| {
                (open.task.kind, &open.task.source, &open.task.key) == (task.kind, &task.source, &task.key)
            };
            let Some(open) = self.open.iter_mut().find(same) else {
                self.next += 1;
                self.open.push(Operation { id: self.next, task, since: now, stuck: false });
                continue;
            };
            let took = now.since(open.since);
            if took >= task.within && !open.stuck {
                open.stuck = true;
                changes.stuck.push((open.clone(), took));
            }
            open.task = task;
        }
        changes
    }

    /// The engine stood still that long: nothing got later by it.
    pub fn excuse(&mut self, pause: Duration) {
        for open in self.open.iter_mut().filter(|open| !open.stuck) {
            open.since = open.since.plus(pause);
        }
    }

    /// Somebody wants operation `id` given up.
    pub fn ask(&self, id: u64) -> Cleanup {
        if let Some(open) = self.open.iter().find(|open| open.id == id) {
            return if open.stuck { Cleanup::Stuck(open.clone()) } else { Cleanup::InTime };
        }
        match self.ended.iter().find(|(ended, _)| ended.id == id) {
            Some((ended, End::Cleaned)) => Cleanup::Done(ended.clone()),
            Some((_, End::Over)) => Cleanup::Over,
            None => Cleanup::Unknown,
        }
    }

    /// Operation `id` was given up.
    pub fn cleaned(&mut self, id: u64) {
        if let Some(place) = self.open.iter().position(|open| open.id == id) {
            let operation = self.open.remove(place);
            self.end(operation, End::Cleaned);
        }
    }

    /// The first operation of `source` that is stuck, and how long it has run.
    pub fn stuck_at(&self, source: &str, now: MonoNs) -> Option<(Operation, Duration)> {
        let stuck = self.open.iter().find(|open| open.stuck && open.task.source == source)?;
        Some((stuck.clone(), now.since(stuck.since)))
    }

    /// What runs, as the API shows it.
    pub fn view(&self, now: MonoNs) -> OperationsReply {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let stuck = self.open.iter().filter(|open| open.stuck).count();
        let mut open: Vec<&Operation> = self.open.iter().collect();
        open.sort_by_key(|open| (!open.stuck, open.id));
        let view = |open: &Operation| OperationView {
            id: open.id,
            kind: open.task.kind,
            source: open.task.source.clone(),
            since_ms: millis(now.since(open.since)),
            deadline_ms: millis(open.task.within),
            stuck: open.stuck,
            cancellable: open.stuck,
        };
        OperationsReply {
            count: count(self.open.len()),
            stuck: count(stuck),
            action_required: stuck > 0,
            operations: open.into_iter().take(LISTED).map(view).collect(),
        }
    }

    fn end(&mut self, operation: Operation, end: End) {
        if self.ended.len() >= ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((operation, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn task(kind: OperationKind, key: &str) -> Task {
        Task { kind, source: "cam1".into(), key: key.into(), within: Duration::from_secs(10) }
    }

    #[test]
    fn an_operation_is_stuck_once_and_cleaned_up_once() {
        let mut operations = Operations::new(7);
        let stop = || vec![task(OperationKind::Stop, "a")];
        assert_eq!(operations.follow(at(0), stop()), Changes::default());
        let id = operations.view(at(0)).operations[0].id;
        assert_eq!((id, operations.ask(id)), ((7 << 20) + 1, Cleanup::InTime));
        // Five seconds in which the engine stood still do not count.
        operations.excuse(Duration::from_secs(5));
        assert_eq!(operations.follow(at(14_800), stop()), Changes::default());
        let changes = operations.follow(at(15_000), stop());
        assert_eq!((changes.stuck.len(), changes.stuck[0].1), (1, Duration::from_secs(10)));
        assert_eq!(operations.follow(at(16_000), stop()), Changes::default());
        let view = operations.view(at(16_000));
        assert_eq!((view.count, view.stuck, view.action_required), (1, 1, true));
        assert!(matches!(operations.ask(id), Cleanup::Stuck(_)));
        operations.cleaned(id);
        assert!(matches!(operations.ask(id), Cleanup::Done(_)));
        // It goes on all the same: another number.
        operations.follow(at(17_000), stop());
        assert_eq!(operations.view(at(17_000)).operations[0].id, id + 1);
        let over = operations.follow(at(18_000), Vec::new());
        assert_eq!((over.over.len(), operations.ask(id + 1)), (0, Cleanup::Over));
        assert_eq!(operations.ask(1), Cleanup::Unknown);
    }

    fn tasks() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::btree_set(0u8..16, 0..8).prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        /// Each is told stuck at most once, and whoever was told stuck is told over (or was cleaned up) exactly once.
        #[test]
        fn no_history_tells_an_operation_twice(steps in prop::collection::vec((0u64..6000, tasks(), any::<bool>()), 0..80)) {
            let (mut operations, mut ms) = (Operations::new(1), 0);
            let (mut stuck, mut over, mut seen) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            for (pause, keys, clean) in steps {
                ms += pause;
                let tasks: Vec<Task> = keys.iter().map(|key| task(OperationKind::Verify, &key.to_string())).collect();
                let changes = operations.follow(at(ms), tasks);
                for (operation, took) in changes.stuck {
                    prop_assert!(took >= Duration::from_secs(10) && stuck.insert(operation.id));
                }
                for operation in changes.over {
                    prop_assert!(stuck.contains(&operation.id) && over.insert(operation.id));
                }
                let view = operations.view(at(ms));
                prop_assert_eq!(usize::try_from(view.count).ok(), Some(keys.len()));
                prop_assert!(view.operations.len() <= LISTED);
                for shown in &view.operations {
                    seen.insert(shown.id);
                    prop_assert_eq!(shown.stuck, stuck.contains(&shown.id));
                    prop_assert!(shown.stuck || shown.since_ms < 10_000);
                }
                if let Some(first) = view.operations.first().filter(|first| clean && first.stuck) {
                    operations.cleaned(first.id);
                    prop_assert!(over.insert(first.id));
                }
                prop_assert!(operations.ended.len() <= ENDED);
            }
            let left = operations.follow(at(ms), Vec::new());
            over.extend(left.over.iter().map(|operation| operation.id));
            prop_assert_eq!(&stuck, &over);
        }
    }
}
