//! One client of the event stream: the whole state first (or what it missed since the number it names), then every
//! event, a heartbeat every second.
//!
//! Contract: a client that lags more than the buffer gets the whole state again; one that is silent for
//! [`PONG_DEADLINE`] or does not take a message within [`SEND_DEADLINE`] is dropped. Nobody ever waits for it.

use super::{Api, Fresh, Place, Request, Subscription};
use crate::protocol::api::Latency;
use crate::protocol::event::Event;
use crate::sys::clock;
use axum::extract::ws::{Message, WebSocket};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, timeout};

/// R-TRU-8.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// R-FM-3.
const PING_EVERY: u32 = 5;
/// R-FM-3.
const PONG_DEADLINE: Duration = Duration::from_secs(15);
/// A client that takes nothing for this long is gone or frozen.
const SEND_DEADLINE: Duration = Duration::from_secs(15);

/// Serves one client to its end; its place is free again only then.
pub(super) async fn serve(mut socket: WebSocket, api: Api, since: Option<u64>, window: bool, place: Place) {
    let _counted = api.clients.enter(window.then_some(place.peer));
    // Whatever ends it, the client connects anew.
    let _ended = converse(&mut socket, &api, since).await;
}

async fn subscribe(api: &Api, since: Option<u64>) -> Option<Subscription> {
    let (reply, answer) = oneshot::channel();
    api.requests.send(Request::Subscribe { since, reply }).await.ok()?;
    answer.await.ok()
}

async fn converse(socket: &mut WebSocket, api: &Api, since: Option<u64>) -> Option<()> {
    let mut events = begin(socket, api, since).await?;
    let mut beats = interval(HEARTBEAT_EVERY);
    let mut heard = Instant::now();
    let mut count = 0u32;
    loop {
        tokio::select! {
            (event, lay) = next(&mut events) => match event {
                Ok(Fresh { event, since }) => {
                    send(socket, &event).await?;
                    // What has no number waits its turn on purpose; what lay there waited for the client.
                    if let Some(seq) = event.seq().filter(|_| !lay) {
                        let now = clock::mono_now();
                        api.board.latencies.note(now, Latency::Event, now.since(since), &format!("event {seq}"));
                    }
                }
                Err(RecvError::Lagged(_)) => events = begin(socket, api, None).await?,
                Err(RecvError::Closed) => return None,
            },
            message = socket.recv() => match message? {
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => heard = Instant::now(),
            },
            _ = beats.tick() => {
                if heard.elapsed() > PONG_DEADLINE {
                    return None;
                }
                count = count.wrapping_add(1);
                if count.is_multiple_of(PING_EVERY) {
                    deliver(socket, Message::Ping(Default::default())).await?;
                }
                send(socket, &Event::Heartbeat { at: clock::wall_now() }).await?;
            }
        }
    }
}

/// The next event, and whether it lay there before this client could take it. To be dropped at any time.
async fn next<T: Clone>(events: &mut Receiver<T>) -> (Result<T, RecvError>, bool) {
    let lay = !events.is_empty();
    (events.recv().await, lay)
}

async fn begin(socket: &mut WebSocket, api: &Api, since: Option<u64>) -> Option<Receiver<Fresh>> {
    let Subscription { first, events } = subscribe(api, since).await?;
    for event in first {
        send(socket, &event).await?;
    }
    Some(events)
}

async fn send(socket: &mut WebSocket, event: &Event) -> Option<()> {
    deliver(socket, Message::Text(serde_json::to_string(event).ok()?.into())).await
}

async fn deliver(socket: &mut WebSocket, message: Message) -> Option<()> {
    timeout(SEND_DEADLINE, socket.send(message)).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast;

    #[tokio::test]
    async fn what_lay_there_while_a_client_took_nothing_is_no_time_of_ours() {
        let (sender, mut events) = broadcast::channel(8);
        for event in 1..=3 {
            sender.send(event).expect("a client");
        }
        for event in 1..=3 {
            assert_eq!(next(&mut events).await, (Ok(event), true));
        }
        let later = async {
            tokio::task::yield_now().await;
            sender.send(4).expect("a client");
        };
        let (taken, ()) = tokio::join!(next(&mut events), later);
        assert_eq!(taken, (Ok(4), false), "it was waited for");
    }
}
