//! Sessions in which nothing is wrong are called so, and what was lost is a warning, never a failure.

use super::wait_verdict;
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::dice::Dice;
use crate::support::evidence::{clean_verdict, findings, manifest, parts};
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;

const INPUTS: [&str; 3] = ["cam1", "cam2", "cam3"];

#[test]
fn a_clean_session_is_proved_after_stop() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    wait_media(&holdfast, "cam2", Duration::from_secs(3));
    holdfast.cli_ok(&["record", "stop"]);
    let last = wait_verdict(&holdfast);
    let manifest = manifest(&holdfast.session());
    assert_eq!(
        (&last["verdict"], &last["proved"], &last["parts"]),
        (&clean_verdict(&manifest, &["cam1", "cam2"]).into(), &2.into(), &2.into()),
        "{manifest:#}"
    );
    let status = holdfast.status();
    for input in ["cam1", "cam2"] {
        let part = parts(&manifest, input)[0];
        assert_eq!(part["frames"]["readable"], part["frames"]["written"], "{part:#}");
        let bytes = std::fs::read(holdfast.session().join(part["file"].as_str().expect("a name"))).expect("a part");
        assert_eq!(part["blake3"], blake3::hash(&bytes).to_hex().as_str());
        assert_eq!(find_input(&status, input)["recording"]["verdict"], clean_verdict(&manifest, &[input]));
    }
}

/// Three inputs with sound, silence and no sound at all, in `container`.
fn mixed(container: &str) -> String {
    let config = test_inputs(3, "auto");
    let (first, rest) = config.split_once("id = \"cam2\"").expect("three inputs");
    let (second, third) = rest.split_once("id = \"cam3\"").expect("three inputs");
    let second = second.replace("audio = \"auto\"", "audio = \"silence\"");
    let third = third.replace("audio = \"auto\"", "audio = false");
    format!("[recording]\ncontainer = \"{container}\"\n{first}id = \"cam2\"{second}id = \"cam3\"{third}")
}

#[test]
fn clean_sessions_raise_no_alarm() {
    let mut dice = Dice::for_test("clean sessions");
    for container in ["mp4", "mkv"] {
        let mut holdfast = Holdfast::new(&mixed(container));
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        for round in 0..rounds(2, 25) {
            start(&holdfast, &INPUTS);
            wait_media(&holdfast, "cam3", Duration::from_millis(700 + dice.below(4000) as u64));
            if round % 3 == 0 {
                split(&holdfast);
            }
            let killed = (round % 2 == 1).then(|| kill(&holdfast, INPUTS[dice.below(3)]));
            holdfast.cli_ok(&["record", "stop"]);
            let last = wait_verdict(&holdfast);
            let manifest = manifest(&holdfast.session());
            for input in INPUTS {
                let wanted = if killed == Some(input) { "warning" } else { clean_verdict(&manifest, &[input]) };
                let verdict = find_input(&holdfast.status(), input)["recording"]["verdict"].clone();
                let found = findings(&manifest, input);
                assert_eq!(verdict, wanted, "{container} {round} {input}: {found:?} {manifest:#}");
                for part in parts(&manifest, input).iter().filter(|part| part["end"] != "empty") {
                    assert_eq!(part["frames"]["readable"], part["frames"]["written"], "{part:#}");
                }
            }
            let wanted = if killed.is_some() { "warning" } else { clean_verdict(&manifest, &INPUTS) };
            assert_eq!(last["verdict"], wanted);
            println!("{container} {round}: {} of {} files, {killed:?} killed", last["proved"], last["parts"]);
        }
    }
}

/// Kills the worker of `input` and waits for its next part.
fn kill<'a>(holdfast: &Holdfast, input: &'a str) -> &'a str {
    let pid = holdfast.worker_pid(input);
    holdfast.signal(pid, Signal::KILL);
    holdfast.wait_until("the next part", REPLACED_WITHIN, |snapshot| {
        let found = find_input(snapshot, input);
        found["worker"]["pid"].as_u64().is_some_and(|now| now != u64::from(pid))
            && found["recording"]["state"] == "recording"
    });
    // An operator's Retry: deaths without 60 s of media in between would end in quarantine, as they should.
    let forgiven = holdfast.api("POST", &format!("/api/v1/inputs/{input}/retry"), &[], None).expect("a reply");
    assert_eq!(forgiven.status, 202, "{forgiven:?}");
    input
}

/// Lets all inputs go on in their next part.
fn split(holdfast: &Holdfast) {
    holdfast.cli_ok(&["record", "split"]);
    holdfast.wait_until("the next parts", RECORDS_WITHIN, |snapshot| {
        INPUTS.iter().all(|input| find_input(snapshot, input)["recording"]["part"] == 2)
    });
}

/// A session that version 0.1 wrote (issue 2): no digest of the payload, other edit lists.
#[test]
fn a_session_of_an_older_version_is_proved_by_what_it_knows() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/2026-11-22_07-22-19_issue2_8285");
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let session = copy(&old, &holdfast.library().join(old.file_name().expect("a name")));
    holdfast.spawn_engine();
    let last = wait_verdict(&holdfast);
    let manifest = manifest(&session);
    assert_eq!((&last["verdict"], &last["proved"], &last["parts"]), (&"warning".into(), &3.into(), &3.into()));
    assert_eq!(findings(&manifest, "cam1"), ["recovered", "gap"], "{manifest:#}");
    assert_eq!(findings(&manifest, "cam2"), Vec::<String>::new());
}

#[test]
fn a_recording_that_runs_is_named_and_left_alone_and_a_folder_is_read_once_at_a_time() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    let session = holdfast.session();
    let path = session.to_str().expect("a path");
    let output = holdfast.cli(&["verify", path]);
    assert_eq!(output.code, Some(0), "{output:#?}");
    assert!(output.stdout.contains("cam1.mp4: it is being recorded and was left alone"), "{output:#?}");
    holdfast.cli_ok(&["record", "stop"]);
    let last = wait_verdict(&holdfast);
    assert_eq!(last["verdict"], clean_verdict(&manifest(&session), &["cam1"]), "{last:#}");

    let held = std::fs::File::open(&session).expect("the folder");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("nobody reads it");
    let output = holdfast.cli(&["verify", path]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("it is being checked already"), "{output:#?}");
    drop(held);
    holdfast.cli_ok(&["verify", path]);
}

fn copy(from: &Path, to: &Path) -> PathBuf {
    std::fs::create_dir(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
    to.to_owned()
}

#[test]
fn verify_says_what_it_cannot_judge() {
    let holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let root = holdfast.root();
    let verify = |path: &Path| holdfast.cli(&["verify", path.to_str().expect("a path")]);
    let says = |path: &Path, words: &str| {
        let output = verify(path);
        assert_eq!(output.code, Some(1), "{output:#?}");
        assert!(format!("{}{}", output.stdout, output.stderr).contains(words), "{words:?} is not in {output:#?}");
    };
    says(&root.join("nowhere"), "cannot be read");
    says(&holdfast.library(), "holds no recording of Holdfast");
    let note = root.join("note.mp4");
    std::fs::write(&note, "not a film, but long enough to look into").expect("written");
    says(&note, "does not begin like a recording");
    std::os::unix::fs::symlink(&note, root.join("link.mp4")).expect("a link");
    says(&root.join("link.mp4"), "links are not followed");
    let session = holdfast.library().join("2026-11-22_07-22-19_issue2_8285");
    std::os::unix::fs::symlink("/etc", &session).expect("a link");
    says(&holdfast.library(), "links are not followed");
    std::fs::remove_file(&session).expect("removed");

    // A manifest that names files elsewhere leads nowhere.
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/2026-11-22_07-22-19_issue2_8285");
    copy(&old, &session);
    let file = session.join("cam2.mp4");
    assert_eq!(verify(&file).code, Some(0));
    let elsewhere = root.join("My film.mp4");
    std::fs::copy(&file, &elsewhere).expect("a copy");
    let alone = verify(&elsewhere);
    assert_eq!(alone.code, Some(0), "{alone:#?}");
    let text = std::fs::read_to_string(session.join("session.json")).expect("a manifest");
    let led = text.replace("\"cam2.mp4\"", "\"../../My film.mp4\"");
    std::fs::write(session.join("session.json"), led).expect("written");
    says(&session, "no recorder does");
}
