//! Markers: what the operator notes while a session runs.
//!
//! Contract: a marker is answered, and shown, once it is on the disk; the same key means the same marker, also for the
//! next engine while the session runs. No number is given twice: a line that the disk refused may stand there in spite of
//! it. Nothing of it touches media. A session has at most [`MARKERS_MAX`].

use super::super::event::{Effect, MarkCommand, Now, Reply, Token, Unwritten};
use super::State;
use super::commands::refuse;
use super::session::{PERSIST_DEADLINE, Phase, Session};
use super::storage::refusal_of;
use crate::model::marker::{MARKERS_MAX, Marker, MarkerLabel, MarkerLine};
use crate::model::session::Line;
use crate::model::{MonoNs, SessionId};
use crate::protocol::api::MarkerReply;
use std::collections::VecDeque;

/// Keys that are known: those of one full session.
const KEYS: usize = MARKERS_MAX as usize;
/// Markers that may be on their way to the disk: one of every client.
const PENDING: usize = 64;

/// What makes markers repeatable.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Those that stand in a journal, oldest first.
    known: VecDeque<Known>,
    /// Those that are being written, oldest first.
    pending: VecDeque<Pending>,
    /// The highest number that was given in a session, whatever has become of it.
    given: Option<(SessionId, u32)>,
}

#[derive(Debug)]
struct Known {
    session: SessionId,
    key: String,
    marker: Marker,
}

#[derive(Debug)]
struct Pending {
    marker: Known,
    since: MonoNs,
    /// Who waits for it: the first made it, the others asked again.
    waiting: Vec<Token>,
}

impl Marks {
    /// Takes in what the journal of a session says.
    pub fn recall(&mut self, session: &mut Session, kept: Vec<(String, Marker)>) {
        let id = session.plan.id;
        for (key, marker) in kept {
            if session.markers.iter().all(|known| known.n != marker.n) {
                self.give(id, marker.n);
                session.markers.push(marker.clone());
                self.remember(Known { session: id, key, marker });
            }
        }
        session.markers.sort_by_key(|marker| marker.n);
    }

    fn remember(&mut self, known: Known) {
        if self.known.len() >= KEYS {
            self.known.pop_front();
        }
        self.known.push_back(known);
    }

    /// The highest number that was given in a session.
    fn last_number(&self, session: SessionId) -> u32 {
        self.given.filter(|(of, _)| *of == session).map_or(0, |(_, n)| n)
    }

    fn give(&mut self, session: SessionId, n: u32) {
        self.given = Some((session, n.max(self.last_number(session))));
    }

    /// How many markers a session has, or will have.
    fn count(&self, session: &Session) -> usize {
        let pending = self.pending.iter().filter(|pending| pending.marker.session == session.plan.id);
        session.markers.len() + pending.count()
    }
}

impl State {
    /// The session that is meant has no plan on the disk yet: a moment later it can be marked.
    pub(super) fn is_about_to_run(&self, command: &MarkCommand) -> bool {
        let asked = command.request.session_id;
        let meant = |session: &&Session| asked.is_none_or(|asked| asked == session.plan.id);
        self.session.as_ref().filter(meant).is_some_and(|session| matches!(session.phase, Phase::Persisting { .. }))
    }

    pub(super) fn on_mark(&mut self, now: Now, command: MarkCommand, out: &mut Vec<Effect>) {
        let token = command.token;
        let label = match MarkerLabel::read(command.request.label.as_deref().unwrap_or_default()) {
            Ok(label) => label,
            Err(error) => return out.push(refuse(token, 422, "bad_label", error.to_string(), false)),
        };
        let asked = command.request.session_id;
        let same = |known: &Known| known.key == command.key && asked.is_none_or(|asked| asked == known.session);
        if let Some(known) = self.marks.known.iter().rev().find(|known| same(known)) {
            return out.push(match known.marker.label == label {
                true => reply(token, known, false),
                false => reused(token),
            });
        }
        if let Some(pending) = self.marks.pending.iter_mut().find(|pending| same(&pending.marker)) {
            return match pending.marker.marker.label == label {
                true => pending.waiting.push(token),
                false => out.push(reused(token)),
            };
        }
        let running = self.session.as_ref().filter(|session| session.runs());
        let Some(session) = running.filter(|session| asked.is_none_or(|asked| asked == session.plan.id)) else {
            let message = "nothing is being recorded that could be marked".to_owned();
            return out.push(refuse(token, 400, "not_recording", message, false));
        };
        if self.marks.count(session) >= KEYS {
            let message = format!("a session has at most {MARKERS_MAX} markers");
            return out.push(refuse(token, 409, "too_many_markers", message, false));
        }
        if self.marks.pending.len() >= PENDING {
            let message = "the disk does not keep up with markers; try again".to_owned();
            return out.push(refuse(token, 503, "storage_frozen", message, true));
        }
        let n = self.marks.last_number(session.plan.id) + 1;
        let clicked = command.clicked.unwrap_or(now.mono).min(now.mono);
        let (t_ns, at) = (session.t_ns(clicked).max(0), now.at - now.mono.since(clicked));
        let line =
            MarkerLine { n, media_ms: self.session_view(now.mono, session).media_ms, label, key: command.key.clone() };
        let marker = Known { session: session.plan.id, key: command.key, marker: Marker::of(t_ns, at, &line) };
        let line = Box::new(Line { t_ns, at, kind: line });
        self.marks.give(marker.session, n);
        out.push(Effect::WriteMarker { session: session.plan.id, dir: session.dir.clone(), line });
        self.marks.pending.push_back(Pending { marker, since: now.mono, waiting: vec![token] });
    }

    /// A marker is on the disk, or is not.
    pub(super) fn on_marked(
        &mut self,
        session: SessionId,
        n: u32,
        result: Result<(), Unwritten>,
        out: &mut Vec<Effect>,
    ) {
        let ours = |pending: &Pending| pending.marker.session == session && pending.marker.marker.n == n;
        let Some(place) = self.marks.pending.iter().position(ours) else { return };
        let Some(Pending { marker, waiting, .. }) = self.marks.pending.remove(place) else { return };
        match result {
            Ok(()) => {
                out.extend(waiting.iter().enumerate().map(|(place, token)| reply(*token, &marker, place == 0)));
                if let Some(running) = self.session.as_mut().filter(|running| running.plan.id == session) {
                    running.markers.push(marker.marker.clone());
                }
                self.marks.remember(marker);
            }
            Err(why) => {
                let (status, code, retryable) = refusal_of(why.code);
                let message = format!("the marker could not be written: {}", why.reason);
                out.extend(waiting.into_iter().map(|token| refuse(token, status, code, message.clone(), retryable)));
            }
        }
    }

    /// Nobody waits longer for a marker than for anything else that is written; it stands once the disk has taken it.
    pub(super) fn watch_marks(&mut self, now: Now, out: &mut Vec<Effect>) {
        for pending in &mut self.marks.pending {
            if now.mono.since(pending.since) >= PERSIST_DEADLINE {
                let message =
                    "the disk has not taken the marker yet; it counts once it has; ask again with the same key";
                let late = std::mem::take(&mut pending.waiting).into_iter();
                out.extend(late.map(|token| refuse(token, 503, "storage_frozen", message.to_owned(), true)));
            }
        }
    }
}

fn reply(token: Token, known: &Known, new: bool) -> Effect {
    let body = MarkerReply { session_id: known.session, marker: known.marker.clone() };
    Effect::Reply(token, Reply::Marked { body: Box::new(body), new })
}

fn reused(token: Token) -> Effect {
    let message = "this key was used for another marker; use a new key".to_owned();
    refuse(token, 422, "key_reused", message, false)
}
