//! The order of the tiles when one of them is taken elsewhere. Pure.

use super::tile::Step;
use crate::model::InputId;

/// The order the engine was asked for and has not told yet: the next step goes on from there.
#[derive(Debug, Default)]
pub struct Wanted(Option<Vec<InputId>>);

impl Wanted {
    /// The order to ask for when `input` moves, while they are shown as `shown`; `None` = nothing changes.
    pub fn step(&mut self, shown: &[InputId], input: &InputId, step: &Step) -> Option<Vec<InputId>> {
        let order = moved(self.0.as_deref().unwrap_or(shown), input, step)?;
        self.0 = Some(order.clone());
        Some(order)
    }

    /// The engine has told an order. One of other inputs than there are now is wanted no more.
    pub fn told(&mut self, order: &[InputId]) {
        let same = |wanted: &Vec<InputId>| wanted.len() == order.len() && wanted.iter().all(|id| order.contains(id));
        self.0 = self.0.take().filter(|wanted| wanted != order && same(wanted));
    }

    /// The engine has refused it, or cannot be asked any more.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

/// The order after `input` was moved; `None` = nothing changes.
fn moved(order: &[InputId], input: &InputId, step: &Step) -> Option<Vec<InputId>> {
    let place = |of: &InputId| order.iter().position(|id| id == of);
    let from = place(input)?;
    let to = match step {
        Step::Earlier => from.checked_sub(1)?,
        Step::Later => Some(from + 1).filter(|to| *to < order.len())?,
        Step::To(other) => place(other).filter(|to| *to != from)?,
    };
    let mut order = order.to_vec();
    let input = order.remove(from);
    order.insert(to, input);
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(place: usize) -> InputId {
        format!("cam{place}").parse().expect("an id")
    }

    #[test]
    fn a_tile_takes_the_place_it_is_dropped_on() {
        let order = [id(1), id(2), id(3)];
        assert_eq!(moved(&order, &id(3), &Step::To(id(1))), Some(vec![id(3), id(1), id(2)]));
        assert_eq!(moved(&order, &id(1), &Step::To(id(3))), Some(vec![id(2), id(3), id(1)]));
        assert_eq!(moved(&order, &id(2), &Step::Earlier), Some(vec![id(2), id(1), id(3)]));
        for (input, step) in
            [(id(1), Step::Earlier), (id(3), Step::Later), (id(2), Step::To(id(2))), (id(9), Step::To(id(1)))]
        {
            assert_eq!(moved(&order, &input, &step), None, "{input} {step:?}");
        }
    }

    #[test]
    fn a_step_goes_on_from_the_one_before_until_the_engine_has_told_it() {
        let shown = [id(1), id(2), id(3)];
        let mut wanted = Wanted::default();
        assert_eq!(wanted.step(&shown, &id(3), &Step::Earlier), Some(vec![id(1), id(3), id(2)]));
        assert_eq!(wanted.step(&shown, &id(3), &Step::Earlier), Some(vec![id(3), id(1), id(2)]));
        // The answer to the first is none to the second.
        wanted.told(&[id(1), id(3), id(2)]);
        assert_eq!(wanted.step(&shown, &id(3), &Step::Earlier), None, "it is first already");
        wanted.told(&[id(3), id(1), id(2)]);
        assert_eq!(wanted.step(&shown, &id(3), &Step::Earlier), Some(vec![id(1), id(3), id(2)]));
        wanted.told(&[id(1), id(2)]);
        assert_eq!(wanted.step(&[id(1), id(2)], &id(2), &Step::Earlier), Some(vec![id(2), id(1)]));
        wanted.forget();
        assert_eq!(wanted.step(&shown, &id(1), &Step::Earlier), None);
    }

    proptest! {
        #[test]
        fn no_tile_is_lost_or_doubled(count in 1usize..8, from in 0usize..8, to in 0usize..8) {
            let order: Vec<InputId> = (0..count).map(id).collect();
            if let Some(mut moved) = moved(&order, &id(from), &Step::To(id(to))) {
                moved.sort_by_key(ToString::to_string);
                prop_assert_eq!(moved, order);
            }
        }
    }
}
