//! What has come of the ladder, for everybody to see.

use super::{Asked, Ladder, State, Thread};
use crate::model::snapshot::{PriorityVia, PriorityView, Rung, RungResult, RungView};
use crate::sys::priority::io::Class;
use crate::sys::priority::realtime::Helper;
use crate::sys::priority::{nice, oom};
use std::collections::BTreeSet;

/// What has come of it.
pub type Protection = PriorityView;

/// Result and detail of a rung.
type Said = (RungResult, String);

fn said(result: RungResult, detail: impl Into<String>) -> Said {
    (result, detail.into())
}

impl Ladder {
    /// What was achieved, as it was read back.
    pub fn report(&self) -> Protection {
        let threads: Vec<Thread> = self.threads().map(|(_, thread)| thread).collect();
        let windows = &self.look.windows;
        let nice = threads.iter().map(|thread| thread.nice).max();
        let mut view = PriorityView {
            nice,
            cpus: self.restricted_to(),
            io: self.worst_io().map(|class| class.to_string()),
            oom_score_adj_ui: windows.iter().filter_map(|window| window.oom).min(),
            ..PriorityView::unknown()
        };
        if !self.looked || threads.is_empty() {
            return view;
        }
        let mut add = |rung, (result, detail): Said| view.rungs.push(RungView { rung, result, detail });
        add(Rung::Inherited, self.inherited());
        add(Rung::Setpriority, self.set());
        let [portal, kit] = &self.helpers;
        add(Rung::Portal, self.lent(portal, threads.len()));
        add(Rung::Rtkit, self.lent(kit, threads.len()));
        let lowered = self.lowered(view.is_refused());
        view.rungs.push(RungView { rung: Rung::UiLowered, result: lowered.0, detail: lowered.1 });
        let beside = [
            (Rung::Group, self.group()),
            (Rung::Io, self.io()),
            (Rung::Affinity, self.affinity()),
            (Rung::Oom, self.oom()),
        ];
        for (rung, (result, detail)) in beside {
            view.rungs.push(RungView { rung, result, detail });
        }
        view.via = self.via(&view);
        view
    }

    /// How the best that was achieved was achieved.
    fn via(&self, view: &PriorityView) -> PriorityVia {
        let came_of = |rung| view.rungs.iter().find(|view| view.rung == rung).map(|view| view.result);
        let helped = |helper: Helper| self.helpers.iter().any(|a| a.helper == helper && !a.raised.is_empty());
        if helped(Helper::Portal) {
            PriorityVia::Portal
        } else if helped(Helper::RealtimeKit) {
            PriorityVia::Rtkit
        } else if came_of(Rung::Inherited) == Some(RungResult::Granted) {
            PriorityVia::Inherited
        } else if came_of(Rung::Setpriority) == Some(RungResult::Granted) {
            PriorityVia::Setpriority
        } else if came_of(Rung::UiLowered) == Some(RungResult::Granted) {
            PriorityVia::UiLowered
        } else {
            PriorityVia::None
        }
    }

    fn inherited(&self) -> Said {
        let own = self.here.nice;
        match (own <= nice::RECORDING, self.needy().is_empty() && self.look.refused.is_none()) {
            (true, true) => said(RungResult::Granted, format!("the recorder was started at nice {own}")),
            (true, false) => said(
                RungResult::Partly,
                format!("the recorder was started at nice {own}; some threads lower themselves"),
            ),
            (false, _) => said(RungResult::Absent, format!("the recorder was started at nice {own}")),
        }
    }

    fn set(&self) -> Said {
        let raised = |tid| self.helpers.iter().any(|asked| asked.raised.contains(&tid));
        match &self.look.refused {
            Some(why) => said(RungResult::Refused, why),
            // Nothing was refused now because a helper had already given it.
            None if self.threads().any(|(_, thread)| raised(thread.tid)) => {
                said(RungResult::Refused, "before a helper was asked")
            }
            None if !self.needy().is_empty() => said(RungResult::Refused, "it changed nothing"),
            None if self.here.nice <= nice::RECORDING => said(RungResult::NotNeeded, ""),
            None => said(RungResult::Granted, format!("nice {} before exec, every thread read back", nice::RECORDING)),
        }
    }

    fn lent(&self, asked: &Asked, threads: usize) -> Said {
        let needy = self.needy().len();
        let raised = asked.raised.len();
        match &asked.state {
            _ if raised > 0 && needy == 0 => said(RungResult::Granted, "every thread, read back"),
            _ if raised > 0 => said(RungResult::Partly, format!("{raised} of {threads} threads; it lends to no more")),
            _ if needy == 0 => said(RungResult::NotNeeded, ""),
            State::Absent(why, _) => said(RungResult::Absent, why),
            State::Refused(why, _) => said(RungResult::Refused, why),
            State::Busy(..) if self.recorded > 0 => said(RungResult::Refused, "it has lent as much as it lends"),
            State::Here(_) | State::Busy(..) => said(RungResult::NotNeeded, "it is asked while something is recorded"),
            State::Unknown => said(RungResult::NotNeeded, "it was not asked yet"),
        }
    }

    fn lowered(&self, refused: bool) -> Said {
        let highest = self.look.windows.iter().map(|window| window.nice).min();
        match highest {
            Some(nice) if nice >= nice::LOWERED => said(RungResult::Granted, format!("the window runs at nice {nice}")),
            _ if !refused => said(RungResult::NotNeeded, ""),
            Some(nice) => said(RungResult::Refused, format!("the window runs at nice {nice}")),
            None if self.look.unseen_window => {
                said(RungResult::Absent, "the window is of another process namespace: what it has cannot be read")
            }
            None => said(RungResult::Absent, "no window is open"),
        }
    }

    /// Nice values count within a scheduling group only, and every worker is one.
    fn group(&self) -> Said {
        match self.look.workers.iter().filter_map(|seen| seen.group).max() {
            None => said(RungResult::Absent, "there are no scheduling groups"),
            Some(nice) if nice <= nice::RECORDING => said(RungResult::Granted, format!("at nice {nice}")),
            Some(nice) => {
                let detail = format!("at nice {nice}: beside other sessions a worker gets the share of one session");
                said(RungResult::Refused, detail)
            }
        }
    }

    fn worst_io(&self) -> Option<Class> {
        let classes: Option<Vec<Class>> = self.look.workers.iter().map(|seen| seen.io).collect();
        classes?.into_iter().max()
    }

    fn io(&self) -> Said {
        match (self.worst_io(), &self.look.io_refused) {
            (Some(class), _) if class <= Class::RECORDING => said(RungResult::Granted, "every thread, read back"),
            (_, Some(why)) => said(RungResult::Refused, why),
            (Some(class), None) => said(RungResult::Refused, format!("a thread has {class}")),
            (None, None) => said(RungResult::Absent, "the kernel does not say"),
        }
    }

    /// Where the workers may run, if that is less than the engine may.
    fn restricted_to(&self) -> Option<Vec<u32>> {
        let sets: Option<Vec<_>> = self.look.workers.iter().map(|seen| seen.cpus.as_ref()).collect();
        let all: BTreeSet<u32> = sets?.into_iter().flatten().copied().collect();
        (!all.is_empty() && all != self.here.allowed).then(|| all.into_iter().collect())
    }

    fn affinity(&self) -> Said {
        let plan = &self.here.plan;
        let Some(wanted) = &plan.recording else {
            let detail = match &plan.secondary {
                None => "there is only one processor".to_owned(),
                Some(cpus) => {
                    let left: Vec<_> = self.here.allowed.difference(cpus).collect();
                    format!("all processors are alike; window and proofs keep off {left:?} while something is recorded")
                }
            };
            return said(RungResult::NotNeeded, detail);
        };
        match self.restricted_to() {
            Some(cpus) if cpus.iter().eq(wanted) => said(RungResult::Granted, format!("the fast processors {cpus:?}")),
            other => said(RungResult::Refused, format!("{wanted:?} were asked for, {other:?} read back")),
        }
    }

    fn oom(&self) -> Said {
        match self.look.workers.iter().filter_map(|seen| seen.oom).max() {
            None => said(RungResult::Absent, "the kernel does not say"),
            Some(score) if score <= oom::RECORDING => said(RungResult::Granted, format!("the workers have {score}")),
            Some(score) => {
                let wanted = oom::RECORDING;
                said(RungResult::Refused, format!("the workers have {score}; {wanted} needs CAP_SYS_RESOURCE"))
            }
        }
    }
}
