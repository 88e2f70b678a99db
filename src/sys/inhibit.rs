//! Asks the system not to sleep, shut down or end the session, over D-Bus: logind on the system bus, the session's
//! manager or the desktop portal on the session bus (a Flatpak sees only the latter).
//!
//! Contract: whatever is asked is answered within 2 s or counts as refused; a bus that is not there is
//! absent at once. What was got lasts as long as the [`Inhibitor`], its bus and the service that gave it, and ends with
//! this process in any case. A service that was not there or refused is worth to be asked again when another one answers
//! to its name.

mod half;

use half::Half;

/// What keeps the system from sleeping: of each bus what was got there, and asked for again by itself.
#[derive(Debug, Default)]
pub struct Inhibitor {
    system: Half,
    session: Half,
}

/// What came of asking: of each bus that was asked.
#[derive(Debug)]
pub struct Answer {
    system: Option<Half>,
    session: Option<Half>,
}

/// Which buses are to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    system: bool,
    session: bool,
}

impl Missing {
    /// Asks whoever may be asked; `why` is shown to the user whose machine does not sleep.
    pub async fn ask(self, why: &str) -> Answer {
        let system = if self.system { Some(Half::of_system(why).await) } else { None };
        let session = if self.session { Some(Half::of_session(why).await) } else { None };
        Answer { system, session }
    }
}

impl Inhibitor {
    /// Whether the system does not go to sleep by itself.
    pub fn keeps_awake(&self) -> bool {
        self.halves().into_iter().any(|half| half.keeps_awake && !half.lost)
    }

    /// What was got.
    pub fn got(&self) -> String {
        let held = self.halves().into_iter().filter(|half| half.gone().is_none());
        held.flat_map(|half| &half.got).map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// What was refused, is not there, or has gone and is about to be asked for again, and why, in English.
    pub fn refused(&self) -> String {
        let refused = |half: &Half| match half.gone() {
            Some(name) => vec![format!("{name} has gone")],
            None => half.refused.clone(),
        };
        self.halves().into_iter().flat_map(refused).collect::<Vec<_>>().join("; ")
    }

    /// Whether some of it is gone, or somebody has come who may give more.
    pub fn is_lost(&self) -> bool {
        self.halves().into_iter().any(|half| half.lost)
    }

    /// Where it is worth asking again; `None` = nowhere.
    pub fn missing(&self) -> Option<Missing> {
        let asleep = !self.keeps_awake();
        let missing = |half: &Half| asleep || half.lost || half.late;
        let missing = Missing { system: missing(&self.system), session: missing(&self.session) };
        (missing.system || missing.session).then_some(missing)
    }

    /// Takes what came of asking again in the place of what is held there, unless that is more and still holds; what is
    /// not held on to is let go of behind that.
    pub async fn take(&mut self, answer: Answer) {
        for (held, asked) in [(&mut self.system, answer.system), (&mut self.session, answer.session)] {
            let Some(asked) = asked else { continue };
            let is_more = !held.lost && held.rank() > asked.rank();
            if is_more { asked } else { std::mem::replace(held, asked) }.release().await;
        }
    }

    /// Waits until the system goes down; `false` = it is time to ask again: a bus or a service is gone, and so is what was
    /// got there, or one has come that had not given anything.
    pub async fn goes_down(&mut self) -> bool {
        tokio::select! {
            // What goes down first and is lost then is not only lost.
            biased;
            down = self.system.ends() => down,
            down = self.session.ends() => down,
        }
    }

    /// Lets go of everything.
    pub async fn release(self) {
        self.system.release().await;
        self.session.release().await;
    }

    fn halves(&self) -> [&Half; 2] {
        [&self.system, &self.session]
    }
}

#[cfg(test)]
impl Inhibitor {
    /// One that got nothing, for this reason.
    pub fn refused_by(why: &str) -> Self {
        Self { system: Half::that_got(false, &[], &[why]), ..Self::default() }
    }

    /// One that holds something at a session bus, and the other end of that.
    pub async fn of_session() -> (Self, tokio::net::UnixStream) {
        let (ours, theirs) = tokio::net::UnixStream::pair().expect("sockets");
        let session = Half::that_holds(ours).await;
        (Self { session, ..Self::default() }, theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_held_at_the_session_is_lost_with_its_bus() {
        let (mut held, theirs) = Inhibitor::of_session().await;
        assert!(timeout(Duration::from_millis(50), held.goes_down()).await.is_err(), "it is held");
        assert!(held.keeps_awake() && held.missing().is_none());
        drop(theirs);
        assert_eq!(timeout(Duration::from_secs(10), held.goes_down()).await, Ok(false));
        assert!(!held.keeps_awake() && held.is_lost());
        // It may be a second until it is asked again: that it has gone is told at once, by its name.
        assert_eq!((held.got(), held.refused()), (String::new(), "org.gnome.SessionManager has gone".to_owned()));
        // What the other bus has to say is heard all the same, and that one is not said again.
        assert!(timeout(Duration::from_millis(50), held.goes_down()).await.is_err());
    }

    #[tokio::test]
    async fn what_holds_is_not_let_go_of_for_less() {
        let half = |keeps_awake, got| Half::that_got(keeps_awake, &[got], &[]);
        let mut held = Inhibitor { session: half(true, "before"), ..Inhibitor::default() };
        held.system.late = true;
        assert_eq!(held.missing(), Some(Missing { system: true, session: false }), "what holds is not asked again");
        let answer = |keeps_awake| Answer { system: None, session: Some(half(keeps_awake, "behind")) };
        held.take(answer(false)).await;
        assert_eq!((held.got().as_str(), held.keeps_awake()), ("before", true));
        held.take(answer(true)).await;
        assert_eq!(held.got(), "behind");
        held.session.lost = true;
        assert_eq!(held.missing(), Some(Missing { system: true, session: true }));
        held.take(answer(false)).await;
        assert!(!held.keeps_awake() && !held.is_lost());
    }
}
