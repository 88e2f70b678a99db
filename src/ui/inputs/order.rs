//! The order of the tiles when one of them is taken elsewhere. Pure.

use super::tile::Step;
use crate::model::InputId;

/// The order after `input` was moved; `None` = nothing changes.
pub fn moved(order: &[InputId], input: &InputId, step: &Step) -> Option<Vec<InputId>> {
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
