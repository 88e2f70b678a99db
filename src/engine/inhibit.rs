//! Keeps the machine awake while something is recorded (R-SUP-12), on a task of its own: nobody waits for a bus.
//!
//! Contract: what is held is held from the moment a session is asked for until nothing records, and is let go of
//! within a second; what could not be had is told with its reason, and asked for again.

use super::event::{Event, InhibitEvent};
use crate::sys::inhibit::Inhibitor;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::{self, Receiver};
use tokio::time::{sleep, timeout};

/// Shown by the desktop where it says who keeps it from sleeping.
const WHY: &str = "a recording is running";
/// A bus that was not there, or went away, is looked for again after this long.
const AGAIN: Duration = Duration::from_secs(30);

/// Starts the task; what is sent is whether the machine is to be kept awake.
pub fn start(events: Sender<Event>) -> watch::Sender<bool> {
    let (wanted, heard) = watch::channel(false);
    tokio::spawn(run(heard, events));
    wanted
}

/// Until the engine ends.
async fn run(mut wanted: Receiver<bool>, events: Sender<Event>) {
    while wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let inhibitor = tokio::select! {
            inhibitor = Inhibitor::ask(WHY) => inhibitor,
            () = let_go(wanted.clone()) => continue,
        };
        hold(inhibitor, &wanted, &events).await;
    }
}

/// Holds on to what was got until nobody wants it any more, or it is time to ask again.
async fn hold(mut inhibitor: Inhibitor, wanted: &Receiver<bool>, events: &Sender<Event>) {
    let (got, refused) = (inhibitor.got.join("; "), inhibitor.refused.join("; "));
    let reason = (!inhibitor.keeps_awake).then(|| refused.clone());
    match &reason {
        None => tracing::info!(got, refused, "the machine is kept awake while it records"),
        // Told once, as an incident; asked for again and again.
        Some(_) => tracing::debug!(got, refused, "the machine may go to sleep while it records"),
    }
    tell(events, InhibitEvent::Asked { reason: reason.clone() }).await;
    let keeps_awake = reason.is_none();
    tokio::select! {
        () = lose(&mut inhibitor, events) => {
            // What was held went with its bus.
            let _ = timeout(AGAIN, let_go(wanted.clone())).await;
        }
        () = let_go(wanted.clone()) => {}
        () = sleep(AGAIN), if !keeps_awake => {}
    }
    inhibitor.release().await;
}

/// Until nobody wants the machine to be kept awake any more, or the engine ends.
async fn let_go(mut wanted: Receiver<bool>) {
    let _ = wanted.wait_for(|wanted| !wanted).await;
}

/// Tells each time the system goes down, until its bus is lost.
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
