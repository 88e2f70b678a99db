//! Two builds of the program: workers of the older one finish what they record, then make room (DESIGN §1).

use crate::adopt::{CLOSED_WITHIN, INPUTS, assert_one_session, kill_engine};
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::proc::{BINARY, Holdfast, find_input, test_inputs};
use crate::support::process;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Another build: the same program with another build id, as if one instruction were different.
fn other_build(folder: &Path) -> PathBuf {
    // Name of 4 bytes, id of 20, type 3, "GNU".
    const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let path = folder.join("holdfast-before");
    std::fs::copy(BINARY, &path).expect("the folder takes the program");
    let mut program = std::fs::read(&path).expect("a program");
    let note = program.windows(NOTE.len()).position(|window| window == NOTE).expect("the linker leaves a build id");
    program[note + NOTE.len()] ^= 0xff;
    std::fs::write(&path, program).expect("ours");
    path
}

fn program_of(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).expect("a process of ours")
}

#[test]
fn workers_of_another_build_finish_their_recording_and_are_replaced_then() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let before = other_build(holdfast.root());
    holdfast.spawn_engine_of(&before);
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, INPUTS[0], Duration::from_secs(1));
    let id = holdfast.status()["session"]["id"].as_str().expect("a session").to_owned();
    let workers = INPUTS.map(|input| holdfast.worker_pid(input));
    assert!(workers.iter().all(|pid| program_of(*pid) == before));
    kill_engine(&mut holdfast);

    holdfast.spawn_engine();
    let seen = holdfast.wait_until("the session goes on", RECORDS_WITHIN, |snapshot| {
        INPUTS.iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
    });
    assert_eq!(seen["session"]["id"], id.as_str());
    assert!(process::tail(&holdfast.log(), 60).contains("a worker of another version"));
    let media = find_input(&seen, INPUTS[1])["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, INPUTS[1], Duration::from_millis(media + 2000));
    assert_eq!(INPUTS.map(|input| holdfast.worker_pid(input)), workers, "a worker was not left to finish");
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = assert_one_session(&holdfast.session(), &INPUTS.map(|input| (input, 1)));
    assert_eq!(manifest["state"], "completed", "{manifest:#}");

    holdfast.wait_until("workers of this build serve the inputs", CLOSED_WITHIN, |snapshot| {
        INPUTS.iter().zip(workers).all(|(input, before)| {
            let view = find_input(snapshot, input);
            view["state"] == "live" && view["worker"]["pid"].as_u64().is_some_and(|pid| pid != u64::from(before))
        })
    });
    assert!(workers.iter().all(|pid| holdfast.ended(*pid, RECORDS_WITHIN)));
    assert!(INPUTS.iter().all(|input| program_of(holdfast.worker_pid(input)) == Path::new(BINARY)));
    let deaths = holdfast.status()["alerts"]["critical"].as_u64();
    assert_eq!(deaths, Some(0), "making room is no death");
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, INPUTS[0], Duration::from_secs(1));
    holdfast.cli_ok(&["record", "stop"]);
    assert_one_session(&holdfast.session(), &INPUTS.map(|input| (input, 1)));
}
