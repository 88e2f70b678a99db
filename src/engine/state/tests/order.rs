//! The order of the inputs: what the operator says stands before what the configuration says, and outlives the engine.

use super::*;
use crate::protocol::api::OrderRequest;

impl Bench {
    fn order(&mut self, inputs: &[&str]) -> Reply {
        let request = OrderRequest { inputs: inputs.iter().map(|input| (*input).to_owned()).collect() };
        let effects = self.feed(Event::Order { token: 7, request });
        let reply = |effect: &Effect| match effect {
            Effect::Reply(7, reply) => Some(reply.clone()),
            _ => None,
        };
        effects.iter().find_map(reply).expect("an answer")
    }
}

fn ordered(reply: Reply) -> Vec<String> {
    match reply {
        Reply::Ordered(body) => body.inputs.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_placed_comes_first_and_placing_none_goes_back() {
    let mut bench = Bench::ready(&["a", "b", "c"]);
    assert_eq!(ordered(bench.order(&["c"])), ["c", "a", "b"]);
    assert_eq!(ordered(bench.order(&["c", "b", "a"])), ["c", "b", "a"]);
    let importance = |bench: &Bench| -> Vec<i32> {
        bench.state.snapshot(bench.now()).inputs.iter().map(|input| input.importance).collect()
    };
    let placed = importance(&bench);
    assert!(placed[2] > placed[1] && placed[1] > placed[0], "{placed:?}");
    assert_eq!(ordered(bench.order(&[])), ["a", "b", "c"]);
    assert_eq!(importance(&bench), [0, 0, 0]);
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let mut bench = Bench::ready(&["a", "b"]);
    bench.order(&["b"]);
    for (asked, status) in [(["a", "x"], 404), (["a", "a"], 422)] {
        assert!(matches!(bench.order(&asked), Reply::Refused(refused) if refused.status == status), "{asked:?}");
    }
    assert_eq!(bench.state.order(), [id("b")]);
}

#[test]
fn what_was_kept_comes_back_unless_somebody_was_quicker() {
    let mut bench = Bench::ready(&["a", "b"]);
    bench.state.recall_order(vec![id("b")]);
    assert_eq!(bench.state.order(), [id("b")]);
    bench.state.recall_order(vec![id("a")]);
    assert_eq!(bench.state.order(), [id("b")]);
}
