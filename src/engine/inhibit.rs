//! Keeps the machine awake while something is recorded (R-SUP-12), on a task of its own: nobody waits for a bus.
//!
//! Contract: what is held is held from the moment a session is asked for until nothing records, and is let go of
//! within a second; what could not be had is told with its reason, and asked for again. What is lost, with its bus or with
//! the service that gave it, is asked for at once. Who lets go and wants it again is told anew what came of it, however soon that was.

use super::event::{Event, InhibitEvent};
use crate::sys::clock::mono_now;
use crate::sys::inhibit::{Answer, Inhibitor};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::{self, Receiver};
use tokio::time::{sleep, timeout};

/// Shown by the desktop where it says who keeps it from sleeping.
const WHY: &str = "a recording is running";
/// A bus that was not there is looked for again after this long.
const AGAIN: Duration = Duration::from_secs(30);
/// What was lost sooner than this may be lost again and again: there is a pause of [`SOON`] before it is asked for.
const STEADY: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(1);

/// Starts the task; what is sent is whether the machine is to be kept awake.
pub fn start(events: Sender<Event>) -> watch::Sender<bool> {
    let (wanted, heard) = watch::channel(false);
    tokio::spawn(run(heard, events));
    wanted
}

/// Until the engine ends.
async fn run(mut wanted: Receiver<bool>, events: Sender<Event>) {
    while wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let mut held = Inhibitor::default();
        let mut logged = String::new();
        loop {
            if let Some(missing) = held.missing() {
                let Some(answer) = hear(&mut held, missing.ask(WHY), &wanted, &events).await else { break };
                // Only now: what is held is held on to until there is something in its place.
                held.take(answer).await;
            }
            log(&held, &mut logged);
            if hold(&mut held, &wanted, &events).await == Over::LetGo {
                break;
            }
        }
        held.release().await;
    }
}

/// Waits for the answer to a question, and hears meanwhile what those say who gave what is held; `None` = nobody wants it
/// any more.
async fn hear(
    held: &mut Inhibitor,
    question: impl Future<Output = Answer>,
    wanted: &Receiver<bool>,
    events: &Sender<Event>,
) -> Option<Answer> {
    let (mut question, mut unwanted) = (pin!(question), pin!(let_go(wanted.clone())));
    loop {
        tokio::select! {
            answer = &mut question => return Some(answer),
            () = &mut unwanted => return None,
            // That is asked for behind this question.
            () = lose(held, events) => {}
        }
    }
}

/// Holds on to what was got until nobody wants it any more, or it is time to ask again.
async fn hold(inhibitor: &mut Inhibitor, wanted: &Receiver<bool>, events: &Sender<Event>) -> Over {
    let reason = (!inhibitor.keeps_awake()).then(|| inhibitor.refused());
    let begun = mono_now();
    let over = stay(inhibitor, wanted.clone(), reason, events).await;
    if over == Over::Lost {
        tracing::warn!("others answer now for what keeps the machine awake; they are asked");
        let _ = timeout(pause_after(mono_now().since(begun)), let_go(wanted.clone())).await;
    }
    over
}

/// Says what came of asking, which goes on every half minute where something is missing: only what is new.
fn log(inhibitor: &Inhibitor, logged: &mut String) {
    let (got, refused) = (inhibitor.got(), inhibitor.refused());
    let words = format!("{got}, {refused}");
    if *logged == words {
        return;
    }
    *logged = words;
    if inhibitor.keeps_awake() {
        tracing::info!(got, refused, "the machine is kept awake while it records");
    } else {
        // It is an incident as well.
        tracing::debug!(got, refused, "the machine may go to sleep while it records");
    }
}

/// Why nothing is held on to any longer.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    /// Nobody wants it, or the engine ends.
    LetGo,
    /// What was held went with its bus or its service, or somebody has come who may give it.
    Lost,
    /// It was not got, or not all of it; somebody may give it now.
    AskAgain,
}

/// Tells what came of asking, and again to whom has let go and wants it again meanwhile.
async fn stay(
    inhibitor: &mut Inhibitor,
    mut wanted: Receiver<bool>,
    reason: Option<String>,
    events: &Sender<Event>,
) -> Over {
    let (missing, is_lost) = (inhibitor.missing().is_some(), inhibitor.is_lost());
    let mut lost = pin!(lose(inhibitor, events));
    let mut again = pin!(sleep(AGAIN));
    while *wanted.borrow_and_update() {
        tell(events, InhibitEvent::Asked { reason: reason.clone() }).await;
        tokio::select! {
            () = &mut lost => return Over::Lost,
            // While somebody was asked.
            () = std::future::ready(()), if is_lost => return Over::Lost,
            changed = wanted.changed() => if changed.is_err() { break },
            () = &mut again, if missing => return Over::AskAgain,
        }
    }
    Over::LetGo
}

/// How long nobody is asked after something was lost that had been held for so long.
fn pause_after(held: Duration) -> Duration {
    if held < STEADY { SOON } else { Duration::ZERO }
}

/// Until nobody wants the machine to be kept awake any more, or the engine ends.
async fn let_go(mut wanted: Receiver<bool>) {
    let _ = wanted.wait_for(|wanted| !wanted).await;
}

/// Tells each time the system goes down, until a bus is lost.
async fn lose(inhibitor: &mut Inhibitor, events: &Sender<Event>) {
    while inhibitor.goes_down().await {
        tracing::warn!("the system goes down; what is recorded is closed first");
        tell(events, InhibitEvent::GoesDown).await;
    }
}

async fn tell(events: &Sender<Event>, event: InhibitEvent) {
    // The engine has ended.
    drop(events.send(Event::Inhibit(event)).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{self, channel};

    async fn told(heard: &mut mpsc::Receiver<Event>) -> Option<String> {
        let event = timeout(Duration::from_secs(10), heard.recv()).await.expect("it is told");
        let Some(Event::Inhibit(InhibitEvent::Asked { reason })) = event else { panic!("{event:?}") };
        reason
    }

    #[tokio::test]
    async fn who_wants_it_again_before_it_was_let_go_is_told_again_that_it_was_refused() {
        let (want, wanted) = watch::channel(true);
        let (events, mut heard) = channel(8);
        let mut refused = Inhibitor::refused_by("no system bus");
        let held = tokio::spawn(async move { hold(&mut refused, &wanted, &events).await });
        assert_eq!(told(&mut heard).await.as_deref(), Some("no system bus"));
        want.send_replace(false);
        want.send_replace(true);
        assert_eq!(told(&mut heard).await.as_deref(), Some("no system bus"));
        want.send_replace(false);
        timeout(Duration::from_secs(10), held).await.expect("it is let go").expect("a task");
        assert!(heard.recv().await.is_none());
    }

    #[tokio::test]
    async fn what_is_lost_while_somebody_is_asked_is_noticed_then() {
        let (want, wanted) = watch::channel(true);
        let (events, _heard) = channel(8);
        let (mut held, theirs) = Inhibitor::of_session().await;
        drop(theirs);
        let mut looks = 0;
        while !held.is_lost() {
            let asking = hear(&mut held, std::future::pending(), &wanted, &events);
            assert!(timeout(Duration::from_millis(100), asking).await.is_err(), "the answer is still waited for");
            looks += 1;
            assert!(looks < 100, "nobody notices");
        }
        want.send_replace(false);
        let asking = hear(&mut held, std::future::pending(), &wanted, &events);
        assert!(timeout(Duration::from_secs(10), asking).await.expect("nobody wants it").is_none());
        let over = timeout(Duration::from_secs(10), hold(&mut held, &watch::channel(true).1, &events)).await;
        assert_eq!(over, Ok(Over::Lost));
    }

    #[test]
    fn what_is_lost_is_asked_for_at_once_and_what_is_lost_always_is_not_asked_for_always() {
        assert_eq!(pause_after(Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(pause_after(Duration::from_millis(1)), SOON);
    }
}
