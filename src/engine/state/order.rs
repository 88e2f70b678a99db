//! Which inputs matter most: what the configuration says, until the operator puts them in an order of their own (R-DEG-2).
//!
//! Contract: changes no recording. An input that the operator has placed stands before every one that was added later. The
//! order outlives this engine; placing none goes back to the configuration.

use super::super::event::{Effect, Token};
use super::super::reply::Reply;
use super::State;
use super::commands::refuse;
use super::setup::Input;
use crate::model::InputId;
use crate::protocol::api::{OrderReply, OrderRequest};
use std::cmp::Reverse;

/// Importance of the last of the inputs that were placed: above everything the configuration can say.
const PLACED: i32 = 1000;

/// The operator's order, the most important first; empty = nobody has placed any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Order(Vec<InputId>);

impl Order {
    /// What an earlier engine kept.
    pub fn new(placed: Vec<InputId>) -> Self {
        Self(placed)
    }

    fn importance(&self, input: &Input) -> i32 {
        let behind = self.0.iter().rev().position(|id| *id == input.spec.id);
        let placed = behind.map(|behind| PLACED.saturating_add(i32::try_from(behind).unwrap_or(i32::MAX)));
        placed.unwrap_or(input.spec.importance)
    }
}

impl State {
    /// How important an input is; the greater, the longer its preview is kept.
    pub(super) fn importance(&self, input: &Input) -> i32 {
        self.order.importance(input)
    }

    /// Every input, the most important one first.
    pub(super) fn by_importance(&self) -> Vec<&Input> {
        let mut order: Vec<&Input> = self.inputs.iter().collect();
        // Stable: of equal ones the last in the grid is the least important.
        order.sort_by_key(|input| Reverse(self.importance(input)));
        order
    }

    /// The operator's order: kept for the next engine.
    pub fn order(&self) -> Vec<InputId> {
        self.order.0.clone()
    }

    /// The operator places inputs.
    pub(super) fn on_order(&mut self, token: Token, request: OrderRequest, out: &mut Vec<Effect>) {
        let mut placed: Vec<InputId> = Vec::new();
        for asked in request.inputs {
            let Some(input) = self.inputs.iter().find(|input| input.spec.id.as_str() == asked) else {
                return out.push(refuse(token, 404, "unknown_input", format!("there is no input {asked:?}"), false));
            };
            if placed.contains(&input.spec.id) {
                return out.push(refuse(token, 422, "bad_order", format!("{asked:?} stands in it twice"), false));
            }
            placed.push(input.spec.id.clone());
        }
        self.order = Order(placed);
        let inputs = self.by_importance().into_iter().map(|input| input.spec.id.clone()).collect();
        out.push(Effect::Reply(token, Reply::Ordered(OrderReply { inputs })));
    }

    /// What an earlier engine kept came late: what was placed meanwhile is newer.
    pub(super) fn recall_order(&mut self, kept: Vec<InputId>) {
        if self.order == Order::default() {
            self.order = Order(kept);
        }
    }
}
