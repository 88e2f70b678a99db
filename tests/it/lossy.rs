//! A link that loses and repeats words between a real engine and a real worker (R-CMD-6).

use crate::adopt::{assert_one_session, kill_engine};
use crate::record::{LIVE_WITHIN, wait_media};
use crate::support::proc::{Holdfast, find_input, test_inputs, wait_for_change};
use crate::support::process::{self, Running};
use crate::support::skip::skip;
use std::time::Duration;

/// Stands between both: the first `start` does not arrive, every `split` arrives once more two seconds later. Says
/// which commands it was handed.
const LINK: &str = r#"
import json, os, select, socket, sys, time
here, there, log = sys.argv[1:4]
server = socket.socket(socket.AF_UNIX); server.bind(here); server.listen(16)
log = open(log, "a")
print("ready", flush=True)
pairs, late, lost = {}, [], False
while True:
    wait = min([at - time.monotonic() for at, _, _ in late] + [1])
    ready, _, _ = select.select([server, *pairs], [], [], max(0, wait))
    for one in [one for one in late if one[0] <= time.monotonic()]:
        late.remove(one); one[1].sendall(one[2])
    for end in ready:
        if end is server:
            engine, _ = server.accept()
            worker = socket.socket(socket.AF_UNIX); worker.connect(there)
            pairs[engine], pairs[worker] = (worker, True, [b""]), (engine, False, None)
            continue
        if end not in pairs:
            continue
        other, down, rest = pairs[end]
        try:
            got = end.recv(65536)
            if not got: raise OSError
            if not down: other.sendall(got); continue
            *whole, rest[0] = (rest[0] + got).split(b"\n")
            for line in whole:
                word = json.loads(line)
                log.write(f'{word["cmd"]} {word.get("id")}\n'); log.flush()
                if word["cmd"] == "start" and not lost:
                    lost = True
                    continue
                if word["cmd"] == "split": late.append((time.monotonic() + 2, other, line + b"\n"))
                other.sendall(line + b"\n")
        except OSError:
            for both in (end, other):
                pairs.pop(both, None); both.close()
"#;
/// The link listens as soon as Python has started.
const LINK_STARTS_WITHIN: Duration = Duration::from_secs(10);
/// Less than an answer is waited for; more than the way to the worker takes.
const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn a_start_that_is_lost_is_repeated_and_a_repeated_split_is_no_second_one() {
    if process::program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    kill_engine(&mut holdfast);
    let socket = holdfast.runtime().join("workers/cam1.sock");
    let (real, log) = (socket.with_extension("real"), holdfast.root().join("link.log"));
    std::fs::rename(&socket, &real).expect("a worker's socket");
    let mut command = holdfast.command("python3");
    command.args(["-c", LINK]).args([&socket, &real, &log]);
    let (_link, said) = Running::start_and_hear("the link", &mut command, LINK_STARTS_WITHIN);
    assert_eq!(said, "ready");
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);

    let words = |wanted: &str| -> Vec<String> {
        let all = std::fs::read_to_string(&log).unwrap_or_default();
        all.lines().filter(|line| line.split(' ').next() == Some(wanted)).map(str::to_owned).collect()
    };
    holdfast.cli_ok(&["record", "start", "--name", "test", "--no-wait"]);
    wait_for_change(&holdfast.session(), ARRIVES_WITHIN);
    assert_eq!(find_input(&holdfast.status(), "cam1")["recording"]["media_ms"].as_u64().unwrap_or(0), 0);
    wait_media(&holdfast, "cam1", Duration::from_millis(1500));
    let starts = words("start");
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert_eq!(starts[0], starts[1], "under its own number");
    assert_eq!(words("configure").len(), 1, "what was answered is not repeated");

    let split = holdfast.api("POST", "/api/v1/recorder/split", &[], Some(&serde_json::json!({}))).expect("an answer");
    assert_eq!(split.status, 202, "{split:?}");
    let seen = holdfast
        .wait_until("the second part", LIVE_WITHIN, |snapshot| find_input(snapshot, "cam1")["recording"]["part"] == 2);
    // Long enough for the repetition to arrive, and for a part to be made for it.
    let media = find_input(&seen, "cam1")["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, "cam1", Duration::from_millis(media + 4000));
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = assert_one_session(&holdfast.session(), &[("cam1", 2)]);
    assert_eq!(manifest["state"], "completed", "{manifest:#}");
}
