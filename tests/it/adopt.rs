//! The engine is killed, hung or started twice, and the session stays one session (R-SUP-3, R-CMD-2, R-FM-11).

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::api;
use crate::support::dice::Dice;
use crate::support::evidence::{assert_no_frame_missing, manifest, parts, plan};
use crate::support::frames;
use crate::support::proc::{BINARY, Holdfast, find_input, rounds, test_inputs, wait_for_change};
use crate::support::process::{self, Deadline, Running};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

pub const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// From a start of the engine to a closed session: flush, finalise, manifest, on a busy machine.
pub const CLOSED_WITHIN: Duration = Duration::from_secs(30);
/// A change in a folder that a start or stop makes comes within this, or not at all.
const CHANGE_WITHIN: Duration = Duration::from_millis(400);

/// An engine that finds another one leaves at once, or after it has waited for that one to start (10 s).
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// R-CMD-7.
const CLIENTS: usize = 64;

/// When the engine dies.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// While a start is carried out.
    Start,
    /// While everything records.
    Recording,
    /// While all inputs go on to their next part.
    Split,
    /// While a stop is carried out.
    Stop,
}

/// Lines of a JSON lines file; a torn last line is left out.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Facts by number, and how often each stands there.
fn count_facts(lines: impl Iterator<Item = Value>) -> BTreeMap<u64, usize> {
    let mut counted = BTreeMap::new();
    for line in lines {
        let n = line["n"].as_u64().or(line["fact"]["n"].as_u64()).expect("a number");
        *counted.entry(n).or_insert(0) += 1;
    }
    counted
}

/// The closed session has every fact of every worker exactly once, one end, and no frame of its parts is missing.
pub fn assert_one_session(session: &Path, wanted_parts: &[(&str, usize)]) -> Value {
    let journal = lines(&session.join("journal.jsonl"));
    let of_kind = |kind: &str| journal.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of_kind("plan"), of_kind("closed")), (1, 1), "{journal:#?}");
    let manifest = manifest(session);
    for (input, wanted) in wanted_parts {
        let told = count_facts(lines(&session.join(format!("{input}.facts.jsonl"))).into_iter());
        let ours = |line: &&Value| line["kind"] == "fact" && line["input"] == *input;
        let folded = count_facts(journal.iter().filter(ours).cloned());
        assert!(folded.values().all(|times| *times == 1), "a fact of {input} stands twice: {journal:#?}");
        assert!(told.keys().all(|n| folded.contains_key(n)), "a fact of {input} is lost: {told:?} {folded:?}");
        assert!(told.values().all(|times| *times == 1), "{input} used a number twice: {told:?}");
        let parts = parts(&manifest, input);
        assert_eq!(parts.len(), *wanted, "{input}: {manifest:#}");
        for part in parts {
            assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
        }
    }
    manifest
}

/// Sends a request on a thread of its own; the engine may die before it answers.
fn ask(holdfast: &Holdfast, path: &'static str, key: &str, body: Value) -> JoinHandle<Option<u16>> {
    let (socket, key) = (holdfast.socket(), key.to_owned());
    std::thread::spawn(move || {
        let headers = [("X-Idempotency-Key", key.as_str())];
        api::request(&socket, "POST", path, &headers, Some(&body)).ok().map(|reply| reply.status)
    })
}

pub fn kill_engine(holdfast: &mut Holdfast) {
    let engine = holdfast.engine().pid();
    holdfast.signal(engine, Signal::KILL);
    assert!(holdfast.engine().wait(RECORDS_WITHIN).is_some(), "the engine does not die");
}

fn worker_pids(holdfast: &Holdfast) -> Vec<u32> {
    INPUTS.iter().map(|input| holdfast.worker_pid(input)).collect()
}

fn session_id(snapshot: &Value) -> Option<&str> {
    snapshot["session"]["id"].as_str()
}

/// The newest session folder that has a plan, beyond those known.
fn planned(holdfast: &Holdfast, known: &[PathBuf]) -> Option<PathBuf> {
    let new = holdfast.sessions().into_iter().rfind(|session| !known.contains(session))?;
    lines(&new.join("journal.jsonl")).first().is_some_and(|line| line["kind"] == "plan").then_some(new)
}

/// Parts of `input` in a folder.
fn media_files(session: &Path, input: &str) -> usize {
    let names = std::fs::read_dir(session)
        .expect("a folder")
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".mp4") && name.split('.').next() == Some(input)).count()
}

/// The first picture of each part carries the number after the last one of the part before.
fn assert_parts_join(session: &Path, parts: &[&Value]) {
    let numbers = |part: &&Value| frames::assert_consecutive(&session.join(part["file"].as_str().expect("a name")));
    let ranges: Vec<(u32, u32)> = parts.iter().map(numbers).collect();
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "pictures missing or doubled: {ranges:?}");
}

/// Kills the engine at `moment`, starts the next, and takes the session to its end; the session if there was one.
fn kill_at(holdfast: &mut Holdfast, dice: &mut Dice, moment: Moment, round: u32) {
    let known = holdfast.sessions();
    let workers = worker_pids(holdfast);
    let key = format!("key-{round}");
    let steps = dice.below(8);
    let request = json!({"name": "test"});
    let mut stop_answered = false;
    match moment {
        Moment::Start => {
            let answer = ask(holdfast, "/api/v1/recorder/start", &key, request.clone());
            wait_for_change(&holdfast.library(), CHANGE_WITHIN);
            if let Some(session) = holdfast.sessions().into_iter().rfind(|session| !known.contains(session)) {
                (0..steps).for_each(|_| wait_for_change(&session, CHANGE_WITHIN));
            }
            kill_engine(holdfast);
            let answer = answer.join().expect("the client lives");
            if answer == Some(201) {
                assert!(planned(holdfast, &known).is_some(), "answered before the plan was written (R-CMD-1)");
            }
        }
        Moment::Recording => {
            assert_eq!(ask(holdfast, "/api/v1/recorder/start", &key, request.clone()).join().ok().flatten(), Some(201));
            wait_media(holdfast, INPUTS[0], Duration::from_millis(200 + dice.below(2500) as u64));
            kill_engine(holdfast);
        }
        Moment::Split => {
            assert_eq!(ask(holdfast, "/api/v1/recorder/start", &key, request.clone()).join().ok().flatten(), Some(201));
            for input in INPUTS {
                wait_media(holdfast, input, Duration::from_millis(800));
            }
            let session = holdfast.session();
            let answer = ask(holdfast, "/api/v1/recorder/split", &key, json!({}));
            (0..steps).for_each(|_| wait_for_change(&session, CHANGE_WITHIN));
            kill_engine(holdfast);
            answer.join().expect("the client lives");
        }
        Moment::Stop => {
            assert_eq!(ask(holdfast, "/api/v1/recorder/start", &key, request.clone()).join().ok().flatten(), Some(201));
            for input in INPUTS {
                wait_media(holdfast, input, Duration::from_millis(800));
            }
            let session = holdfast.session();
            let answer = ask(holdfast, "/api/v1/recorder/stop", &key, json!({}));
            (0..steps).for_each(|_| wait_for_change(&session, CHANGE_WITHIN));
            kill_engine(holdfast);
            stop_answered = answer.join().expect("the client lives") == Some(202);
        }
    }
    let session = planned(holdfast, &known);
    holdfast.spawn_engine();
    let Some(session) = session else {
        println!("round {round}: {moment:?} after {steps} changes: killed before there was a session");
        holdfast.wait_live(LIVE_WITHIN);
        return;
    };
    let id = plan(&session)["id"].as_str().expect("an id").to_owned();
    let over = |snapshot: &Value| snapshot["session"].is_null() && snapshot["last_session"]["id"] == id.as_str();
    let records = |snapshot: &Value| {
        let all = INPUTS.iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording");
        all && session_id(snapshot) == Some(&id)
    };
    let asked = lines(&session.join("journal.jsonl")).iter().any(|line| line["kind"] == "stop_requested");
    assert!(asked || !stop_answered, "a stop was answered and forgotten (R-CMD-1)");
    let seen = holdfast.wait_until("the session goes on", CLOSED_WITHIN, |now| over(now) || (!asked && records(now)));
    if !over(&seen) {
        // The client that got no answer asks again, and gets the same session (R-CMD-3).
        let headers = [("X-Idempotency-Key", key.as_str())];
        let again = holdfast.api("POST", "/api/v1/recorder/start", &headers, Some(&request)).expect("an answer");
        assert_eq!((again.status, again.body["session_id"].as_str()), (200, Some(id.as_str())), "{again:?}");
        assert_eq!(worker_pids(holdfast), workers, "a worker was replaced");
        let media = find_input(&seen, INPUTS[1])["recording"]["media_ms"].as_u64().unwrap_or(0);
        wait_media(holdfast, INPUTS[1], Duration::from_millis(media + 500));
        // A split lies a moment ahead; a stop before it would leave the part that was made for it empty.
        holdfast.wait_until("a split that was begun is made", CLOSED_WITHIN, |now| {
            let parts = |input: &&str| media_files(&session, input).max(1) as u64;
            INPUTS.iter().all(|input| find_input(now, input)["recording"]["part"] == parts(input))
        });
        holdfast.cli_ok(&["record", "stop"]);
        holdfast.wait_until("the session is closed", CLOSED_WITHIN, over);
    }
    // A split reached each worker or did not; without one there is one part.
    let wanted = INPUTS.map(|input| match moment {
        Moment::Split => (input, media_files(&session, input).max(1)),
        _ => (input, 1),
    });
    let manifest = assert_one_session(&session, &wanted);
    assert_eq!(manifest["state"], "completed", "{manifest:#}");
    for (input, wanted) in wanted {
        assert!(wanted <= 2, "{manifest:#}");
        let parts = parts(&manifest, input);
        assert_eq!(parts[wanted - 1]["end"], "completed", "{manifest:#}");
        assert!(parts[..wanted - 1].iter().all(|part| part["end"] == "split"), "{manifest:#}");
        // A disk that was slow at the start costs the begin, whoever dies later.
        let gaps = parts.iter().flat_map(|part| part["gaps"].as_array().into_iter().flatten());
        assert!(gaps.into_iter().all(|gap| gap["cause"] == "late_start"), "{manifest:#}");
        assert_parts_join(&session, &parts);
    }
    println!(
        "round {round}: {moment:?} after {steps} changes: one session, {}",
        if asked { "stopped" } else { "went on" }
    );
}

#[test]
fn an_engine_killed_at_any_moment_leaves_one_session_without_a_gap() {
    let mut dice = Dice::for_test("kill the engine");
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let moments = [Moment::Recording, Moment::Start, Moment::Stop, Moment::Split, Moment::Start];
    for round in 1..=rounds(3, 30) {
        kill_at(&mut holdfast, &mut dice, moments[round as usize % moments.len()], round);
    }
}

#[test]
fn a_worker_that_dies_without_an_engine_is_replaced_by_the_next_one_within_the_same_session() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    for input in INPUTS {
        wait_media(&holdfast, input, Duration::from_secs(2));
    }
    let seen = holdfast.status();
    let (id, workers) = (session_id(&seen).expect("a session").to_owned(), worker_pids(&holdfast));
    let before = find_input(&seen, "cam1")["recording"]["safe_ms"].as_u64().expect("media");
    kill_engine(&mut holdfast);
    holdfast.signal(workers[0], Signal::KILL);
    assert!(holdfast.ended(workers[0], RECORDS_WITHIN));

    holdfast.spawn_engine();
    let seen = holdfast.wait_until("part 2 is written", REPLACED_WITHIN, |snapshot| {
        let recording = &find_input(snapshot, "cam1")["recording"];
        recording["part"] == 2 && recording["state"] == "recording"
    });
    assert_eq!(session_id(&seen), Some(id.as_str()));
    assert_eq!(holdfast.worker_pid("cam2"), workers[1]);
    let media = find_input(&seen, "cam1")["recording"]["media_ms"].as_u64().expect("media");
    assert!(media + 1000 >= before, "the time shown fell from {before} to {media} ms");
    assert_eq!(find_input(&seen, "cam1")["recording"]["frames"]["written"], Value::Null, "nobody counted part 1");
    wait_media(&holdfast, "cam1", Duration::from_millis(media + 1000));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = assert_one_session(&session, &[("cam1", 2), ("cam2", 1)]);
    let parts = parts(&manifest, "cam1");
    assert_eq!((&parts[0]["end"], &parts[1]["end"]), (&json!("worker_died"), &json!("completed")), "{manifest:#}");
    let gaps = parts[1]["gaps"].as_array().expect("a list");
    assert_eq!((gaps.len(), &gaps[0]["cause"]), (1, &json!("worker_died")), "{manifest:#}");
    let lost = lines(&session.join("journal.jsonl")).into_iter().filter(|line| line["kind"] == "worker_lost");
    assert_eq!(lost.count(), 1);
}

/// Runs another `holdfast engine` that is expected to leave at once; what it said.
fn refused_engine(holdfast: &Holdfast, runtime: Option<&Path>) -> String {
    let mut command = holdfast.command(BINARY);
    command.arg("engine");
    if let Some(runtime) = runtime {
        command.env("HOLDFAST_RUNTIME_DIR", runtime);
    }
    let output = process::run("another engine", &mut command, holdfast.root(), REFUSED_WITHIN);
    assert_eq!(output.code, Some(1), "{output:#?}");
    output.stderr
}

#[test]
fn of_two_engines_started_at_once_one_wins_and_the_other_says_so() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    for round in 1..=rounds(2, 10) {
        // Both at the same instant, in the same folder.
        let start = |n: usize| {
            let log = holdfast.root().join(format!("race-{round}-{n}.log"));
            let mut command = holdfast.command(BINARY);
            command.arg("engine").stdout(process::log_file(&log)).stderr(process::log_file(&log));
            (Running::start("an engine of two", &mut command), log)
        };
        let mut both = [start(0), start(1)];
        let seen = holdfast.wait_until("an engine answers", LIVE_WITHIN, |_| true);
        assert!(seen["version"].is_u64());
        let deadline = Deadline::after(REFUSED_WITHIN);
        let loser = loop {
            if let Some(place) = both.iter().position(|(engine, _)| !engine.runs()) {
                break place;
            }
            let left = deadline.left().expect("two engines run in one folder");
            both[0].0.wait(left.min(CHANGE_WITHIN));
        };
        let said = process::tail(&both[loser].1, 20);
        assert!(said.contains("an engine is running already"), "{said}");
        assert_eq!(both[loser].0.wait(REFUSED_WITHIN).and_then(|status| status.code()), Some(1));
        assert!(both[1 - loser].0.runs());
        let winner = both[1 - loser].0.pid();
        holdfast.signal(winner, Signal::TERM);
        assert!(both[1 - loser].0.wait(CLOSED_WITHIN).is_some(), "the engine does not leave");
    }
    // An engine with a full house is busy, not dead.
    holdfast.spawn_engine();
    let house: Vec<_> = (0..CLIENTS).map(|_| holdfast.events().expect("a stream")).collect();
    let said = refused_engine(&holdfast, None);
    assert!(said.contains("an engine is running already"), "{said}");
    drop(house);
    // Another runtime folder, the same library.
    let elsewhere = holdfast.root().join("elsewhere");
    let said = refused_engine(&holdfast, Some(&elsewhere));
    assert!(said.contains("another engine records to"), "{said}");
    assert!(holdfast.try_status().is_ok());
}

#[test]
fn an_engine_that_hangs_is_replaced_and_writes_nothing_when_it_is_woken() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let hung = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, INPUTS[0], Duration::from_secs(1));
    let (id, workers) = (session_id(&holdfast.status()).expect("a session").to_owned(), worker_pids(&holdfast));
    holdfast.signal(hung, Signal::STOP);
    // The next one, while the first still holds every lock: it has to find out, kill, and take over by itself.
    let mut old = holdfast.release_engine();
    holdfast.spawn_engine();
    let status = old.wait(RECORDS_WITHIN).expect("two engines run: what hung would write again once it is woken");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::KILL.as_raw()));
    let seen = holdfast.wait_until("every input records", RECORDS_WITHIN, |snapshot| {
        INPUTS.iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
    });
    assert_eq!(session_id(&seen), Some(id.as_str()));
    assert_eq!(worker_pids(&holdfast), workers);
    let said = refused_engine(&holdfast, None);
    assert!(said.contains("an engine is running already"), "{said}");
    let media = find_input(&seen, INPUTS[1])["recording"]["media_ms"].as_u64().unwrap_or(0);
    wait_media(&holdfast, INPUTS[1], Duration::from_millis(media + 500));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = assert_one_session(&session, &INPUTS.map(|input| (input, 1)));
    assert_eq!(manifest["state"], "completed");
    let adopted = lines(&session.join("journal.jsonl")).into_iter().filter(|line| line["kind"] == "adopted");
    assert_eq!(adopted.count(), 1);
}

#[test]
fn an_engine_whose_locks_were_taken_away_is_told_that_it_was_superseded_and_writes_nothing_more() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, INPUTS[0], Duration::from_secs(1));
    let id = session_id(&holdfast.status()).expect("a session").to_owned();
    // Somebody tidied up: the locks are still held, but nobody who comes can see it.
    let library = holdfast.library();
    for lock in [holdfast.runtime().join("engine.lock"), library.join(".holdfast.lock")] {
        std::fs::remove_file(lock).expect("a lock");
    }
    let mut old = holdfast.release_engine();
    holdfast.spawn_engine();
    let status = old.wait(RECORDS_WITHIN).expect("the engine that was superseded leaves");
    assert_eq!(status.code(), Some(1));
    assert!(process::tail(&holdfast.log(), 60).contains("has taken over"));
    let seen = holdfast.wait_until("the session goes on", RECORDS_WITHIN, |snapshot| {
        INPUTS.iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
    });
    assert_eq!(session_id(&seen), Some(id.as_str()), "its socket is the new engine's");
    holdfast.cli_ok(&["record", "stop"]);
    assert_one_session(&holdfast.session(), &INPUTS.map(|input| (input, 1)));
}
