//! Many clients at once, all of them rude (R-CMD-2): every command is answered in time, there is never more than one
//! session, and the engine is well afterwards.

use crate::record::LIVE_WITHIN;
use crate::support::api::{self, Events};
use crate::support::dice::Dice;
use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::proc::{BINARY, Holdfast, rounds, test_inputs};
use crate::support::process::{Deadline, Running};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Clients at the same time.
const CLIENTS: u32 = 8;
/// R-CMD-2.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Keys in use: few enough that they are often repeated.
const KEYS: usize = 40;

/// A start that waits begins with the next tick of the engine (0.2 s).
const QUIET: Duration = Duration::from_secs(1);
/// A few sessions of clients that are gone.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What one client saw.
#[derive(Debug, Default)]
struct Tally {
    answers: BTreeMap<(&'static str, u16), u32>,
    slowest: Duration,
    /// The session each key was answered with.
    sessions: BTreeMap<String, String>,
    killed: u32,
    cut: u32,
}

impl Tally {
    fn ask(&mut self, socket: &Path, what: &'static str, path: &str, key: Option<&str>, body: &Value) -> Value {
        let headers: Vec<(&str, &str)> = key.map(|key| ("X-Idempotency-Key", key)).into_iter().collect();
        let method = if what == "status" { "GET" } else { "POST" };
        let began = Deadline::after(ANSWERED_WITHIN);
        let reply = api::request(socket, method, path, &headers, Some(body).filter(|body| !body.is_null()));
        let reply = reply.unwrap_or_else(|error| panic!("{what} was not answered: {error}"));
        assert!(began.elapsed() <= ANSWERED_WITHIN, "{what} took {:?}", began.elapsed());
        self.slowest = self.slowest.max(began.elapsed());
        *self.answers.entry((what, reply.status)).or_default() += 1;
        reply.body
    }

    fn start(&mut self, socket: &Path, key: &str) {
        let body = self.ask(socket, "start", "/api/v1/recorder/start", Some(key), &json!({"name": key}));
        if let Some(session) = body["session_id"].as_str() {
            let before = self.sessions.insert(key.to_owned(), session.to_owned());
            assert!(before.as_deref().is_none_or(|before| before == session), "{key} made {before:?} and {session}");
        }
    }
}

fn client(holdfast: &Holdfast, seed: u64, requests: u32) -> Tally {
    let (socket, mut dice, mut tally) = (holdfast.socket(), Dice::seeded(seed), Tally::default());
    for _ in 0..requests {
        let key = format!("k{}", dice.below(KEYS));
        match dice.below(100) {
            0..30 => tally.start(&socket, &key),
            30..50 => drop(tally.ask(&socket, "stop", "/api/v1/recorder/stop", None, &json!({}))),
            50..60 => {
                let known = tally.sessions.values().nth(dice.below(KEYS)).cloned();
                let session = known.unwrap_or_else(|| "0193a000-0000-7000-8000-000000000000".to_owned());
                drop(tally.ask(&socket, "stop", "/api/v1/recorder/stop", None, &json!({"session_id": session})));
            }
            60..65 => drop(tally.ask(&socket, "split", "/api/v1/recorder/split", None, &json!({}))),
            65..92 => drop(tally.ask(&socket, "status", "/api/v1/status", None, &Value::Null)),
            92..97 => cut_short(&socket, &key, &mut dice, &mut tally),
            _ => kill_a_command(holdfast, &key, &mut dice, &mut tally),
        }
    }
    tally
}

/// Breaks the connection somewhere within the request, or before its answer.
fn cut_short(socket: &Path, key: &str, dice: &mut Dice, tally: &mut Tally) {
    let body = json!({"name": key}).to_string();
    let request = format!(
        "POST /api/v1/recorder/start HTTP/1.1\r\nHost: x\r\nX-Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let length = if dice.coin() { request.len() } else { dice.below(request.len()) };
    let mut stream = UnixStream::connect(socket).expect("the socket listens");
    stream.write_all(&request.as_bytes()[..length]).expect("written");
    tally.cut += 1;
}

/// SIGKILL for a `holdfast record start`, sooner or later.
fn kill_a_command(holdfast: &Holdfast, key: &str, dice: &mut Dice, tally: &mut Tally) {
    let mut command = holdfast.command(BINARY);
    command.args(["record", "start", "--no-wait", "--key", key, "--name", key]);
    let mut running = Running::start("record start", command.stdout(Stdio::null()).stderr(Stdio::null()));
    let _ended = running.wait(Duration::from_millis(dice.below(150) as u64));
    running.kill();
    tally.killed += 1;
}

/// Follows the events until told to end: every number follows the one before, and no session takes another's place.
fn watch(mut events: Events, end: &AtomicBool) -> BTreeSet<String> {
    let (mut seen, mut seq, mut running) = (BTreeSet::new(), None, Value::Null);
    while !end.load(Ordering::Relaxed) {
        let Some(event) = events.next(Duration::from_millis(500)).expect("the stream goes on") else { continue };
        if let Some(next) = event["seq"].as_u64() {
            assert!(event["kind"] == "sync" || seq.is_none_or(|seq| next == seq + 1), "{seq:?}, then {event}");
            seq = Some(next);
        }
        let now = match event["kind"].as_str() {
            Some("sync") => event["data"]["session"].clone(),
            Some("session") => event["data"].clone(),
            _ => continue,
        };
        let replaced = !running.is_null() && !now.is_null() && running["id"] != now["id"];
        assert!(!replaced || running["state"] == "failed", "{running} was replaced by {now}");
        seen.extend(now["id"].as_str().map(str::to_owned));
        running = now;
    }
    seen
}

#[test]
fn a_thousand_commands_of_rude_clients_are_answered_and_never_make_two_sessions() {
    let mut dice = Dice::for_test("rude clients");
    let mut holdfast =
        Holdfast::new(&test_inputs(2, "auto").replace("width = 640\nheight = 360", "width = 160\nheight = 120"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let events = holdfast.events().expect("a stream");
    let end = AtomicBool::new(false);
    let requests = rounds(1000, 10_000) / CLIENTS;
    let began = Deadline::after(Duration::from_secs(600));
    let (tallies, watched) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(events, &end));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| dice.roll())
            .map(|seed| {
                scope.spawn({
                    let holdfast = &holdfast;
                    move || client(holdfast, seed, requests)
                })
            })
            .collect();
        let tallies: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        end.store(true, Ordering::Relaxed);
        (tallies, watcher.join().expect("the watcher saw nothing wrong"))
    });
    let tallies: Vec<Tally> = tallies.into_iter().map(|tally| tally.expect("a client was served")).collect();

    let mut answers = BTreeMap::<_, u32>::new();
    let mut sessions = BTreeMap::<String, String>::new();
    for tally in &tallies {
        tally.answers.iter().for_each(|(answer, count)| *answers.entry(*answer).or_default() += count);
        for (key, session) in &tally.sessions {
            let other = sessions.insert(key.clone(), session.clone());
            assert!(other.as_deref().is_none_or(|other| other == session), "{key} made two sessions");
        }
    }
    let slowest = tallies.iter().map(|tally| tally.slowest).max().expect("clients");
    let (killed, cut): (u32, u32) = tallies.iter().fold((0, 0), |sum, tally| (sum.0 + tally.killed, sum.1 + tally.cut));
    println!("{answers:?}\n{killed} killed, {cut} cut, slowest answer {slowest:?}, in {:?}", began.elapsed());

    // Whatever still runs is stopped, and what a client that is gone had asked for and still waited; then nothing is
    // left of it all but closed sessions, one after the other.
    settle(&holdfast);
    check_library(&holdfast, &watched, &sessions);

    // And the engine is well.
    let health = holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer");
    assert_eq!((health.status, &health.body["workers"]), (200, &json!(2)), "{health:?}");
    crate::record::start(&holdfast, &["cam1", "cam2"]);
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&holdfast.session());
    for input in ["cam1", "cam2"] {
        let file = parts(&manifest, input)[0]["file"].as_str().expect("a name").to_owned();
        assert_sound(&holdfast.session().join(file));
    }
}

/// Stops what runs until nothing does, nor begins within [`QUIET`].
fn settle(holdfast: &Holdfast) {
    let deadline = Deadline::after(SETTLED_WITHIN);
    loop {
        let stopped = holdfast.cli(&["record", "stop"]);
        assert!(stopped.code == Some(0) || stopped.stderr.contains("nothing is being recorded"), "{stopped:?}");
        let mut events = holdfast.events().expect("a stream");
        let quiet = Deadline::after(QUIET);
        let mut running = true;
        while let Some(left) = quiet.left() {
            match events.next(left).expect("the stream goes on") {
                Some(event) if event["kind"] == "sync" => running = !event["data"]["session"].is_null(),
                Some(event) if event["kind"] == "session" => running = !event["data"].is_null(),
                _ => {}
            }
        }
        if !running {
            return;
        }
        assert!(deadline.left().is_some(), "sessions begin again and again");
    }
}

/// Journals, not memories: each session begins after the one before it was closed.
fn check_library(holdfast: &Holdfast, watched: &BTreeSet<String>, answered: &BTreeMap<String, String>) {
    let mut spans = Vec::new();
    for session in holdfast.sessions() {
        let journal = std::fs::read_to_string(session.join("journal.jsonl")).expect("a journal");
        let lines: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let time = |line: &Value| line["at"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
        let closed = lines.iter().find(|line| line["kind"] == "closed");
        let closed = closed.unwrap_or_else(|| panic!("{} is not closed:\n{journal}", session.display()));
        let id = lines[0]["id"].as_str().expect("an id").to_owned();
        spans.push((time(&lines[0]), time(closed), id, lines[0]["key"].as_str().expect("a key").to_owned()));
    }
    spans.sort();
    for pair in spans.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{} began before {} was closed", pair[1].2, pair[0].2);
    }
    let ids: BTreeSet<&String> = spans.iter().map(|span| &span.2).collect();
    let keys: BTreeSet<&String> = spans.iter().map(|span| &span.3).collect();
    assert_eq!(keys.len(), spans.len(), "a key made two sessions");
    assert!(answered.values().all(|id| ids.contains(id)), "a session was answered that is not on the disk");
    assert!(watched.iter().all(|id| ids.contains(id)), "a session was shown that is not on the disk");
    println!("{} sessions, one after the other", spans.len());
}
