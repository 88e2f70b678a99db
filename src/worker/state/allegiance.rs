//! Which engine a worker obeys: the highest it ever heard of. Pure.
//!
//! An engine that was stopped, or cut off, may wake up behind the back of the one that replaced it; without this it
//! could stop what the other one has just started.

/// What becomes of an engine that introduces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// It is obeyed from here on; an engine with a lower epoch that is still connected is told that it is replaced.
    Obeyed,
    /// A higher one was here.
    Superseded {
        /// That one's epoch.
        by: u64,
    },
}

/// The highest epoch seen in the life of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allegiance {
    highest: u64,
}

impl Allegiance {
    /// An engine says hello.
    pub fn greet(&mut self, epoch: u64) -> Greeting {
        if epoch < self.highest {
            return Greeting::Superseded { by: self.highest };
        }
        self.highest = epoch;
        Greeting::Obeyed
    }

    /// The highest epoch seen.
    pub fn highest(&self) -> u64 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_engine_is_never_obeyed_again() {
        let mut allegiance = Allegiance::default();
        assert_eq!(allegiance.greet(4), Greeting::Obeyed);
        assert_eq!(allegiance.greet(4), Greeting::Obeyed, "its own connection broke");
        assert_eq!(allegiance.greet(7), Greeting::Obeyed);
        assert_eq!(allegiance.greet(4), Greeting::Superseded { by: 7 });
        assert_eq!(allegiance.highest(), 7);
    }
}
