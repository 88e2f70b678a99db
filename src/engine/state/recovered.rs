//! What has gone wrong at each input and was mended, counted for whoever looks at it: replaced processes, stalls, gaps.
//!
//! Contract: counted since this engine began, but for what outlives it anyway (how often a process was replaced). Nothing is
//! decided by it.

use super::super::event::Now;
use super::super::restart::ATTEMPTS;
use super::State;
use super::setup::Input;
use crate::model::InputId;
use crate::model::session::{Fact, FactKind, Manifest};
use crate::protocol::health::RecoveryView;

/// What an input has gone through since this engine began.
#[derive(Debug, Default)]
pub(super) struct Mended {
    stalls: u32,
    gaps: u32,
    gap_ms: u64,
    lost_ms: u64,
}

impl State {
    /// A worker told something.
    pub(super) fn note_mended(&mut self, id: &InputId, fact: &Fact) {
        let Some(input) = self.input_mut(id) else { return };
        match &fact.kind {
            FactKind::Gap(gap) => {
                let length = u64::try_from(gap.to_ns.saturating_sub(gap.from_ns)).unwrap_or(0);
                input.mended.gaps = input.mended.gaps.saturating_add(1);
                input.mended.gap_ms = input.mended.gap_ms.saturating_add(length / 1_000_000);
            }
            FactKind::PartClosed(record) if record.stalled => {
                input.mended.stalls = input.mended.stalls.saturating_add(1);
            }
            _ => {}
        }
    }

    /// A session was closed: what is missing in it because nobody lived to write it stands there.
    pub(super) fn note_lost(&mut self, manifest: &Manifest) {
        for found in &manifest.inputs {
            if let (Some(loss), Some(input)) = (found.lost, self.input_mut(&found.id)) {
                input.mended.lost_ms = input.mended.lost_ms.saturating_add(loss.ms);
            }
        }
    }

    /// What every input has gone through.
    pub(super) fn recovery_views(&self, now: Now) -> Vec<RecoveryView> {
        let view = |input: &Input| {
            let (restarts_hour, since) = input.worker.restarts().within_an_hour(now.mono);
            RecoveryView {
                input: input.spec.id.clone(),
                restarts_hour,
                last_restart_ms_ago: since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
                attempts: input.worker.attempts(),
                attempts_max: ATTEMPTS,
                quarantined: input.worker.is_quarantined(),
                stalls: input.mended.stalls,
                gaps: input.mended.gaps,
                gap_ms: input.mended.gap_ms,
                lost_ms: input.mended.lost_ms,
            }
        };
        self.inputs.iter().map(view).collect()
    }
}
