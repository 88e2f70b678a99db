//! An alert says that nobody gave the recording a higher priority; what was achieved is shown as it was told.

use super::*;
use crate::model::snapshot::{PriorityVia, PriorityView, Rung, RungResult, RungView};

fn told(results: &[(Rung, RungResult)]) -> Event {
    let rung = |(rung, result): &(Rung, RungResult)| RungView { rung: *rung, result: *result, detail: String::new() };
    let rungs = results.iter().map(rung).collect();
    Event::Protection(Box::new(PriorityView {
        nice: Some(0),
        via: PriorityVia::None,
        rungs,
        ..PriorityView::unknown()
    }))
}

#[test]
fn it_is_an_alert_once_while_everybody_refuses() {
    use RungResult::{Absent, Granted, NotNeeded, Partly, Refused};
    let mut bench = Bench::ready(&["a"]);
    let active = |bench: &Bench| bench.state.alerts.is_active(ENGINE, IncidentCode::PriorityRefused.as_str());
    let logged = |bench: &mut Bench| {
        let done = std::mem::take(&mut bench.done);
        let said = |effect: &Effect| matches!(effect, Effect::Log { incident, .. } if incident.code == IncidentCode::PriorityRefused);
        done.iter().filter(|effect| said(effect)).count()
    };
    let nobody = [(Rung::Inherited, Absent), (Rung::Setpriority, Refused), (Rung::UiLowered, Granted)];
    bench.feed(told(&[]));
    assert!(!active(&bench), "nothing was tried yet");
    bench.feed(told(&nobody));
    bench.feed(told(&nobody));
    assert!(active(&bench) && logged(&mut bench) == 1, "the window's stepping back is not a higher priority");
    assert_eq!(bench.view().priority.rungs.len(), 3);
    bench.feed(told(&[]));
    assert!(active(&bench), "that no worker runs proves nothing");
    for some in [Granted, Partly, NotNeeded] {
        bench.feed(told(&[(Rung::Setpriority, Refused), (Rung::Rtkit, some)]));
        assert!(!active(&bench), "{some:?}");
        bench.feed(told(&nobody));
        assert!(active(&bench));
    }
}
