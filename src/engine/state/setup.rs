//! What the state machine is made from, and what it holds of each input.

use super::handover::Handover;
use super::recovered::Mended;
use super::told::Told;
use super::view::EVIDENCE_AGE;
use crate::config::{DegradationRules, StorageRules, SupervisionRules};
use crate::engine::budget::Measured;
use crate::engine::event::{Now, WorkerUsage};
use crate::engine::history::Trace;
use crate::engine::orders::Orders;
use crate::engine::restart::Restarts;
use crate::engine::worker_state::{HUNG_AFTER, Worker};
use crate::model::encoding::Encoding;
use crate::model::incident::IncidentCode;
use crate::model::input::InputSpec;
use crate::model::policy::WorkerPolicy;
use crate::model::shed::{Shed, WorkerLoad};
use crate::model::snapshot::{Alert, RecordingView};
use crate::model::time::ClockOffsets;
use crate::model::{InputId, MonoNs, SessionId};
use crate::protocol::worker::WorkerStatus;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the state machine is made from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The inputs, in the order of the configuration.
    pub inputs: Vec<InputSpec>,
    /// How they are encoded.
    pub encoding: Encoding,
    /// Rules for the workers.
    pub policy: WorkerPolicy,
    /// Space rules.
    pub storage: StorageRules,
    /// What the engine itself watches.
    pub supervision: SupervisionRules,
    /// When it does without what is not the recording.
    pub degradation: DegradationRules,
    /// Where sessions go.
    pub library: PathBuf,
    /// This boot.
    pub boot_id: String,
    /// Number of this engine among those of the runtime folder.
    pub epoch: u64,
    /// The file inputs are configured in, for messages.
    pub config_file: String,
    /// Alerts an earlier engine left.
    pub alerts: Vec<Alert>,
    /// Workers that run although their input is not configured any more.
    pub strays: Vec<InputId>,
    /// How often workers were replaced under earlier engines of this boot.
    pub restarts: BTreeMap<InputId, Restarts>,
    /// What workers were measured to need under earlier engines of this boot.
    pub measured: BTreeMap<InputId, Measured>,
    /// The order an operator has put inputs in, the most important first.
    pub order: Vec<InputId>,
    /// What an earlier engine of this boot told of the clocks last.
    pub clocks: Option<ClockOffsets>,
}

/// One input and its worker.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) spec: InputSpec,
    pub(super) worker: Worker,
    /// The last report and when it came.
    pub(super) status: Option<(MonoNs, WorkerStatus)>,
    /// A session of an earlier engine it still records.
    pub(super) orphan: Option<SessionId>,
    /// What its worker was told.
    pub(super) handover: Handover,
    pub(super) usage: WorkerUsage,
    /// What is known of its last recording once the session is over.
    pub(super) frozen: Option<RecordingView>,
    /// What it has not answered.
    pub(super) orders: Orders,
    /// What it has told of its troubles.
    pub(super) told: Told,
    /// What it was told to do without last, and when.
    pub(super) shed: Option<(MonoNs, Shed)>,
    /// Bumped with every command.
    pub(super) commands: u64,
    /// What it has done lately.
    pub(super) trace: Trace,
    /// What it has gone through.
    pub(super) mended: Mended,
}

impl Input {
    /// The number of the next command.
    pub(super) fn next_command(&mut self) -> u64 {
        self.commands += 1;
        self.commands
    }

    /// How its worker keeps up, by a word of it that is young enough to prove something.
    pub(super) fn load(&self, now: Now) -> Option<WorkerLoad> {
        let fresh = self.status.as_ref().filter(|(at, _)| now.mono.since(*at) < EVIDENCE_AGE);
        fresh.and_then(|(_, status)| status.load)
    }

    /// Whether its worker lives and says that the disk does not answer.
    pub(super) fn waits_for_disk(&self, now: Now) -> bool {
        let heard = self.status.as_ref().filter(|(at, _)| now.mono.since(*at) < HUNG_AFTER);
        heard.is_some_and(|(_, status)| status.active.iter().any(|is| is.code == IncidentCode::StorageFrozen))
    }
}
