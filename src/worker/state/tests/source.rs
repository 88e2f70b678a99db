//! Opening the source again and again.

use super::*;

#[test]
fn a_camera_that_answers_and_shows_nothing_is_asked_the_other_way_next() {
    let mut now = MonoNs(1_000_000 * MS);
    let mut state = State::new("cam1".parse().expect("an id"), now);
    let (input, policy) = (Box::new(input(OnSignalLoss::Split)), WorkerPolicy::default());
    state.handle(now, Event::EngineConnected);
    let mut effects = state.handle(now, Event::Configure { reply: REPLY, input, policy });
    let mut by_tcp = Vec::new();
    while by_tcp.len() < 4 {
        for effect in std::mem::take(&mut effects) {
            match effect {
                Effect::OpenSource { by_tcp: way, .. } => by_tcp.push(way),
                Effect::CloseSource => effects.extend(state.handle(now, Event::SourceReleased)),
                _ => {}
            }
        }
        now = now.plus(Duration::from_millis(100));
        assert!(now.since(MonoNs(1_000_000 * MS)) < s(300), "only {by_tcp:?}");
        effects.extend(state.handle(now, Event::Tick(Box::default())));
    }
    assert_eq!(by_tcp, [false, true, false, true]);
}
