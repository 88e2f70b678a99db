//! What a worker does without under load.

use super::*;
use crate::model::shed::PreviewCap;

#[test]
fn what_it_does_without_is_told_carried_out_once_and_outlives_its_engine() {
    let mut state = State::new("cam1".parse().expect("an id"), MonoNs(0));
    let shed = Shed { preview: PreviewCap { off: true, ..PreviewCap::default() }, bitrate_percent: 75 };
    assert_eq!(state.status(MonoNs(0)).shed, Some(Shed::default()));
    let carried_out =
        |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Shed(of) if *of == shed)).count();
    let acked = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Ack { refused: None, .. }));
    let first = state.handle(MonoNs(0), Event::Shed { reply: REPLY, shed });
    assert!(acked(&first) && carried_out(&first) == 1, "{first:?}");
    let again = state.handle(MonoNs(MS), Event::Shed { reply: REPLY, shed });
    assert!(acked(&again) && carried_out(&again) == 0, "{again:?}");
    state.handle(MonoNs(2 * MS), Event::EngineGone);
    assert_eq!(state.status(MonoNs(3 * MS)).shed, Some(shed));
}
