//! The API on the engine's Unix socket (DESIGN §4): only our own user, at most [`CLIENTS`] connections.
//!
//! Contract: reads answer from the last published snapshot without asking the loop; commands go through one
//! queue to the loop. Every reply carries a trace id and the time it took; errors have one form. What the API takes
//! and answers is described by the API itself: `GET /api/v1/openapi.json` is made from the handlers.

mod commands;
mod envelope;
mod events;
mod names;
mod reads;
mod routes;
mod stream;

use super::event::Reply;
use super::tally::Tally;
use crate::engine::latency::Latencies;
use crate::model::naming::{NameFault, Template};
use crate::model::snapshot::{Alert, Snapshot};
use crate::model::{MonoNs, SessionId, SessionName};
use crate::protocol::api::{HealthReply, HistoryReply, MarkerRequest, OrderRequest, StartRequest};
use crate::protocol::event::Event;
use crate::sys::unix_listener::bind_private;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

/// Most connections at a time (R-CMD-7).
const CLIENTS: usize = 64;
/// A client that finds all places taken waits this long for one, and is told to come again then. Shorter than the
/// 2 s after which somebody takes this engine for dead ([`super::takeover`], the window).
const PLACE_WITHIN: Duration = Duration::from_secs(1);
/// Clients that may wait for a place; more are told at once.
const WAITING: usize = 64;
/// So many of those are heard and told why, as many as connect while nobody looks; those beyond are cut off.
const HEARD: usize = 256;
/// Threads that may read the library for clients: one in a disk that hangs is not given back.
const LISTINGS: usize = 2;
/// A request's header must be there by then (R-CMD-7); its body gets the same.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Events a client may lag behind before it gets the whole state again (R-FM-3).
pub const EVENT_BUFFER: usize = 1000;

/// What a handler asks the loop.
#[derive(Debug)]
pub enum Request {
    /// Record.
    Start {
        /// Trace id of the request.
        trace: String,
        /// Idempotency key; one is made without it.
        key: Option<String>,
        /// When somebody clicked.
        clicked: Option<MonoNs>,
        /// What the session is to be called, or why it cannot be.
        name: Result<SessionName, NameFault>,
        /// The body.
        body: StartRequest,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Stop.
    Stop {
        /// Trace id of the request.
        trace: String,
        /// When somebody clicked.
        clicked: Option<MonoNs>,
        /// Which session.
        session: Option<SessionId>,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Begin the next part of every input.
    Split {
        /// Which session.
        session: Option<SessionId>,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Note this moment of the session.
    Mark {
        /// Idempotency key; one is made without it.
        key: Option<String>,
        /// The body.
        body: MarkerRequest,
        /// When somebody clicked.
        clicked: Option<MonoNs>,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Try an input again.
    Retry {
        /// Which.
        input: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// The meters of an input are to forget that they clipped.
    ClearClip {
        /// Which.
        input: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// The inputs are to be put in an order.
    Order {
        /// The order.
        body: OrderRequest,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// An alert was seen.
    Acknowledge {
        /// Its id.
        alert: u64,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Give a stuck operation up.
    Cleanup {
        /// Its number.
        operation: u64,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// The state, and every event after it.
    Subscribe {
        /// The number the client had come to: what it missed is enough.
        since: Option<u64>,
        /// Where the answer goes.
        reply: oneshot::Sender<Subscription>,
    },
}

/// A consistent start of an event stream: no event between the two is missing or doubled.
#[derive(Debug)]
pub struct Subscription {
    /// What leads to the state now.
    pub first: Vec<Arc<Event>>,
    /// What follows.
    pub events: broadcast::Receiver<Fresh>,
}

/// An event on its way to the clients.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// The event.
    pub event: Arc<Event>,
    /// When the loop began with what led to it.
    pub since: MonoNs,
}

/// What the loop publishes for readers.
#[derive(Debug, Clone)]
pub struct Board {
    /// The last snapshot.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Every alert kept, newest first.
    pub alerts: watch::Receiver<Arc<Vec<Alert>>>,
    /// How the recorder is, but for what only the server knows.
    pub health: watch::Receiver<Arc<HealthReply>>,
    /// How long things take; whoever serves adds to it.
    pub latencies: Latencies,
    /// What a session is called that nobody names.
    pub session_name: Arc<Template>,
    /// The last minutes of every input.
    pub histories: watch::Receiver<Arc<Vec<HistoryReply>>>,
}

/// Everything a handler may use.
#[derive(Debug, Clone)]
struct Api {
    requests: mpsc::Sender<Request>,
    board: Board,
    library: PathBuf,
    started: crate::model::MonoNs,
    clients: Clients,
    listings: Arc<Semaphore>,
    /// Answers, and those that were our fault.
    tally: Tally,
}

/// The place of one connection; whoever serves the client longest holds it.
#[derive(Debug, Clone)]
struct Place {
    _held: Arc<OwnedSemaphorePermit>,
    /// The process at the other end; `None` = of a namespace we cannot see into.
    peer: Option<u32>,
}

/// The event clients that are connected, and the places for connections of every kind.
#[derive(Debug, Clone)]
pub struct Clients {
    events: Arc<Mutex<Vec<Client>>>,
    places: Arc<Semaphore>,
}

/// One of them: a window and its process (see [`Place::peer`]), else nothing is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Client {
    window: Option<Option<u32>>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { events: Arc::default(), places: Arc::new(Semaphore::new(CLIENTS)) }
    }
}

impl Clients {
    /// Their number.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The processes of those that are windows; `None` = of a namespace we cannot see into.
    pub fn windows(&self) -> Vec<Option<u32>> {
        self.lock().iter().filter_map(|client| client.window).collect()
    }

    /// How many places there are, and how many are taken.
    pub fn places(&self) -> (usize, usize) {
        (CLIENTS, CLIENTS.saturating_sub(self.places.available_permits()))
    }

    /// Counts one more until the guard is dropped.
    fn enter(&self, window: Option<Option<u32>>) -> ClientGuard {
        let client = Client { window };
        self.lock().push(client);
        ClientGuard(self.clone(), client)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Client>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ClientGuard(Clients, Client);

impl Drop for ClientGuard {
    fn drop(&mut self) {
        let mut clients = self.0.lock();
        if let Some(place) = clients.iter().position(|client| *client == self.1) {
            clients.swap_remove(place);
        }
    }
}

/// Binds `path` for our own user only. The caller holds the engine's lock, so what stands there is stale.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    UnixListener::from_std(bind_private(path)?.into())
}

/// Serves until the process ends.
pub async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    board: Board,
    library: PathBuf,
    clients: Clients,
    tally: Tally,
) {
    let started = crate::sys::clock::mono_now();
    let places = clients.places.clone();
    let listings = Arc::new(Semaphore::new(LISTINGS));
    let router = routes::make(Api { requests, board, library, started, clients, listings, tally });
    let [queue, heard] = [WAITING, HEARD].map(|most| Arc::new(Semaphore::new(most)));
    let ours = rustix::process::getuid().as_raw();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: the next one may find some.
                tracing::error!(%error, "a client could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == ours) {
            tracing::warn!("a client of another user was turned away");
            continue;
        }
        let accepted = crate::sys::clock::mono_now();
        // In the order in which they came, also of many that came while nobody looked.
        if let Ok(place) = places.clone().try_acquire_owned() {
            tokio::spawn(converse(stream, router.clone(), place));
        } else if let Ok(waiting) = queue.clone().try_acquire_owned() {
            let (places, router) = (places.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(Ok(place)) = timeout(PLACE_WITHIN, places.acquire_owned()).await else {
                    return envelope::turn_away(&stream, accepted).await;
                };
                drop(waiting);
                converse(stream, router, place).await;
            });
        } else if let Ok(heard) = heard.clone().try_acquire_owned() {
            tokio::spawn(async move {
                envelope::turn_away(&stream, accepted).await;
                drop(heard);
            });
        } else {
            tracing::warn!("a client was cut off: all places are taken, and too many ask for one");
        }
    }
}

async fn converse(stream: UnixStream, router: Router, place: OwnedSemaphorePermit) {
    // An event stream outlives its HTTP connection: the place travels with the request.
    let pid = stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
    let place = Place { _held: Arc::new(place), peer: pid.filter(|pid| *pid > 0) };
    let service = TowerToHyperService::new(router.layer(Extension(place)));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(READ_DEADLINE);
    if let Err(error) = http.serve_connection(TokioIo::new(stream::Stream::new(stream)), service).with_upgrades().await
    {
        tracing::debug!(%error, "a client's connection ended");
    }
}
