//! What the operator may ask for about an incident: the buttons of an alert, from one table.

use super::IncidentCode;
use serde::{Deserialize, Serialize};

/// A button of an alert. What it does is a request of the API, or nothing but a folder or an input that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The input is tried again (`POST /api/v1/inputs/{source}/retry`).
    Retry,
    /// The stuck operation is given up (`POST /api/v1/operations/{params.id}/cleanup`).
    Cleanup,
    /// The folder of the recordings is shown.
    OpenFolder,
    /// The input is shown.
    ShowInput,
    /// It was seen (`POST /api/v1/alerts/{id}/ack`).
    Acknowledge,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 5] =
        [Action::Retry, Action::Cleanup, Action::OpenFolder, Action::ShowInput, Action::Acknowledge];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Retry => "retry",
            Action::Cleanup => "cleanup",
            Action::OpenFolder => "open_folder",
            Action::ShowInput => "show_input",
            Action::Acknowledge => "acknowledge",
        }
    }

    /// Whether it makes sense only while the cause goes on.
    pub fn is_about_the_cause(self) -> bool {
        matches!(self, Action::Retry | Action::Cleanup | Action::ShowInput)
    }
}

impl IncidentCode {
    /// What may be done about it, besides acknowledging it.
    pub fn remedies(self) -> &'static [Action] {
        match self {
            IncidentCode::WorkerGaveUp
            | IncidentCode::NoSignal
            | IncidentCode::SourceUnreachable
            | IncidentCode::EncoderMissing
            | IncidentCode::TeardownStuck => &[Action::Retry],
            IncidentCode::OperationStuck => &[Action::Cleanup],
            IncidentCode::DiskFull
            | IncidentCode::QuotaExceeded
            | IncidentCode::DiskLow
            | IncidentCode::DiskCritical
            | IncidentCode::SessionRecovered
            | IncidentCode::FileDamaged
            | IncidentCode::FileDisplaced
            | IncidentCode::ProofFailed
            | IncidentCode::ProofAbandoned => &[Action::OpenFolder],
            IncidentCode::WorkerDied
            | IncidentCode::SourceMisconfigured
            | IncidentCode::AudioLost
            | IncidentCode::QueueOverflow
            | IncidentCode::RecordingStalled
            | IncidentCode::PipelineFailed
            | IncidentCode::SplitFailed
            | IncidentCode::SyncFailed
            | IncidentCode::StopCut
            | IncidentCode::CommandUnanswered
            | IncidentCode::CpuBudget
            | IncidentCode::DiskBudget => &[Action::ShowInput],
            IncidentCode::DiskError
            | IncidentCode::DiskReadOnly
            | IncidentCode::StorageFrozen
            | IncidentCode::StorageVanished
            | IncidentCode::PartialStart
            | IncidentCode::PriorityRefused
            | IncidentCode::EngineRestarted
            | IncidentCode::WorkerMemory
            | IncidentCode::MemoryLow
            | IncidentCode::LimitNear
            | IncidentCode::ClockStepped
            | IncidentCode::Suspended
            | IncidentCode::SleepNotInhibited
            | IncidentCode::ErrorRate
            | IncidentCode::CpuHigh
            | IncidentCode::CpuPressure
            | IncidentCode::MemoryHigh
            | IncidentCode::LowMemoryMode
            | IncidentCode::RecordingLate
            | IncidentCode::PreviewsReduced
            | IncidentCode::PreviewsOff
            | IncidentCode::BitrateReduced
            | IncidentCode::Overloaded => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_spelling() {
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).ok(), Some(action.as_str().into()));
        }
    }
}
