//! The priority that was really achieved, and what every rung of the ladder said to it (R-SUP-7).

use serde::{Deserialize, Serialize};

/// The priority that was really achieved for the recording processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PriorityView {
    /// The highest (= worst) nice value any thread of any worker really has, `None` without workers.
    pub nice: Option<i32>,
    /// How it was got.
    pub via: PriorityVia,
    /// Cores of the recording, `None` = not restricted.
    pub cpus: Option<Vec<u32>>,
    /// I/O class (`be0`), the worst of any thread, `None` = not known.
    pub io: Option<String>,
    /// `oom_score_adj` of the window, `None` = not known.
    pub oom_score_adj_ui: Option<i32>,
    /// What was tried and what came of it, in the order of [`Rung`]; empty until everything was tried once.
    #[serde(default)]
    pub rungs: Vec<RungView>,
}

impl PriorityView {
    /// Nothing is known.
    pub fn unknown() -> Self {
        let (nice, cpus, io, oom_score_adj_ui) = (None, None, None, None);
        Self { nice, via: PriorityVia::None, cpus, io, oom_score_adj_ui, rungs: Vec::new() }
    }

    /// Everybody who could have given the recorder a higher priority was asked, and nobody did.
    pub fn is_refused(&self) -> bool {
        let mut higher = self.rungs.iter().filter(|rung| rung.rung.raises()).peekable();
        higher.peek().is_some() && higher.all(|rung| matches!(rung.result, RungResult::Refused | RungResult::Absent))
    }
}

/// How priority was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriorityVia {
    /// The process that spawned us had it already.
    Inherited,
    /// `setpriority`: before exec, and for threads that lower themselves.
    Setpriority,
    /// The realtime portal.
    Portal,
    /// RealtimeKit.
    Rtkit,
    /// Only by lowering the window.
    UiLowered,
    /// Refused everywhere.
    None,
}

/// One way to favour the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RungView {
    /// Which.
    pub rung: Rung,
    /// What came of it.
    pub result: RungResult,
    /// More, in English.
    pub detail: String,
}

/// The ways, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The recorder was started with it.
    Inherited,
    /// `setpriority`.
    Setpriority,
    /// The realtime portal.
    Portal,
    /// RealtimeKit.
    Rtkit,
    /// The window steps back.
    UiLowered,
    /// The workers' scheduling groups (`sched_autogroup`), among which no thread's nice value counts.
    Group,
    /// Best-effort I/O 0.
    Io,
    /// Cores of its own.
    Affinity,
    /// Spared when memory runs out.
    Oom,
}

impl Rung {
    /// Whether it gives the recorder more processor time than others.
    fn raises(self) -> bool {
        matches!(self, Self::Inherited | Self::Setpriority | Self::Portal | Self::Rtkit)
    }
}

/// What came of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RungResult {
    /// Read back from every thread.
    Granted,
    /// For some threads only.
    Partly,
    /// Somebody said no.
    Refused,
    /// There is nobody to ask.
    Absent,
    /// Not tried, because it would change nothing now.
    NotNeeded,
}
