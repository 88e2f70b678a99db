//! What this worker answered, so that a command that is repeated gets the same answer and is not carried out twice
//! (R-CMD-6). Pure.
//!
//! Contract: numbers belong to one engine; another one (by its epoch) begins with nothing. The last [`KEPT`] are
//! remembered: an engine repeats at most one of each kind, within 30 s.

use super::Reply;
use crate::protocol::worker::Refusal;
use std::collections::VecDeque;

/// More than an engine gives within the time it repeats in.
const KEPT: usize = 64;

/// What is to be done with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It is new: carry it out.
    New,
    /// It is being carried out; its answer will go to whoever asked last.
    Begun,
    /// It was answered: the same again.
    Answered(Option<Refusal>),
}

#[derive(Debug)]
struct Known {
    reply: Reply,
    answer: Option<Option<Refusal>>,
}

/// The answers to the engine of now, oldest first.
#[derive(Debug, Default)]
pub struct Answers {
    epoch: u64,
    known: VecDeque<Known>,
}

impl Answers {
    /// An engine says hello.
    pub fn greet(&mut self, epoch: u64) {
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.known.clear();
        }
    }

    /// A command came.
    pub fn ask(&mut self, reply: Reply) -> Asked {
        if let Some(known) = self.known.iter_mut().find(|known| known.reply.id == reply.id) {
            known.reply = reply;
            return known.answer.clone().map_or(Asked::Begun, Asked::Answered);
        }
        if self.known.len() >= KEPT {
            self.known.pop_front();
        }
        self.known.push_back(Known { reply, answer: None });
        Asked::New
    }

    /// A command is answered; returns whom to tell: whoever asked last.
    pub fn answer(&mut self, reply: Reply, refused: &Option<Refusal>) -> Reply {
        let Some(known) = self.known.iter_mut().find(|known| known.reply.id == reply.id) else { return reply };
        known.answer = Some(refused.clone());
        known.reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(connection: u64, id: u64) -> Reply {
        Reply { connection, id }
    }

    #[test]
    fn a_repeated_command_gets_its_answer_again_wherever_it_comes_from() {
        let mut answers = Answers::default();
        answers.greet(3);
        assert_eq!(answers.ask(reply(1, 7)), Asked::New);
        answers.greet(3);
        assert_eq!(answers.ask(reply(2, 7)), Asked::Begun, "the link broke meanwhile");
        let refused = Some(Refusal { code: "busy".into(), message: "busy".into() });
        assert_eq!(answers.answer(reply(1, 7), &refused), reply(2, 7));
        assert_eq!(answers.ask(reply(2, 7)), Asked::Answered(refused));
        answers.greet(4);
        assert_eq!(answers.ask(reply(3, 7)), Asked::New, "another engine counts from the beginning");
    }

    proptest! {
        #[test]
        fn no_command_is_carried_out_twice(ids in prop::collection::vec((0u64..40, any::<bool>()), 1..200)) {
            let mut answers = Answers::default();
            let mut done = std::collections::BTreeMap::new();
            for (connection, (id, answered)) in ids.into_iter().enumerate() {
                let asked = answers.ask(reply(connection as u64, id));
                prop_assert_eq!(asked == Asked::New, !done.contains_key(&id));
                let known = done.entry(id).or_insert(false);
                prop_assert_eq!(matches!(asked, Asked::Answered(_)), *known);
                if answered {
                    prop_assert_eq!(answers.answer(reply(0, id), &None).connection, connection as u64);
                    *known = true;
                }
            }
        }
    }
}
